// Package tomlpos finds where the keys and values of a TOML text are, so that a message
// about one of them can name its line and column.
//
// It exists because BurntSushi/toml, which reads the values, reports places wrongly or
// not at all: its columns are wrong in all lines but the first, its offsets can be
// outside of the text, the place of a value is reported only with an error, and that of
// a key or of an item never. The parser also recurses without a limit, so Locate must be
// called first; it refuses a text that is nested too deep.
//
// The package finds places only. Whether a text is TOML and what its values are is
// decided by the parser: in every text that the parser accepts, Locate finds the same
// keys and values. In any other text Locate does not stop before the parser does, except
// for a few bytes.
package tomlpos

import (
	"fmt"
	"strings"
)

// A Node holds the places of a key and of its value, as offsets in bytes, and the nodes
// below it. Tables have Children, arrays have Items.
//
// The value of a string begins with its quotes, that of a table with the bracket of its
// header. An array of tables has one item per header; Key and Value of the item are the
// place of that header, Key and Value of the array are the place where its name appears
// first. So are those of a table that is only implied, by the header of another table or
// by a dotted key. The root is at 0.
//
// The zero Node stands for a table that does not exist.
type Node struct {
	Key, Value int
	Children   map[string]*Node
	Items      []*Node
}

// maxDepth is the limit of nesting and of the parts of a dotted key. The parser, which
// reads the text afterwards, recurses without a limit and needs quadratic time for long
// dotted keys. No file of this project needs a depth of more than two.
const maxDepth = 16

// DepthError means that a text is nested too deep for the parser.
type DepthError struct {
	Offset int // of the first value or part of a key beyond the limit
}

func (e *DepthError) Error() string { return fmt.Sprintf("nested deeper than %d levels", maxDepth) }

// Locate finds every key and value of a TOML text, which must not have a byte order mark
// (see TrimMark). The only error is a *DepthError; after it, the text must not be
// parsed.
//
// For a text that is not TOML, Locate returns the nodes before the mistake and no error,
// since the parser's error says better what is wrong.
func Locate(text string) (*Node, error) {
	root, end, why := locate(text)
	if why == failDepth {
		return nil, &DepthError{Offset: end}
	}
	return root, nil
}

// TrimMark removes the byte order mark that the parser removes. The parser's offsets
// count from after the mark, and so must Locate's.
//
// NB: the parser removes the mark of UTF-16 from a text of any encoding. With the mark
// Locate would stop at once, and the parser would read on without a bound on depth.
func TrimMark(text string) string {
	// NB: the parser removes a mark of UTF-16 from any text (parse in parse.go of
	// BurntSushi/toml). Locate would stop at the mark, and the parser would read the
	// text behind it, however deep it is nested.
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\ufeff"} {
		if rest, ok := strings.CutPrefix(text, mark); ok {
			return rest
		}
	}
	return text
}
