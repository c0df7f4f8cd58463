// Package tomlpos says where the keys and values of a TOML text stand, so that
// a message about one of them can name its line and column.
//
// It exists because BurntSushi/toml, which reads the values, knows their places
// and gives them away wrongly or not at all: its columns are off in all lines
// but the first, its offsets can lie outside of the text, the place of a value
// comes only with an error, and that of a key or of an item not at all. It also
// nests without bound, so Locate comes first and refuses what is nested too
// deep for it.
//
// It knows places only. Whether a text is TOML, and what its values are, is
// left to that parser: on every text the parser takes, Locate finds what the
// parser finds, and on any other it does not stop before the parser does, but
// for a few bytes.
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
// stands. So are those of a table that is only implied, by the header of
// another or by a dotted key. The top is at 0.
//
// The zero Node serves for a table that is not there.
type Node struct {
	Key, Value int
	Children   map[string]*Node
	Items      []*Node
}

// maxDepth bounds nesting and the parts of a dotted key. The parser that reads
// the text afterwards recurses without bound, and takes quadratic time over
// long dotted keys. Nothing of ours needs a depth of more than two.
const maxDepth = 16

// DepthError means that a text is nested too deep to be given to the parser.
type DepthError struct {
	Offset int // where it becomes too deep
}

func (e *DepthError) Error() string { return fmt.Sprintf("nested deeper than %d levels", maxDepth) }

// Locate finds every key and value of a TOML text without a byte order mark.
// The only error is a *DepthError; after it, the text must not be parsed.
//
// A text that is not TOML is no error here, since the parser says better what
// is wrong with it. Its nodes are those up to there.
func Locate(text string) (*Node, error) {
	root, end, why := locate(text)
	if why == failDepth {
		return nil, &DepthError{Offset: end}
	}
	return root, nil
}

// TrimMark takes off the byte order mark that the parser takes off: the
// parser's offsets count from behind it, and so must Locate's.
//
// NB: the parser takes the mark of UTF-16 off a text of any kind. Locate would
// stop at it, and the parser read on without a bound.
func TrimMark(text string) string {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff", "\ufeff"} {
		if rest, ok := strings.CutPrefix(text, mark); ok {
			return rest
		}
	}
	return text
}
