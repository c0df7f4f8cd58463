package tomlpos

// A Statement is a header, or a key with its value: what a TOML text is a sequence
// of. It tells what a syntax error is about without showing any part of the text.
type Statement struct {
	Offset int // where it begins
	// Key is the last part of the key, empty for a header. It may be any text.
	Key string
	// Value is where the value begins. It is 0 for a header, and for a key behind
	// which no "=" was found.
	Value int
	// Again is where a key or table stands that First has defined before, also
	// within an inline table of the value. Both are 0 if there is none.
	Again, First int
}

// StatementAt finds the statement in which an offset lies, or else the last one
// before it. What stands behind the place where a text is no longer TOML belongs
// to the statement before it. ok is false if there is none.
//
// What Again says is of use for a text that the parser refuses at that place: TOML
// has tables that may be opened a second time.
func StatementAt(text string, offset int) (s Statement, ok bool) {
	l := locator{scanner: scanner{text: text}}
	root := &Node{}
	table := root
	for l.gap(); l.peek() != 0 && l.pos <= offset; l.gap() {
		// After a failure peek gives 0, so the statement that fails is the last one.
		l.current = Statement{Offset: l.pos}
		table = l.statement(root, table)
		s, ok = l.current, true
	}
	return s, ok
}

// define notes that a name in a table is defined by what stands at an offset.
func (l *locator) define(in *Node, name string, offset int) {
	n, ok := in.Children[name]
	// The parser stops at the first repetition, so no other one counts.
	if ok && l.current.Again == 0 {
		l.current.Again, l.current.First = offset, n.Key
	}
}
