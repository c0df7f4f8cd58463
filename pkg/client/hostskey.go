package client

import (
	"strings"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/tomlpos"
)

// text returns the string a key has.
func (d *hostsDecoder) text(key toml.Key, example string) (string, error) {
	s, ok := d.lookup(key).(string)
	if !ok {
		return "", d.errorAt(key, "", "%s is not text in quotes: want %s", key[len(key)-1], example)
	}
	return s, nil
}

// lookup returns the value of a key of a host.
func (d *hostsDecoder) lookup(key toml.Key) any {
	host, _ := d.top[key[0]].(map[string]any)
	return host[key[1]]
}

// errorAt is an error about the value of a key.
func (d *hostsDecoder) errorAt(key toml.Key, hint, format string, args ...any) error {
	return d.errorAtOffset(d.offset(key), hint, format, args...)
}

// errorAtKey is an error about the key itself, which stands before its value.
func (d *hostsDecoder) errorAtKey(key toml.Key, hint, format string, args ...any) error {
	return d.errorAtOffset(d.node(key).Key, hint, format, args...)
}

// errorAtElement is an error about s, element i of the list a key has. If s is
// written with escapes, a reader of the message would look for it in vain, so
// the whole list is meant.
func (d *hostsDecoder) errorAtElement(key toml.Key, i int, s, format string, args ...any) error {
	list := d.node(key)
	at := list.Value
	if i < len(list.Items) && strings.HasPrefix(d.source[d.inQuotes(list.Items[i].Value):], s) {
		at = list.Items[i].Value
	}
	return d.errorAtOffset(at, "", format, args...)
}

func (d *hostsDecoder) errorAtOffset(offset int, hint, format string, args ...any) error {
	line, column := d.lines.Place(offset)
	return fileError(d.path, line, column, hint, format, args...)
}

// offset is where the value of a key begins: a string within its quotes, a
// list of tables with the last of its headers.
func (d *hostsDecoder) offset(key toml.Key) int {
	n := d.node(key)
	if d.meta.Type(key...) == "ArrayHash" && len(n.Items) > 0 {
		return n.Items[len(n.Items)-1].Value
	}
	return d.inQuotes(n.Value)
}

// inQuotes steps over the quotes that begin a string, if there are any.
func (d *hostsDecoder) inQuotes(offset int) int {
	for _, quotes := range []string{`"""`, `'''`, `"`, `'`} {
		if strings.HasPrefix(d.source[offset:], quotes) {
			return offset + len(quotes)
		}
	}
	return offset
}

// node finds a key that toml has seen; inside of a list of tables, which is a
// mistake before anything in it is, the list.
func (d *hostsDecoder) node(key toml.Key) *tomlpos.Node {
	n := d.root
	for _, name := range key {
		below, ok := n.Children[name]
		if !ok {
			break
		}
		n = below
	}
	return n
}
