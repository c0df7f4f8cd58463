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

// portOf says which port of a packet a rule is about.
type portOf uint8

const (
	// header is the destination port in the packet.
	header portOf = iota
	// transport is the same two bytes of any packet, without the question which
	// protocol it has: what matches is to be asked again.
	transport
	// dialled is the destination port of the packet that began the connection,
	// as it was before anybody translated it.
	dialled
)

// word is what nft calls it, behind what prefix gives.
func (o portOf) word(p packet.Protocol) string {
	switch o {
	case dialled:
		return "ct original proto-dst"
	case transport:
		return "th dport"
	}
	return p.String() + " dport"
}

// prefix is what nft wants in front of a rule, so that it knows the protocol.
func (o portOf) prefix(p packet.Protocol) string {
	if o == dialled {
		return "meta l4proto " + p.String() + " "
	}
	return ""
}

// load puts the port into a register.
func (o portOf) load(register uint32) expr.Any {
	if o == dialled {
		const original = 0 // IP_CT_DIR_ORIGINAL
		return &expr.Ct{Key: expr.CtKeyPROTODST, Register: register, Direction: original}
	}
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

// checks make sure of the protocol.
func (o portOf) checks(p packet.Protocol) []expr.Any {
	if o == transport {
		return nil
	}
	return ofProtocol(p)
}

// in matches a range of ports, or a single one.
func (o portOf) in(s port.Range) statement {
	_, ports, _ := strings.Cut(s.String(), "/")
	exprs := append(o.checks(s.Protocol), o.load(reg1))
	if s.First == s.Last {
		exprs = append(exprs, equal(binaryutil.BigEndian.PutUint16(s.First)...))
	} else {
		exprs = append(exprs,
			&expr.Cmp{Op: expr.CmpOpGte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.First)},
			&expr.Cmp{Op: expr.CmpOpLte, Register: reg1, Data: binaryutil.BigEndian.PutUint16(s.Last)})
	}
	return statement{o.prefix(s.Protocol) + o.word(s.Protocol) + " " + ports, exprs}
}

// inSet looks the port up.
func (o portOf) inSet(p packet.Protocol, set string) statement {
	return statement{fmt.Sprintf("%s%s @%s", o.prefix(p), o.word(p), set),
		append(o.checks(p), o.load(reg1), &expr.Lookup{SourceRegister: reg1, SetName: set})}
}

// ports are the ports of one protocol as the rules look for them: single ones
// by one look-up in a set, which the kernel keeps as a bitmap, and ranges by
// comparison, since a set of ranges costs several times as much.
type ports struct {
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

// portsOf gives the ports of a protocol among some services.
func portsOf(p packet.Protocol, set string, services ...[]port.Range) ports {
	all := slices.DeleteFunc(slices.Concat(services...), func(s port.Range) bool { return s.Protocol != p })
	return newPorts(p, set, all)
}

// portsOfAny gives the ports of some services whatever the protocol.
func portsOfAny(set string, services ...[]port.Range) ports {
	all := slices.Concat(services...)
	for i := range all {
		all[i].Protocol = packet.TCP
	}
	return newPorts(packet.TCP, set, all)
}

func newPorts(p packet.Protocol, set string, services []port.Range) ports {
	o := ports{protocol: p, set: set}
	for _, s := range port.Normal(services) {
		if s.First == s.Last {
			o.single = append(o.single, s.First)
		} else {
			o.ranges = append(o.ranges, s)
		}
	}
	o.spread()
	return o
}

// spread takes the smallest ranges apart where there are many.
func (o *ports) spread() {
	bySize := slices.Clone(o.ranges)
	slices.SortStableFunc(bySize, func(a, b port.Range) int { return a.Ports() - b.Ports() })
	for room := maxSpread; len(bySize) > maxRanges && bySize[0].Ports() <= room; bySize = bySize[1:] {
		room -= bySize[0].Ports()
		for n := range bySize[0].Ports() {
			o.single = append(o.single, bySize[0].At(n).First)
		}
	}
	slices.Sort(o.single)
	o.ranges = slices.SortedFunc(slices.Values(bySize), port.Compare)
}

func (o ports) empty() bool { return len(o.single)+len(o.ranges) == 0 }

// named reports whether the single ports are in a set: one alone is compared
// with.
func (o ports) named() bool { return len(o.single) > 1 }

// match gives a rule for each way to be one of the ports, with further
// statements behind it.
func (o ports) match(by portOf, then ...statement) []rule {
	var rules []rule
	switch {
	case o.named():
		rules = append(rules, rule{by.inSet(o.protocol, o.set)})
	case len(o.single) == 1:
		rules = append(rules, rule{by.in(port.Single(o.protocol, o.single[0]))})
	}
	for _, s := range o.ranges {
		rules = append(rules, rule{by.in(s)})
	}
	for i := range rules {
		rules[i] = rules[i].with(then...)
	}
	return rules
}
