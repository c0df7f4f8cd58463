package tomlpos

import (
	"strings"
	"testing"
)

func TestStatementAt(t *testing.T) {
	for _, tt := range []struct {
		name string
		text string // "@" is where it is asked for
		want Statement
	}{
		{"ok key", "a = 1@\n", Statement{Offset: 0, Key: "a", Value: 4}},
		{"ok second line", "a = 1\nb = @2\n", Statement{Offset: 6, Key: "b", Value: 10}},
		{"ok dotted", "a.\"b\" @= 1\n", Statement{Offset: 0, Key: "b", Value: 8}},
		{"ok header", "[a]\n[b@]\nc = 1\n", Statement{Offset: 4}},
		{"ok between two", "a = 1\n@\n# x\nb = 2\n", Statement{Offset: 0, Key: "a", Value: 4}},
		{"ok further item", "[[a]]\n[[a@]]\n", Statement{Offset: 6}},
		{"bad value is missing", "a = @\n", Statement{Offset: 0, Key: "a", Value: 4}},
		{"bad no equals sign", "a = 1\nb @2\n", Statement{Offset: 6}},
		{"bad what follows belongs to it", "a = \"x\nb = @2\n", Statement{Offset: 0, Key: "a", Value: 4}},
		{"bad array is open", "a = [1\nb = @2\n", Statement{Offset: 0, Key: "a", Value: 4}},
		{"bad key twice", "[t]\na = 1\n@a = 2\n", Statement{Offset: 10, Key: "a", Value: 14, Again: 10, First: 4}},
		{"bad table twice", "[t]\n[@t]\n", Statement{Offset: 4, Again: 5, First: 1}},
		{"bad twice inside", "a = { b = 1, b@ = 2 }\n", Statement{Offset: 0, Key: "a", Value: 4, Again: 13, First: 6}},
	} {
		before, after, _ := strings.Cut(tt.text, "@")
		if got, ok := StatementAt(before+after, len(before)); got != tt.want || !ok {
			t.Errorf("%s: %+v, %t, want %+v", tt.name, got, ok, tt.want)
		}
	}
	if s, ok := StatementAt("# nothing\n", 3); ok || s != (Statement{}) {
		t.Errorf("a comment is a statement: %+v", s)
	}
}
