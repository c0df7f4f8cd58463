package fingerprint

import (
	"fmt"
	"net/netip"
	"strings"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/wording"
)

// Grammar is how signatures are written.
type Grammar string

// The grammars; see p0f.Parse.
const (
	P0F3 Grammar = "p0f3"
	P0F2 Grammar = "p0f2"
	PF   Grammar = "pf.os"
)

// Grammars are all of them.
var Grammars = []Grammar{P0F3, P0F2, PF}

// Answer is what a database says about one SYN. Programs rely on the form of its
// JSON.
type Answer struct {
	Src     netip.Addr `json:"src"`
	Dst     netip.Addr `json:"dst"`
	Sport   uint16     `json:"sport"`
	Dport   uint16     `json:"dport"`
	Version uint8      `json:"version"` // 4 or 6
	Label   string     `json:"label"`   // "" if unknown, and then so are Family and Flavour
	Family  string     `json:"family"`
	Flavour string     `json:"flavour"`
	// Class is "os", "tool", "proxy" or "stack". An unknown SYN counts as "os": nothing says that a
	// tool sent it.
	Class      string `json:"class"`
	Confidence string `json:"confidence"` // "exact", "family", "low", "none"
	Distance   uint8  `json:"distance"`   // in hops; see p0f.Match
	// Signature describes the SYN in the grammar asked for. The older grammars
	// cannot describe IPv6, whose signatures are always of version 3.
	Signature string `json:"signature"`
}

// NewAnswer matches a pure SYN against the database.
func NewAnswer(db *p0f.Database, p *packet.Packet, g Grammar) Answer {
	m := db.Match(p)
	a := Answer{
		Src: p.Src, Dst: p.Dst, Sport: p.SrcPort, Dport: p.DstPort, Version: p.Version,
		Class:      m.Class.String(),
		Confidence: m.Confidence.String(),
		Distance:   m.Distance,
		Signature:  observed(p, g),
	}
	if m.Confidence != p0f.None {
		label := db.Label(m.Label)
		a.Label, a.Family, a.Flavour = label.String(), label.Family, label.Flavour
	}
	return a
}

func observed(p *packet.Packet, g Grammar) string {
	if s, ok := observed2(p, g); ok {
		return s.String()
	}
	s, _ := p0f.Observe(p)
	return s.String()
}

// observed2 returns the signature in one of the older grammars, if g is one and can
// describe p.
func observed2(p *packet.Packet, g Grammar) (s p0f.Signature2, ok bool) {
	if g == P0F3 {
		return s, false
	}
	return p0f.Observe2(p, g == PF)
}

// Known reports whether the database knows the SYN.
func (a Answer) Known() bool { return a.Confidence != p0f.None.String() }

// String is one line for people.
func (a Answer) String() string {
	return fmt.Sprintf("%v > %v: %s; %s",
		netip.AddrPortFrom(a.Src, a.Sport), netip.AddrPortFrom(a.Dst, a.Dport), a.guess(), a.Signature)
}

// guess is the answer alone.
func (a Answer) guess() string {
	if !a.Known() {
		return "unknown (" + hops(a.Distance) + " away)"
	}
	said := []string{a.Confidence, hops(a.Distance) + " away"}
	if a.Class != p0f.OS.String() {
		said = append([]string{"a " + a.Class}, said...)
	}
	return a.Label + " (" + strings.Join(said, ", ") + ")"
}

func hops(n uint8) string { return wording.Count(int(n), "hop", "hops") }

// Header is what a file of rules begins with.
func Header(g Grammar) string {
	if g == P0F3 {
		return "classes = other\n[tcp:request]\n"
	}
	return ""
}

// Rule returns lines for a signature file that match SYNs like p, in a grammar. NAME
// and VERSION are to be replaced.
func Rule(p *packet.Packet, g Grammar) string {
	if s, ok := observed2(p, g); ok {
		if g == PF {
			return s.String() + ":NAME:VERSION::NAME VERSION"
		}
		return s.String() + ":NAME:VERSION"
	}
	s, _ := p0f.Observe(p)
	if g != P0F3 {
		return "# " + s.Rule().String() // the older grammars cannot describe IPv6
	}
	return "label = s:other:NAME:VERSION\nsig   = " + s.Rule().String()
}
