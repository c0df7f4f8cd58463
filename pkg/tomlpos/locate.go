package tomlpos

// child returns the node of name, made if there is none yet.
func (n *Node) child(name string, offset int) *Node {
	if c, ok := n.Children[name]; ok {
		return c
	}
	if n.Children == nil {
		n.Children = make(map[string]*Node)
	}
	c := &Node{Key: offset, Value: offset}
	n.Children[name] = c
	return c
}

// item appends a node to an array.
func (n *Node) item(offset int) *Node {
	c := &Node{Key: offset, Value: offset}
	n.Items = append(n.Items, c)
	return c
}

// descend follows the parts of a key. As TOML has it, a key that names an
// array of tables means the newest of them.
func (n *Node) descend(parts []part) *Node {
	for _, p := range parts {
		n = n.child(p.name, p.offset)
		if len(n.Items) > 0 {
			n = n.Items[len(n.Items)-1]
		}
	}
	return n
}

// locate is Locate that also returns where it stopped, and why.
func locate(text string) (root *Node, end int, why failure) {
	l := locator{scanner: scanner{text: text}}
	root = &Node{}
	table := root
	for l.gap(); l.peek() != 0; l.gap() {
		table = l.statement(root, table)
	}
	if l.pos < len(text) {
		l.stop(failSyntax)
	}
	return root, l.pos, l.fail
}

// A locator builds the nodes of a text.
type locator struct {
	scanner
	current Statement
}

// statement reads a header or a pair, up to the end of its line, and returns the
// table of the pairs behind it.
func (l *locator) statement(root, table *Node) *Node {
	if l.peek() == '[' {
		table = l.header(root)
	} else {
		l.pair(table, 0)
	}
	l.blanks()
	// TOML wants each statement on a line of its own (section "Key/Value Pair").
	if c := l.peek(); c != 0 && c != '#' && c != '\r' && c != '\n' {
		l.stop(failSyntax)
	}
	return table
}

// header reads "[a.b]" or "[[a.b]]" and returns the table it begins.
func (l *locator) header(root *Node) *Node {
	start := l.pos
	l.expect("[")
	array := l.accept("[")
	parts := l.key()
	l.expect("]")
	if array {
		l.expect("]")
	}
	if l.fail != failNone {
		return root
	}
	last := len(parts) - 1
	parent := root.descend(parts[:last])
	// A further [[a]] adds an item to a, which defines nothing twice.
	if known, ok := parent.Children[parts[last].name]; !array || ok && len(known.Items) == 0 {
		l.define(parent, parts[last].name, parts[0].offset)
	}
	if array {
		return parent.child(parts[last].name, parts[last].offset).item(start)
	}
	// The name may be known from a header such as [a.b]; its own header is its place.
	n := parent.descend(parts[last:])
	n.Key, n.Value = parts[last].offset, start
	return n
}

// pair reads "key = value" into table.
func (l *locator) pair(table *Node, depth int) {
	parts := l.key()
	l.expect("=")
	if l.fail != failNone {
		return
	}
	last := len(parts) - 1
	if depth == 0 {
		l.current.Key = parts[last].name
	}
	parent := table.descend(parts[:last])
	l.define(parent, parts[last].name, parts[0].offset)
	l.value(parent.child(parts[last].name, parts[last].offset), depth)
}

// value reads a value into n.
func (l *locator) value(n *Node, depth int) {
	if depth == maxDepth {
		l.stop(failDepth)
		return
	}
	l.blanks()
	n.Value = l.pos
	if depth == 0 {
		l.current.Value = l.pos
	}
	// The first byte tells the type. A list recurses, which maxDepth bounds.
	switch {
	case l.accept("["):
		l.list("]", func() { l.value(n.item(l.pos), depth+1) })
	case l.accept("{"):
		l.list("}", func() { l.pair(n, depth+1) })
	default:
		l.scalar()
	}
}

// list reads elements separated by commas up to end.
func (l *locator) list(end string, element func()) {
	for l.gap(); l.fail == failNone && !l.accept(end); l.gap() {
		element()
		// TOML 1.1 allows newlines and a last comma in inline tables too.
		l.gap()
		if !l.accept(",") && l.peek() != end[0] {
			l.stop(failSyntax)
		}
	}
}
