package policy

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// shorten cuts s, at a character, to about limit bytes.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

// printable escapes newlines and whatever else would not stay in one line of a
// terminal. The parser quotes some of what it cannot read as it is.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// quote is %q for input of any length.
func quote(s string) string { return fmt.Sprintf("%q", shorten(s, 80)) }
