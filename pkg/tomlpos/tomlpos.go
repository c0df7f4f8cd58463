// Package tomlpos says where the keys and values of a TOML text stand, so that
// a message about one of them can name its line and column.
//
// It exists because BurntSushi/toml, which reads the values, reports places wrongly or
// not at all: its columns are wrong in all lines but the first, its offsets can lie
// outside of the text, the place of a value comes only with an error, and there is none
// for a key or an item. That parser also recurses without a bound, so Locate is called
// first and refuses a text that is nested too deep for it.
//
// This package finds places only. Whether a text is TOML, and what its values are, is
// for that parser to say. On every text that the parser accepts, Locate finds all that
// the parser finds. On any other text it stops where the parser does or later, but for
// a few bytes.
package tomlpos

import (
	"fmt"
	"strings"
)

// A Node says where a key and its value stand, as offsets into the text, and
// holds the nodes below it. Tables have children, arrays have items.
//
// The value of a string begins with its quotes, that of a table with the
// bracket of its header. An array of tables has an item for each header, which
// is where the item's key and value are; its own are where its name first
// stands. The same holds for a table that is only implied, by the header of another or
// by a dotted key. The root is at 0.
//
// The zero Node serves for a table that is not there.
type Node struct {
	Key, Value int
	Children   map[string]*Node
	Items      []*Node
}

// maxDepth bounds nesting and the parts of a dotted key. The parser that reads the text
// afterwards recurses without a bound, and its time grows with the square of the parts
// of a key. Neither a policy nor hosts.toml needs a depth of more than two.
const maxDepth = 16

// DepthError means that a text is nested too deep to be given to the parser.
type DepthError struct {
	Offset int // where it becomes too deep
}

func (e *DepthError) Error() string { return fmt.Sprintf("nested deeper than %d levels", maxDepth) }

// Locate finds every key and value of a TOML text without a byte order mark.
// The only error is a *DepthError; after it, the text must not be parsed.
//
// A text that is not TOML is no error here, since the parser will report it. Its nodes
// are those before the place where it is no longer TOML.
func Locate(text string) (*Node, error) {
	root, end, why := locate(text)
	if why == failDepth {
		return nil, &DepthError{Offset: end}
	}
	return root, nil
}

// TrimMark removes the byte order mark that the parser removes. The parser's offsets
// count from behind it, and so must those of Locate.
//
// NB: the parser removes the mark of UTF-16 from a text of any encoding. With the mark
// Locate would stop at once, and the parser would read on without a bound on depth.
func TrimMark(text string) string {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\ufeff"} {
		if rest, ok := strings.CutPrefix(text, mark); ok {
			return rest
		}
	}
	return text
}
