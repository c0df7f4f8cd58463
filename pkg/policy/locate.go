package policy

// A node says where a key and its value stand, as offsets into the text, and
// holds the nodes below it. Tables have children, arrays have items; an array
// of tables has an item for each of its headers.
type node struct {
	key, value int
	children   map[string]*node
	items      []*node
}

// child returns the node of name, made if there is none yet.
func (n *node) child(name string, offset int) *node {
	if c, ok := n.children[name]; ok {
		return c
	}
	if n.children == nil {
		n.children = make(map[string]*node)
	}
	c := &node{key: offset, value: offset}
	n.children[name] = c
	return c
}

// item appends a node to an array.
func (n *node) item(offset int) *node {
	c := &node{key: offset, value: offset}
	n.items = append(n.items, c)
	return c
}

// descend follows the parts of a key. As TOML has it, a key that names an
// array of tables means the newest of them.
func (n *node) descend(parts []part) *node {
	for _, p := range parts {
		n = n.child(p.name, p.offset)
		if len(n.items) > 0 {
			n = n.items[len(n.items)-1]
		}
	}
	return n
}

// locate finds every key and value of a TOML text. The parser knows where
// they are but does not say; this fills the gap and relies on the parser for
// everything else: whether the text is valid, and what the values are.
//
// It stops at what it cannot read: why tells the reason, and end how far it
// came.
func locate(text string) (root *node, end int, why failure) {
	l := locator{scanner: scanner{text: text}}
	root = &node{}
	table := root
	for l.gap(); l.peek() != 0; l.gap() {
		if l.peek() == '[' {
			table = l.header(root)
		} else {
			l.pair(table, 0)
		}
		l.blanks()
		if c := l.peek(); c != 0 && c != '#' && c != '\r' && c != '\n' {
			l.stop(failSyntax)
		}
	}
	if l.pos < len(text) {
		l.stop(failSyntax)
	}
	return root, l.pos, l.fail
}

type locator struct{ scanner }

// header reads "[a.b]" or "[[a.b]]" and returns the table it begins.
func (l *locator) header(root *node) *node {
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
	if array {
		return parent.child(parts[last].name, parts[last].offset).item(start)
	}
	n := parent.descend(parts[last:])
	n.key, n.value = parts[last].offset, start
	return n
}

// pair reads "key = value" into table.
func (l *locator) pair(table *node, depth int) {
	parts := l.key()
	l.expect("=")
	if l.fail != failNone {
		return
	}
	last := len(parts) - 1
	parent := table.descend(parts[:last])
	l.value(parent.child(parts[last].name, parts[last].offset), depth)
}

// value reads a value into n.
func (l *locator) value(n *node, depth int) {
	if depth == maxDepth {
		l.stop(failDepth)
		return
	}
	l.blanks()
	n.value = l.pos
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
		l.gap()
		if !l.accept(",") && l.peek() != end[0] {
			l.stop(failSyntax)
		}
	}
}
