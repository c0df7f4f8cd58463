package tomlpos

import (
	"slices"
	"unicode/utf8"
)

// Lines converts offsets into one text to lines and columns.
type Lines struct {
	text   string
	starts []int // offset of each line's first byte
}

// NewLines returns the Lines of any text.
func NewLines(text string) *Lines {
	l := &Lines{text: text, starts: []int{0}}
	for i := range len(text) {
		if text[i] == '\n' {
			l.starts = append(l.starts, i+1)
		}
	}
	return l
}

// Place returns the line and column of an offset in bytes. Both count from 1, the column
// in characters; a byte that is not UTF-8 counts as one. An offset outside of the text,
// which the parser's errors may have, stands for the nearer end.
func (l *Lines) Place(offset int) (line, column int) {
	offset = max(0, min(offset, len(l.text)))
	i, found := slices.BinarySearch(l.starts, offset)
	// Not found: i is the line behind the one that holds the offset.
	if !found {
		i-- // BinarySearch returns the line after the offset
	}
	return i + 1, utf8.RuneCountInString(l.text[l.starts[i]:offset]) + 1
}
