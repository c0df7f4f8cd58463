package tomlpos

import (
	"slices"
	"unicode/utf8"
)

// Lines translates the offsets of one text to lines and columns.
type Lines struct {
	text   string
	starts []int // offset of each line's first byte
}

// NewLines finds the lines of text, which need not be TOML.
func NewLines(text string) *Lines {
	l := &Lines{text: text, starts: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// Place gives the line and column of an offset. Both count from 1, the column
// in characters; a byte that is not UTF-8 counts as one. An offset outside of
// the text, as the parser gives some, means its nearer end.
func (l *Lines) Place(offset int) (line, column int) {
	offset = max(0, min(offset, len(l.text)))
	i, found := slices.BinarySearch(l.starts, offset)
	// Not found: i is the line behind the one that holds the offset.
	if !found {
		i--
	}
	return i + 1, utf8.RuneCountInString(l.text[l.starts[i]:offset]) + 1
}
