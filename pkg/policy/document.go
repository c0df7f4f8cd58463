package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/tomlpos"
)

// A document is one TOML text, and where diagnostics about it go.
type document struct {
	file  string
	text  string
	lines *tomlpos.Lines
	diags *Diagnostics

	// last is where pos was asked for before, at lastOffset.
	last       Pos
	lastOffset int
}

// parse reads text and returns its top table, or nil after reporting why there
// is none.
func parse(file, text string, diags *Diagnostics) *table {
	text = strings.TrimLeft(text, "\ufeff")
	d := &document{file: file, text: text, diags: diags}
	if len(text) > maxFileSize {
		d.report(Pos{File: file}, SeverityError, "the file is too large", "the limit is 8 MiB")
		return nil
	}
	d.lines = tomlpos.NewLines(text)
	if i := notText(text); i >= 0 {
		d.report(d.pos(i), SeverityError, fmt.Sprintf("byte 0x%02x is not UTF-8 text", text[i]), "save the file as UTF-8")
		return nil
	}
	root, err := tomlpos.Locate(text)
	var deep *tomlpos.DepthError
	if errors.As(err, &deep) {
		d.report(d.pos(deep.Offset), SeverityError, deep.Error(), "a policy needs two")
		return nil
	}
	values, err := decode(text)
	if err != nil {
		d.reportSyntax(err)
		return nil
	}
	return &table{doc: d, node: root, values: values}
}

// decode parses TOML into Go's generic types.
//
// NB: the library panics on states it holds to be impossible. A policy file
// must not be able to end the daemon, so here they are errors.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			values, err = nil, errors.New("the TOML parser failed on this file")
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

// notText returns the offset of the first byte that is not UTF-8, or is NUL, as
// in files of UTF-16; -1 if there is none.
func notText(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// reportSyntax reports an error of the TOML parser.
func (d *document) reportSyntax(err error) {
	var p toml.ParseError
	if !errors.As(err, &p) {
		d.report(Pos{File: d.file}, SeverityError, err.Error(), "")
		return
	}
	message, hint := strings.TrimSuffix(shorten(printable(p.Message), 200), "."), ""
	switch {
	case !quotable(p.LastKey) && !harmless.MatchString(message):
		message, hint = "this value is not TOML", "strings stand in double quotes, with \\\" and \\\\ for \" and \\"
	case strings.HasPrefix(message, "expected value but found"):
		hint = "strings stand in double quotes"
	case strings.HasPrefix(message, "invalid escape"):
		hint = `in double quotes, \ is written \\; in single quotes it is an ordinary character`
	case strings.HasPrefix(message, "Key "):
		message = "k" + message[1:]
	}
	d.report(d.pos(p.Position.Start), SeverityError, message, hint)
}

// harmless is what the parser says without quoting more of a value than a
// character.
var harmless = regexp.MustCompile(`^(unexpected |expected .* but got ('.{1,12}'|end of file)|Key 'access\.[a-z_]+' has)`)

// quotable reports whether what stands as the value of a key, in the parser's
// form of it, may be shown: the parser quotes what it cannot read. A key that is
// none of ours may be that of a secret, misspelt.
func quotable(key string) bool {
	section, name, _ := strings.Cut(key, ".")
	if section == "access" {
		return isAccessKey(name) && !maybeSecret(name)
	}
	return (key == "" || slices.Contains(sectionNames, section)) && !maybeSecret(key)
}

// maybeSecret reports whether a key looks like that of a secret, whose value
// must not be shown.
func maybeSecret(key string) bool {
	key = strings.ToLower(key)
	return slices.ContainsFunc([]string{"key", "secret", "pass", "psk", "hmac", "token"},
		func(word string) bool { return strings.Contains(key, word) })
}

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

// pos translates an offset. On the line where it was asked for before it counts
// columns from there, lest it take the square of the line's length to report on
// a policy of one line.
func (d *document) pos(offset int) Pos {
	offset = max(0, min(offset, len(d.text)))
	between := d.text[min(offset, d.lastOffset):max(offset, d.lastOffset)]
	switch {
	case d.last.Line == 0 || strings.Contains(between, "\n"):
		line, column := d.lines.Place(offset)
		d.last = Pos{File: d.file, Line: line, Column: column}
	case offset < d.lastOffset:
		d.last.Column -= utf8.RuneCountInString(between)
	default:
		d.last.Column += utf8.RuneCountInString(between)
	}
	d.lastOffset = offset
	return d.last
}

func (d *document) report(at Pos, s Severity, message, hint string) {
	*d.diags = append(*d.diags, Diagnostic{
		File: at.File, Line: at.Line, Column: at.Column,
		Severity: s, Message: message, Hint: hint,
	})
}
