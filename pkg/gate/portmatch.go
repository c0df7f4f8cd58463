package gate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// portExpr is the expression with which a match loads the port that it compares.
type portExpr uint8

const (
	// destinationPort is the destination port in the packet's header.
	destinationPort portExpr = iota
	// anyDestinationPort is the same two bytes, without a match for the protocol:
	// a later rule has to ask for that.
	anyDestinationPort
	// originalPort is the destination port of the packet that began the connection,
	// as it was before anybody translated it.
	originalPort
)

// word is what nft calls it, behind what prefix gives.
func (x portExpr) word(p packet.Protocol) string {
	switch x {
	case originalPort:
		return "ct original proto-dst"
	case anyDestinationPort:
		return "th dport"
	}
	return p.String() + " dport"
}

// prefix is what nft wants in front of a match, so that it knows the protocol.
func (x portExpr) prefix(p packet.Protocol) string {
	if x == originalPort {
		return "meta l4proto " + p.String() + " "
	}
	return ""
}

// load puts the port into a register.
func (x portExpr) load(register uint32) expr.Any {
	if x == originalPort {
		const original = 0 // IP_CT_DIR_ORIGINAL
		return &expr.Ct{Key: expr.CtKeyPROTODST, Register: register, Direction: original}
	}
	// Ports are the first four bytes of TCP's and UDP's headers alike.
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

// checks make sure of the protocol.
func (x portExpr) checks(p packet.Protocol) []expr.Any {
	if x == anyDestinationPort {
		return nil
	}
	return ofProtocol(p)
}

// in matches a range of ports, or a single one.
func (x portExpr) in(s port.Range) match {
	_, ports, _ := strings.Cut(s.String(), "/")
	exprs := append(x.checks(s.Protocol), x.load(reg1))
	if s.First == s.Last {
		exprs = append(exprs, equal(binaryutil.BigEndian.PutUint16(s.First)...))
	} else {
		// Two comparisons, as nft writes a range: they compare bytes, so that the
		// order of the network is the order of the numbers.
		exprs = append(exprs,
			&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.First)},
			&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.Last)})
	}
	return match{x.prefix(s.Protocol) + x.word(s.Protocol) + " " + ports, exprs}
}

// inSet looks the port up.
func (x portExpr) inSet(p packet.Protocol, set string) match {
	return match{fmt.Sprintf("%s%s @%s", x.prefix(p), x.word(p), set),
		append(x.checks(p), x.load(reg1), lookup(set))}
}

// portMatch is how rules match some ports of one protocol: single ones with one
// look-up in a set, which the kernel keeps as a bitmap, and ranges by comparison,
// since a set of ranges costs several times as much.
type portMatch struct {
	protocol packet.Protocol
	set      string // its name
	single   []uint16
	ranges   []port.Range
}

const (
	// maxRanges is how many ranges are compared with, one after the other.
	maxRanges = 8
	// maxSpread bounds the ports of further ranges that are put into the set
	// one by one, the smallest ranges first: the kernel takes a time to add
	// them that grows with the square of their number.
	maxSpread = 16384
)

// matchPorts matches the ports of a protocol among some services.
func matchPorts(p packet.Protocol, set string, services ...[]port.Range) portMatch {
	all := slices.DeleteFunc(slices.Concat(services...), func(s port.Range) bool { return s.Protocol != p })
	return newPortMatch(p, set, all)
}

// matchAnyPort matches the ports of some services whatever the protocol.
func matchAnyPort(set string, services ...[]port.Range) portMatch {
	all := slices.Concat(services...)
	for i := range all {
		// One protocol for all, so that ranges of both that overlap are joined.
		all[i].Protocol = packet.TCP
	}
	return newPortMatch(packet.TCP, set, all)
}

func newPortMatch(p packet.Protocol, set string, services []port.Range) portMatch {
	m := portMatch{protocol: p, set: set}
	for _, s := range port.Normal(services) {
		if s.First == s.Last {
			m.single = append(m.single, s.First)
		} else {
			m.ranges = append(m.ranges, s)
		}
	}
	m.spread()
	return m
}

// spread makes single ports of the smallest ranges where there are many.
func (m *portMatch) spread() {
	bySize := slices.Clone(m.ranges)
	slices.SortStableFunc(bySize, func(a, b port.Range) int { return a.Ports() - b.Ports() })
	for left := maxSpread; len(bySize) > maxRanges && bySize[0].Ports() <= left; bySize = bySize[1:] {
		left -= bySize[0].Ports()
		for n := range bySize[0].Ports() {
			m.single = append(m.single, bySize[0].At(n).First)
		}
	}
	slices.Sort(m.single)
	m.ranges = slices.SortedFunc(slices.Values(bySize), port.Compare)
}

func (m portMatch) empty() bool { return len(m.single)+len(m.ranges) == 0 }

// usesSet reports whether the single ports are in a set: one alone is compared
// with.
func (m portMatch) usesSet() bool { return len(m.single) > 1 }

// rules returns a rule for each way to be one of the ports, each with the same
// statements.
func (m portMatch) rules(x portExpr, statements ...statement) []rule {
	var rules []rule
	switch {
	case m.usesSet():
		rules = append(rules, when(x.inSet(m.protocol, m.set)).do(statements...))
	case len(m.single) == 1:
		rules = append(rules, when(x.in(port.Single(m.protocol, m.single[0]))).do(statements...))
	}
	for _, s := range m.ranges {
		rules = append(rules, when(x.in(s)).do(statements...))
	}
	return rules
}
