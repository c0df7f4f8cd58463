package client

import (
	"net/netip"
	"strings"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
)

// rcExample is the hint to errors about the form of ~/.fwknoprc.
const rcExample = "a line looks like this: 10.3.2.1: tcp/7000, udp/8000"

// ParseRC reads ~/.fwknoprc. The lines of the 2004 client are shared knocks:
//
//	10.3.2.1: tcp/50053, udp/6020, icmp,
//	          icmp, tcp/24034, udp/9680    # comment
//
// A destination is a name or an address, IPv6 with or without brackets. A list
// continues on the next line after a comma.
//
// The stanzas of fwknop 2.x, which may stand in the same file, are SPA:
//
//	[default]
//	SPOOF_USER    mbr
//	[office]
//	SPA_SERVER    10.3.2.1
//	ACCESS        tcp/22,udp/1194
//	KEY_BASE64    ...
//
// The variables of the stanza default apply to all other stanzas that do not set
// them. A mistake in a stanza is the Err of its Host and does not affect others.
func ParseRC(path string, data []byte) ([]Host, error) {
	p := rcParser{path: path}
	const byteOrderMark = "\ufeff"
	text := strings.TrimPrefix(string(data), byteOrderMark)
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimRight(line, " \t\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := p.statement(line); err != nil {
			return nil, err
		}
	}
	if err := p.endEntry(); err != nil {
		return nil, err
	}
	return append(p.hosts, p.stanzas.hosts(path)...), nil
}

type rcParser struct {
	path    string
	line    int // counted from 1
	hosts   []Host
	stanzas stanzas

	inStanza bool
	// open: the last of hosts is being read; more: its last line ended in a
	// comma. entry is the line it began in.
	open, more bool
	entry      int
}

// statement reads a line, without its comment, that is not blank.
func (p *rcParser) statement(line string) error {
	// The last colon, because IPv6 addresses contain colons and elements do not.
	colon := strings.LastIndexByte(line, ':')
	if p.more && colon < 0 && !isStanza(line) {
		return p.elements(line, 0)
	}
	if err := p.endEntry(); err != nil {
		return err
	}
	switch {
	case isStanza(line):
		p.inStanza = true
		p.stanzas.begin(p.line, line)
		return nil
	case p.inStanza && !isEntry(line, colon):
		p.stanzas.add(p.line, line)
		return nil
	case colon < 0:
		return p.at(line, 0).fail(rcExample, "%q has no destination", strings.TrimSpace(line))
	}
	p.inStanza = false
	if err := p.destination(line[:colon]); err != nil {
		return err
	}
	return p.elements(line, colon+1)
}

// isStanza reports whether a line is "[name]". An entry may begin with "[fd00::1]", but
// does not end with a bracket.
func isStanza(line string) bool {
	line = strings.TrimSpace(line)
	return line[0] == '[' && line[len(line)-1] == ']'
}

// isEntry reports whether a line after a stanza is an entry ("host: ...") and not a
// variable of the stanza ("NAME VALUE" or "NAME: VALUE").
func isEntry(line string, colon int) bool {
	// Values may have colons, so the first word decides: variables are in capitals.
	if colon < 0 {
		return false
	}
	if _, err := netip.ParseAddr(unbracket(strings.TrimSpace(line[:colon]))); err == nil {
		return true
	}
	word, _, found := strings.Cut(strings.Fields(line)[0], ":")
	return found && strings.ContainsFunc(word, func(r rune) bool { return r >= 'a' && r <= 'z' })
}

func (p *rcParser) destination(s string) error {
	name := unbracket(strings.TrimSpace(s))
	if !isHost(name) {
		return p.at(s, 0).fail(rcExample, "bad destination %q: want a host name or an address", strings.TrimSpace(s))
	}
	for _, h := range p.hosts {
		if sameName(h.Name, name) {
			return p.at(s, 0).fail("", "%s is defined twice, first at %s", name, h.Origin)
		}
	}
	p.hosts = append(p.hosts, Host{Name: name, Settings: Settings{Kind: Shared}, Origin: place{p.path, p.line, 0}.String()})
	p.open, p.entry = true, p.line
	return nil
}

// elements reads the list of elements that begins at an offset of a line.
func (p *rcParser) elements(line string, offset int) error {
	s := &p.hosts[len(p.hosts)-1].Settings
	p.more = false
	for offset < len(line) {
		field, _, comma := strings.Cut(line[offset:], ",")
		e, err := port.ParseKnock(strings.TrimSpace(field))
		if err != nil {
			return p.at(line, offset).fail("", "%v", err)
		}
		s.Sequence = append(s.Sequence, e)
		if len(s.Sequence) > knock.MaxSequence {
			return p.at(line, offset).fail("", "%v", checkLength(len(s.Sequence)))
		}
		offset += len(field)
		if comma {
			offset++
			p.more = offset == len(line)
		}
	}
	return nil
}

// endEntry is called after the last line of an entry.
func (p *rcParser) endEntry() error {
	if !p.open {
		return nil
	}
	s := &p.hosts[len(p.hosts)-1].Settings
	p.open, p.more = false, false
	if err := checkLength(len(s.Sequence)); err != nil {
		return place{p.path, p.entry, 0}.fail("a sequence goes on in the next line only after a comma", "%v", err)
	}
	return nil
}

// at is the place of the first character at or behind an offset that is no blank,
// in the line being read.
func (p *rcParser) at(line string, offset int) place {
	rest := line[offset:]
	column := offset + len(rest) - len(strings.TrimLeft(rest, " \t")) + 1
	return place{p.path, p.line, column}
}
