package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"nftknock/pkg/tomlpos"
)

// A table is a TOML table that is being read. A getter leaves the destination as it is
// when the key is absent, reports a diagnostic when the value is bad, and notes that
// the key is known: finish reports all others as unknown.
//
// A getter returns true only when it has set the destination. A table that is absent
// has a zero node and no values.
type table struct {
	doc      *document
	node     *tomlpos.Node
	values   map[string]any
	known    []string // keys asked for
	reported []string // keys of which it was said that they do not belong here
	// namesUnknown: unknown keys that are words are shown. In other tables one may be a
	// passphrase that lost its quotes, and only what resembles a key is shown.
	namesUnknown bool
}

// has reports whether the key is present, and marks it as known.
func (t *table) has(key string) bool {
	if !slices.Contains(t.known, key) {
		t.known = append(t.known, key)
	}
	_, ok := t.values[key]
	return ok
}

// at is where the table begins.
func (t *table) at() Pos { return t.doc.pos(t.node.Key) }

// keyAt is where a key stands, or the table if there is no such key.
func (t *table) keyAt(key string) Pos {
	if n, ok := t.node.Children[key]; ok {
		return t.doc.pos(n.Key)
	}
	return t.at()
}

// valueAt is where the value of a key stands, or the table if there is no such
// key.
func (t *table) valueAt(key string) Pos {
	if n, ok := t.node.Children[key]; ok {
		return t.doc.pos(n.Value)
	}
	return t.at()
}

// itemAt is where item i of an array stands.
func (t *table) itemAt(key string, i int) Pos {
	if n, ok := t.node.Children[key]; ok && i < len(n.Items) {
		return t.doc.pos(n.Items[i].Value)
	}
	return t.valueAt(key)
}

// fail reports an error at a place.
func (t *table) fail(at Pos, message, hint string) {
	t.doc.report(at, SeverityError, message, hint)
}

// warn reports a warning at a place.
func (t *table) warn(at Pos, message, hint string) {
	t.doc.report(at, SeverityWarning, message, hint)
}

// code sets the code of what was reported last.
func (t *table) code(c Code) { t.doc.diags.code(c) }

// misplaced reports a key that does not belong here, if it is present.
func (t *table) misplaced(key, message, hint string) {
	if _, ok := t.values[key]; ok {
		t.fail(t.keyAt(key), message, hint)
		t.reported = append(t.reported, key)
	}
}

// mismatch reports a value of the wrong type.
func (t *table) mismatch(key, want string) {
	t.fail(t.valueAt(key), key+" is "+typeName(t.values[key]), "want "+want)
}

// section returns the table of a key, an empty one if it is absent or no table.
func (t *table) section(key string) *table {
	// An empty table is read like any other, so that no reader has to ask for it.
	sub := &table{doc: t.doc, node: &tomlpos.Node{}, namesUnknown: true}
	if !t.has(key) {
		return sub
	}
	values, ok := t.values[key].(map[string]any)
	if !ok {
		t.mismatch(key, "a table: ["+key+"]")
		return sub
	}
	sub.values = values
	if n, ok := t.node.Children[key]; ok {
		sub.node = n
	}
	return sub
}

// sections returns the tables of an array of tables, written in either of
// TOML's two ways.
func (t *table) sections(key string) []*table {
	if !t.has(key) {
		return nil
	}
	var subs []*table
	// The values and the nodes come from two readers of one text. They agree, which
	// pkg/tomlpos tests; a lack of nodes must still not be a panic.
	add := func(i int, values map[string]any) {
		sub := &table{doc: t.doc, node: &tomlpos.Node{}, values: values}
		if n, ok := t.node.Children[key]; ok && i < len(n.Items) {
			sub.node = n.Items[i]
		}
		subs = append(subs, sub)
	}
	switch v := t.values[key].(type) {
	// The decoder's type of [[access]] headers.
	case []map[string]any:
		for i, values := range v {
			add(i, values)
		}
	// Its type of access = [{ ... }, { ... }], and of every other array.
	case []any:
		for i, item := range v {
			values, ok := item.(map[string]any)
			if !ok {
				t.fail(t.itemAt(key, i), "an item of "+key+" is "+typeName(item), "want a table: [["+key+"]]")
				continue
			}
			add(i, values)
		}
	default:
		t.mismatch(key, "tables in double brackets: [["+key+"]]")
	}
	return subs
}

// maxUnknown bounds the unknown keys of a table that are reported.
const maxUnknown = 100

// finish reports the keys that no getter has asked for.
func (t *table) finish() {
	unknown := 0
	// In order of their names, since that of a map is another one each time.
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if slices.Contains(t.known, key) || slices.Contains(t.reported, key) {
			continue
		}
		// Somebody who has the daemon read another program's file needs no more.
		if unknown++; unknown > maxUnknown {
			return
		}
		near := nearest(key, t.known)
		message, hint := "unknown key", "known here: "+strings.Join(t.known, ", ")
		if near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		// A name that resembles one of ours tells nothing else.
		if near != "" || t.namesUnknown && isWord(key) || nearest(key, allKeys()) != "" {
			message += " " + quote(key)
		}
		t.fail(t.keyAt(key), message, hint)
		t.code(CodeUnknownKey)
	}
}

// isWord reports whether a key consists of lower case letters, "_" and "-", as keys do and
// keys of ciphers do not: a policy may have lost the line that such a one belongs to.
func isWord(key string) bool {
	return !strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsLower(r) && r != '_' && r != '-' })
}
