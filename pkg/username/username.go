// Package username says which user names a knock may carry: text in UTF-8 of which every
// character prints. Names are compared byte by byte, and never normalised: "ü" as one
// character and "u" with a combining diaeresis are two names.
package username

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Prints reports whether s is UTF-8 without control characters, marks of direction, line
// ends and other characters that do not print. Such a name cannot break a line of a log or
// change how the rest of the line looks. Of all blanks, it may contain U+0020 only.
func Prints(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Cut returns the longest beginning of s that has at most n bytes and no part of a
// character at its end.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
