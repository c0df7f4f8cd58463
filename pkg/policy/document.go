package policy

import (
	"errors"
	"fmt"
	"strings"
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
	kept  bool // written by WriteKept

	// last is what pos returned last, for lastOffset.
	last       Pos
	lastOffset int
}

// parse reads the text and returns its top table, or nil after reporting why there
// is none.
func (d *document) parse() *table {
	// The parser takes one byte order mark off itself, and counts offsets from there.
	d.text = strings.TrimLeft(d.text, "\ufeff")
	text := d.text
	if len(text) > maxFileSize && !d.kept {
		d.report(Pos{File: d.file}, SeverityError, "the file is too large", "the limit is 8 MiB")
		return nil
	}
	// From here on diagnostics have places.
	d.lines = tomlpos.NewLines(text)
	if i := notText(text); i >= 0 {
		d.report(d.pos(i), SeverityError, fmt.Sprintf("byte 0x%02x is not UTF-8 text", text[i]), "save the file as UTF-8")
		return nil
	}
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		d.report(d.pos(i), SeverityError, fmt.Sprintf("control character 0x%02x", text[i]), "TOML allows none but tabs and line ends; remove it")
		return nil
	}
	// First, since the parser recurses without a bound (see pkg/tomlpos).
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
// NB: the library panics in states that it holds to be impossible. No policy file
// may end the daemon, so a panic becomes an error.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			values, err = nil, errors.New("the TOML parser failed on this file")
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

// isControl reports the characters that TOML allows nowhere (section "Comment",
// and of strings "Basic" and "Literal").
func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f }

// notText returns the offset of the first byte that is not UTF-8, or is NUL, as
// in files of UTF-16; -1 if there is none.
func notText(s string) int {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		// With size 3 it is the replacement character itself, which is text.
		if r == utf8.RuneError && size == 1 || r == 0 {
			return i
		}
		i += size
	}
	return -1
}

// pos translates an offset to line and column. On the line of the call before, it
// counts columns from that call's offset: to report on a policy that is one long line
// would otherwise take time in proportion to the square of its length.
func (d *document) pos(offset int) Pos {
	offset = max(0, min(offset, len(d.text)))
	between := d.text[min(offset, d.lastOffset):max(offset, d.lastOffset)]
	switch {
	// Another line: its beginning is found by bisection.
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
