package policy

import (
	"errors"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/tomlpos"
)

// reportSyntax reports that the parser does not take the text.
//
// The parser's own words are not shown: they quote what it could not read, and that
// may be a secret. What is shown is its place, names that the policy has, and what
// the kind of value that stands there looks like when it is right.
func (d *document) reportSyntax(err error) {
	var p toml.ParseError
	if !errors.As(err, &p) {
		d.report(Pos{File: d.file}, SeverityError, "the TOML parser failed on this file", "want TOML, see https://toml.io")
		return
	}
	// The parser's offset may lie outside of the text.
	offset := max(0, min(p.Position.Start, len(d.text)))
	message, hint := d.explainSyntax(offset)
	d.report(d.pos(offset), SeverityError, message, hint)
}

const wantLine = `want a key, "=" and a value, such as group = 5, or a table in brackets, such as [nflog]`

// explainSyntax says what is wrong at an offset.
func (d *document) explainSyntax(offset int) (message, hint string) {
	s, ok := tomlpos.StatementAt(d.text, offset)
	switch {
	case !ok:
		return "this line is not TOML", wantLine
	// The parser reports a repetition where it begins, or behind its opening quote.
	case s.Again != 0 && (offset == s.Again || offset == s.Again+1):
		return "this key or table is defined a second time", "the first is at " + d.pos(s.First).String() + "; remove one of them"
	// A key cannot begin with a bracket.
	case s.Value == 0 && d.at(s.Offset) == '[':
		return "this header of a table is not TOML", "want a name in brackets, such as [nflog], or in double brackets, [[access]]"
	case s.Value == 0 || offset < s.Value:
		return "this line is not TOML", wantLine
	}
	return d.explainValue(s, offset)
}

// explainValue says what is wrong at an offset in the value of a statement.
func (d *document) explainValue(s tomlpos.Statement, offset int) (message, hint string) {
	const quotes = `in double quotes, \ is written \\; in single quotes it is an ordinary character`
	what := "this value"
	// Where a quote is missing, a secret may stand for a key.
	if slices.Contains(allKeys(), s.Key) {
		what = "the value of " + s.Key
	}
	// The first byte of a value tells its type in TOML.
	switch c := d.at(s.Value); {
	case c == '"' && d.at(offset) == '\\':
		return "bad escape in " + what, quotes
	// The parser reports a string that does not end at the end of the line, or of the
	// text for one in three quotes.
	case (c == '"' || c == '\'') && (offset == len(d.text) || d.at(offset) == '\n' || d.at(offset) == '\r'):
		return what + " has no quote at its end", "want it on the line where the string begins"
	case c == '"' || c == '\'':
		return what + " is not a string of TOML", "want one string and nothing behind it; " + quotes
	case c == '[':
		return what + " is not an array of TOML", `want items with commas between them, and a "]" behind the last`
	case c == '{':
		return what + " is not a table of TOML", "want { KEY = VALUE, KEY = VALUE } on one line"
	case strings.IndexByte("#\r\n\x00", c) >= 0:
		return what + " is missing", `want one behind the "="`
	case c >= '0' && c <= '9' || c == '+' || c == '-':
		return what + " is neither a number nor a date of TOML", "want strings and durations in double quotes"
	}
	return what + " has no quotes", "want strings in double quotes, and true and false in lower case"
}

// at is the byte at an offset, NUL outside of the text.
func (d *document) at(offset int) byte {
	if offset < 0 || offset >= len(d.text) {
		return 0
	}
	return d.text[offset]
}
