package client

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/knock"
	"nftknock/pkg/tomlpos"
)

// hostsExample is the hint to errors about the form of hosts.toml.
const hostsExample = `a host looks like this: ["ssh.example.org"] and below it sequence = ["tcp/7000", "udp/8000"]`

// ParseHosts reads hosts.toml, one table per host:
//
//	["ssh.example.org"]
//	address = "10.3.2.1"             # optional, an address or a name
//	sequence = ["tcp/50053", "icmp"] # 2 to 32 elements
//	verify = "tcp/22"                # optional
//
//	["vpn.example.org"]
//	knock = "encrypted"
//	key_file = "vpn.key"             # relative to the file; ~/ is the home directory
//	open = "udp/51820"
//
// The keys are those of Names; Of says with which kinds of knock each can be used.
// Anything else is an error, which names path, line and column. Hosts are returned in the
// order of the file.
func ParseHosts(path string, data []byte) ([]Host, error) {
	d := hostsDecoder{path: path, source: tomlpos.TrimMark(string(data))}
	d.lines = tomlpos.NewLines(d.source)
	var err error
	if d.root, err = tomlpos.Locate(d.source); err != nil {
		return nil, d.syntaxError(err)
	}
	// NB: data and not d.source: toml removes a byte order mark itself, and would
	// remove a second one from d.source.
	if d.meta, err = toml.Decode(string(data), &d.top); err != nil {
		return nil, d.syntaxError(err)
	}
	for _, key := range d.meta.Keys() {
		if err := d.key(key); err != nil {
			return nil, err
		}
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	return d.hosts, nil
}

// hostsDecoder reads the keys in the order of the file, so that the first mistake is
// reported.
type hostsDecoder struct {
	path, source string
	lines        *tomlpos.Lines
	root         *tomlpos.Node
	meta         toml.MetaData
	top          map[string]any
	hosts        []Host
}

func (d *hostsDecoder) syntaxError(err error) error {
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		message := syntax.Message
		if d.mayHoldKey(syntax.Position.Start) {
			message = "not valid TOML: want a value in quotes"
		}
		return d.errorAtOffset(syntax.Position.Start, hostsExample, "%s", message)
	}
	var deep *tomlpos.DepthError
	if errors.As(err, &deep) {
		return d.errorAtOffset(deep.Offset, hostsExample, "%v", deep)
	}
	return configError("", "%s: %v", d.path, err)
}

// mayHoldKey reports whether a line may contain a secret key. The messages of
// package toml would show it.
func (d *hostsDecoder) mayHoldKey(offset int) bool {
	offset = min(max(offset, 0), len(d.source)) // package toml may point beside
	begin := strings.LastIndexByte(d.source[:offset], '\n') + 1
	line, _, _ := strings.Cut(d.source[begin:], "\n")
	return strings.Contains(strings.ToLower(line), "key")
}

func (d *hostsDecoder) key(key toml.Key) error {
	if !isHost(unbracket(key[0])) {
		return d.errorAt(key, "", "bad host name %q: want the name or address that you type to reach this host", key[0])
	}
	switch {
	case len(key) == 1:
		return d.table(key)
	case len(key) > 2 || d.meta.Type(key...) == "Hash":
		return d.errorAt(key, fmt.Sprintf("a name with dots needs quotes: [%q]", strings.Join(key, ".")),
			"unexpected table %s", key)
	}
	return d.value(key)
}

func (d *hostsDecoder) table(key toml.Key) error {
	if kind := d.meta.Type(key...); kind != "Hash" {
		return d.errorAt(key, hostsExample, "%q is outside of any host", key[0])
	}
	for _, h := range d.hosts {
		if sameName(h.Name, key[0]) {
			return d.errorAt(key, "", "host %q is defined twice, first at %s", key[0], h.Origin)
		}
	}
	line, _ := d.lines.Place(d.offset(key))
	d.hosts = append(d.hosts, Host{
		Name:   key[0],
		Origin: place{d.path, line, 0}.String(),
	})
	return nil
}

func (d *hostsDecoder) value(key toml.Key) error {
	i := len(d.hosts) - 1
	if i < 0 || d.hosts[i].Name != key[0] {
		// NB: a dotted key sets a value without a table for the host. It is
		// refused, so that a host is always a table.
		return d.errorAtKey(key, hostsExample+"; a name with dots needs quotes", "unexpected key %s", key)
	}
	s, ok := settings[key[1]]
	if !ok {
		return d.errorAtKey(key, "a host may have "+or(Names()), "unknown key %q", key[1])
	}
	texts, err := d.texts(key, s)
	if err != nil {
		return err
	}
	h := &d.hosts[i]
	for n, text := range texts {
		if err := s.set(&h.Settings, text); err != nil {
			return d.errorAtText(key, n, text, err)
		}
	}
	if key[1] == "sequence" {
		err = checkLength(len(h.Settings.Sequence))
	} else if len(texts) == 0 {
		err = fmt.Errorf("%s is an empty list: want %s", key[1], s.example)
	}
	if err != nil {
		return d.errorAt(key, "", "%v", err)
	}
	return nil
}

// complete checks all hosts after they have been read.
func (d *hostsDecoder) complete() error {
	for i := range d.hosts {
		h := &d.hosts[i]
		s := &h.Settings
		if s.Kind == "" {
			if s.Sequence == nil {
				return d.errorAt(toml.Key{h.Name}, "", `host %q has no knock: want sequence = ["tcp/7000", "udp/8000"], or knock = "encrypted" and others`, h.Name)
			}
			s.Kind = Shared
		}
		s.KeyFile, s.HMACKeyFile = d.keyPath(s.KeyFile), d.keyPath(s.HMACKeyFile)
	}
	// After the loop above, since the key "knock" may follow the keys that depend on it.
	for _, key := range d.meta.Keys() {
		if err := d.belongs(key); err != nil {
			return err
		}
	}
	for i := range d.hosts {
		if err := d.fits(&d.hosts[i]); err != nil {
			return err
		}
	}
	return nil
}

// belongs refuses keys that have no effect on a host's kind of knock.
func (d *hostsDecoder) belongs(key toml.Key) error {
	if len(key) < 2 {
		return nil
	}
	h := d.host(key[0])
	if kinds := Of(key[1]); !slices.Contains(kinds, h.Settings.Kind) {
		return d.errorAtKey(key, "", "%s has no effect with knock = %q: it belongs to %s", key[1], h.Settings.Kind, or(kinds))
	}
	if key[1] == "key" || key[1] == "hmac_key" {
		line, _ := d.lines.Place(d.node(key).Key)
		h.Warnings = append(h.Warnings, fmt.Sprintf("%s: %s stands in the file itself: a %s_file of its own is easier to keep secret",
			place{d.path, line, 0}, key[1], key[1]))
	}
	return nil
}

// fits checks that the keys of a host go together and none is missing.
func (d *hostsDecoder) fits(h *Host) error {
	if m := h.Settings.check(); m != nil {
		return d.errorAt(toml.Key{h.Name, m.setting}, "", "%v", m)
	}
	if h.Settings.Kind != Shared {
		return nil
	}
	if h.Settings.Sequence == nil {
		return d.errorAt(toml.Key{h.Name}, "", `host %q has no sequence: want %s`, h.Name, settings["sequence"].example)
	}
	return nil
}

func (d *hostsDecoder) host(name string) *Host {
	for i := range d.hosts {
		if d.hosts[i].Name == name {
			return &d.hosts[i]
		}
	}
	panic("client: a key of no host") // d.table has added one for each table
}

// keyPath resolves the path of a key file: "~/" is the home directory, and other
// relative paths are relative to the directory of hosts.toml.
func (d *hostsDecoder) keyPath(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, rest)
		}
	}
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.path), path)
}

// checkLength checks the length of a shared sequence in a file.
func checkLength(n int) error {
	if n < knock.MinSequence || n > knock.MaxSequence {
		return fmt.Errorf("a sequence of length %d: want %d to %d elements", n, knock.MinSequence, knock.MaxSequence)
	}
	return nil
}
