package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/tomlpos"
)

// hostsExample is the hint to errors about the form of hosts.toml.
const hostsExample = `a host looks like this: ["ssh.example.org"] and below it sequence = ["tcp/7000", "udp/8000"]; ` +
	`address, delay and verify may follow`

// ParseHosts reads hosts.toml, one table a host:
//
//	["ssh.example.org"]
//	address = "10.3.2.1"             # optional, an address or a name
//	sequence = ["tcp/50053", "icmp"] # 2 to 32 elements
//	delay = "500ms"                  # optional pause between elements
//	verify = "tcp/22"                # optional
//
// Anything else in it is an error, which names path, line and column. Hosts
// come in the order of the file.
func ParseHosts(path string, data []byte) ([]Host, error) {
	d := hostsDecoder{path: path, source: tomlpos.TrimMark(string(data))}
	d.lines = tomlpos.NewLines(d.source)
	var err error
	if d.root, err = tomlpos.Locate(d.source); err != nil {
		return nil, d.syntaxError(err)
	}
	// NB: toml takes the mark off itself, and of d.source it would take a
	// second one.
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

// hostsDecoder walks through the keys in the order of the file, so that the
// first mistake is the one reported.
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
		return d.errorAtOffset(syntax.Position.Start, hostsExample, "%s", syntax.Message)
	}
	var deep *tomlpos.DepthError
	if errors.As(err, &deep) {
		return d.errorAtOffset(deep.Offset, hostsExample, "%v", deep)
	}
	return configError("", "%s: %v", d.path, err)
}

func (d *hostsDecoder) key(key toml.Key) error {
	if !isHost(unbracket(key[0])) {
		return d.errorAt(key, "", "bad host name %q: it is what you would type to mean this host", key[0])
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
			return d.errorAt(key, "", "host %q is there twice, first at %s", key[0], h.Origin)
		}
	}
	line, _ := d.lines.Place(d.offset(key))
	d.hosts = append(d.hosts, Host{
		Name:   key[0],
		Origin: fmt.Sprintf("%s:%d", d.path, line),
	})
	return nil
}

func (d *hostsDecoder) value(key toml.Key) error {
	i := len(d.hosts) - 1
	if i < 0 || d.hosts[i].Name != key[0] {
		// A dotted key brings a value without a table of its own; one
		// form is enough.
		return d.errorAtKey(key, hostsExample+"; a name with dots needs quotes", "unexpected key %s", key)
	}
	h := &d.hosts[i]
	switch key[1] {
	case "address":
		return d.address(key, h)
	case "sequence":
		return d.sequence(key, h)
	case "delay":
		return d.delay(key, h)
	case "verify":
		return d.verify(key, h)
	}
	return d.errorAtKey(key, "", "unknown key %q: want sequence, address, delay or verify", key[1])
}

func (d *hostsDecoder) address(key toml.Key, h *Host) error {
	s, err := d.text(key, `address = "10.3.2.1"`)
	if err != nil {
		return err
	}
	if !isHost(unbracket(s)) {
		return d.errorAt(key, "", "bad address %q: want an IP address or a host name", s)
	}
	h.Address = s
	return nil
}

func (d *hostsDecoder) sequence(key toml.Key, h *Host) error {
	list, ok := d.lookup(key).([]any)
	if !ok {
		return d.errorAt(key, "", `sequence is not a list: want sequence = ["tcp/7000", "udp/8000"]`)
	}
	for i, v := range list {
		s, ok := v.(string)
		if !ok {
			return d.errorAt(key, "", `element %d of the sequence is not text: want "tcp/PORT", "udp/PORT" or "icmp"`, i+1)
		}
		e, err := knock.ParseElement(s)
		if err != nil {
			return d.errorAtElement(key, i, s, "%v", err)
		}
		h.Sequence = append(h.Sequence, e)
	}
	if err := checkLength(len(h.Sequence)); err != nil {
		return d.errorAt(key, "", "%v", err)
	}
	return nil
}

func (d *hostsDecoder) delay(key toml.Key, h *Host) error {
	s, err := d.text(key, `delay = "500ms"`)
	if err != nil {
		return err
	}
	if h.Delay, err = time.ParseDuration(s); err != nil || h.Delay < 0 {
		return d.errorAt(key, "", `bad delay %q: want a number with its unit, such as "500ms" or "3s"`, s)
	}
	return nil
}

func (d *hostsDecoder) verify(key toml.Key, h *Host) error {
	s, err := d.text(key, `verify = "tcp/22"`)
	if err != nil {
		return err
	}
	if h.Verify, err = ParseVerify(s); err != nil {
		return d.errorAt(key, "", "%v", err)
	}
	return nil
}

// complete checks that no host lacks its sequence.
func (d *hostsDecoder) complete() error {
	for _, h := range d.hosts {
		if h.Sequence == nil {
			return d.errorAt(toml.Key{h.Name}, "", `host %q has no sequence: want sequence = ["tcp/7000", "udp/8000"]`, h.Name)
		}
	}
	return nil
}

// ParseVerify reads the port to verify, "tcp/22". Only TCP answers a stranger
// reliably.
func ParseVerify(s string) (knock.Element, error) {
	e, err := knock.ParseElement(s)
	if err != nil || e.Protocol != packet.TCP {
		return knock.Element{}, fmt.Errorf("cannot verify %q: want a TCP port, such as tcp/22", s)
	}
	return e, nil
}

// checkLength applies the bounds of a shared sequence.
func checkLength(n int) error {
	if n < knock.MinSequence || n > knock.MaxSequence {
		return fmt.Errorf("a sequence of length %d: want %d to %d elements", n, knock.MinSequence, knock.MaxSequence)
	}
	return nil
}
