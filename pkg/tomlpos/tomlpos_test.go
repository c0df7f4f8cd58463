package tomlpos

import (
	"errors"
	"strings"
	"testing"
)

func TestDepthIsBounded(t *testing.T) {
	const most = maxDepth
	for _, tt := range []struct {
		name, text string
		want       int // offset of the error, -1 for none
	}{
		{"ok arrays", "a = " + strings.Repeat("[", most-1) + strings.Repeat("]", most-1), -1},
		{"bad arrays", "a = " + strings.Repeat("[", most), 4 + most},
		{"ok inline tables", strings.Repeat("a={", most-1) + "b=1" + strings.Repeat("}", most-1), -1},
		{"bad inline tables", strings.Repeat("a={", most) + "b=1", 3*most + 2},
		{"ok dotted key", strings.Repeat("a.", most-1) + "a=1", -1},
		{"bad dotted key", strings.Repeat("a.", most) + "a=1", 2 * most},
		{"ok header", "[" + strings.Repeat("a.", most-1) + "a]", -1},
		{"bad header", "[" + strings.Repeat("a.", most) + "a]", 1 + 2*most},
		{"bad before what is not TOML", "a=" + strings.Repeat("[", most) + "?", 2 + most},
		{"ok behind what is not TOML", "?\na=" + strings.Repeat("[", most), -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root, err := Locate(tt.text)
			if (root == nil) != (err != nil) {
				t.Errorf("nodes: %t, error: %v", root != nil, err)
			}
			offset := -1
			var deep *DepthError
			if errors.As(err, &deep) {
				offset = deep.Offset
			}
			if offset != tt.want {
				t.Errorf("error at %d, want %d", offset, tt.want)
			}
		})
	}
}

func TestPlace(t *testing.T) {
	const text = "ab\r\nä\xffö\n\nz"
	lines := NewLines(text)
	for _, tt := range []struct{ offset, line, column int }{
		{-1, 1, 1},
		{0, 1, 1},
		{3, 1, 4}, // a newline ends its line
		{4, 2, 1},
		{6, 2, 2}, // after a character of two bytes
		{7, 2, 3}, // after a byte that is not UTF-8
		{9, 2, 4},
		{10, 3, 1},
		{11, 4, 1},
		{12, 4, 2},
		{99, 4, 2},
	} {
		if line, column := lines.Place(tt.offset); line != tt.line || column != tt.column {
			t.Errorf("%d is at %d:%d, want %d:%d", tt.offset, line, column, tt.line, tt.column)
		}
	}
	if line, column := NewLines("").Place(1); line != 1 || column != 1 {
		t.Errorf("the end of nothing is at %d:%d", line, column)
	}
}

// Where the parser skips a byte order mark, Locate checks the text after it.
func TestMarksDoNotHideDepth(t *testing.T) {
	deep := "a=" + strings.Repeat("[", maxDepth)
	for _, mark := range []string{"", "\ufeff", "\xff\xfe", "\xfe\xff"} {
		values, err := decode(mark + "a=1")
		if err != nil || values["a"] != int64(1) {
			t.Errorf("%q: the parser does not take it off: %v", mark, err)
		}
		if _, err := Locate(TrimMark(mark + deep)); err == nil {
			t.Errorf("%q: no error", mark)
		}
		if _, err := decode(mark + "\ufeffa=1"); err == nil && mark != "" {
			t.Errorf("%q: the parser takes off two marks", mark)
		}
	}
}
