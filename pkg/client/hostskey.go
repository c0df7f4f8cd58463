package client

import (
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/tomlpos"
)

// texts returns the value of a key in the form that Settings.Set takes.
func (d *hostsDecoder) texts(key toml.Key, s setting) ([]string, error) {
	switch v := d.lookup(key).(type) {
	case string:
		if s.form == asText || s.form == asTextOrList {
			return []string{v}, nil
		}
	case int64:
		if s.form == asNumber {
			return []string{strconv.FormatInt(v, 10)}, nil
		}
	case bool:
		if s.form == asBoolean {
			return []string{strconv.FormatBool(v)}, nil
		}
	case []any:
		if s.form == asList || s.form == asTextOrList {
			return d.items(key, v)
		}
	}
	return nil, d.errorAt(key, "", "%s is not %s: want %s", key[1], formNames[s.form], s.example)
}

// formNames are the names of forms in errors.
var formNames = map[form]string{
	asText: "text in quotes", asNumber: "a number", asBoolean: "true or false",
	asList: "a list", asTextOrList: "text in quotes or a list of it",
}

// items returns the items of a list. All lists of a host are of elements.
func (d *hostsDecoder) items(key toml.Key, values []any) ([]string, error) {
	texts := make([]string, len(values))
	for i, v := range values {
		var ok bool
		if texts[i], ok = v.(string); !ok {
			return nil, d.errorAt(key, "", `element %d of %s is not text: want "tcp/PORT", "udp/PORT" or "icmp"`, i+1, key[1])
		}
	}
	return texts, nil
}

// lookup returns the value of a key of a host.
func (d *hostsDecoder) lookup(key toml.Key) any {
	host, _ := d.top[key[0]].(map[string]any)
	return host[key[1]]
}

// errorAt returns an error about the value of a key.
func (d *hostsDecoder) errorAt(key toml.Key, hint, format string, args ...any) error {
	return d.errorAtOffset(d.offset(key), hint, format, args...)
}

// errorAtKey returns an error about a key, not about its value.
func (d *hostsDecoder) errorAtKey(key toml.Key, hint, format string, args ...any) error {
	return d.errorAtOffset(d.node(key).Key, hint, format, args...)
}

// errorAtText is an error about s, which is the value of a key or item i of it. If
// the item is written with escapes, s does not stand in the file, and the place is
// that of the whole list.
func (d *hostsDecoder) errorAtText(key toml.Key, i int, s string, err error) error {
	if _, ok := d.lookup(key).([]any); !ok {
		return d.errorAt(key, "", "%v", err)
	}
	list := d.node(key)
	at := list.Value
	if i < len(list.Items) && strings.HasPrefix(d.source[d.inQuotes(list.Items[i].Value):], s) {
		at = list.Items[i].Value
	}
	return d.errorAtOffset(at, "", "%v", err)
}

func (d *hostsDecoder) errorAtOffset(offset int, hint, format string, args ...any) error {
	line, column := d.lines.Place(offset)
	return place{d.path, line, column}.fail(hint, format, args...)
}

// offset returns where the value of a key begins: for a string after its quotes, for an
// array of tables at the last of its headers.
func (d *hostsDecoder) offset(key toml.Key) int {
	n := d.node(key)
	if d.meta.Type(key...) == "ArrayHash" && len(n.Items) > 0 {
		return n.Items[len(n.Items)-1].Value
	}
	return d.inQuotes(n.Value)
}

// inQuotes returns the offset after the quotes that begin a string, if there are any.
func (d *hostsDecoder) inQuotes(offset int) int {
	for _, quotes := range []string{`"""`, `'''`, `"`, `'`} {
		if strings.HasPrefix(d.source[offset:], quotes) {
			return offset + len(quotes)
		}
	}
	return offset
}

// node returns the node of a key that toml has decoded.
func (d *hostsDecoder) node(key toml.Key) *tomlpos.Node {
	// A key inside of an array of tables has no child here, and the node of the array
	// is returned. Such an array is always an error, which is reported first.
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
