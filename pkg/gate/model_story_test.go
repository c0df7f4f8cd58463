package gate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// The world of the stories: one server with two cables, and a host behind it.
const (
	firstPort, lastPort = 20, 51 // where services are hidden
	redirectedPort      = 21     // to 22
	forwardedPort       = 24     // to 25 of the host behind
	redirectedTwo       = 23     // to 25
	untrackedPort       = 30     // conntrack is not asked
	boundPort           = 28     // its listener has one address
	nobodysPort         = 9
)

var (
	// Each IPv4 address, and the IPv6 one at the same place.
	outside = [2][]netip.Addr{
		{addr("11.0.0.1"), addr("11.0.0.2"), addr("11.0.1.1"), addr("11.128.0.1")},
		{addr("fd11::1"), addr("fd11::2"), addr("fd11:0:0:1::1"), addr("fd11:8000::1")},
	}
	inside = [2][]netip.Addr{
		{addr(server4), addr("10.4.2.1"), addr("10.77.0.1"), addr("10.9.9.2")},
		{addr(server6), addr("fd04::1"), addr("fd77::1"), addr("fd09::2")},
	}
	// elsewhere is the address of this host that prerouting takes for somebody
	// else's: IPv4's is only in another routing table than local, where fib does
	// not look. (For IPv6 it does.)
	elsewhere = map[netip.Addr]bool{addr("10.77.0.1"): true}
	behind    = map[netip.Addr]bool{addr("10.9.9.2"): true, addr("fd09::2"): true}
	thisHost  = func() map[netip.Addr]bool {
		all := make(map[netip.Addr]bool)
		for _, a := range slices.Concat(inside[0], inside[1]) {
			all[a] = !behind[a]
		}
		return all
	}()

	translatedPorts = map[uint16]bool{redirectedPort: true, redirectedTwo: true, forwardedPort: true}
	untrackedPorts  = map[uint16]bool{untrackedPort: true}
	listened        = []uint16{22, 25, untrackedPort, 31}
	specialPorts    = []uint16{redirectedPort, 22, redirectedTwo, forwardedPort, 25, boundPort, untrackedPort, 31}
)

type kind uint8

const (
	sendPacket kind = iota
	connect         // a handshake, if a program listens
	talk            // something in order on a connection of before
	giveGrant
	revokeGrant
	applyRuleset
	flushTable
	repairTable
	trackingFlushed
	hostDatagram
	hostDials
	hostResets
	expireGrant
)

// step is one thing that happens.
type step struct {
	kind    kind
	probe   probe
	grant   Grant
	ruleset int
}

func (s step) String() string {
	switch s.kind {
	case sendPacket:
		return "packet " + s.probe.String()
	case connect:
		s.probe.flags = packet.SYN
		return "handshake " + s.probe.String()
	case talk:
		return "in order on the connection: " + s.probe.String()
	case giveGrant, revokeGrant, expireGrant:
		word := map[kind]string{giveGrant: "grant", revokeGrant: "revoke", expireGrant: "grant for a moment, and wait"}[s.kind]
		if s.grant.Once {
			word += " once"
		}
		return fmt.Sprintf("%s %s to %s", word, s.grant.Service, wording.Prefix(s.grant.Source))
	case applyRuleset:
		return fmt.Sprintf("apply ruleset %d", s.ruleset)
	case hostDatagram, hostDials, hostResets:
		word := map[kind]string{hostDatagram: "the server sends a datagram", hostDials: "the server connects", hostResets: "the server resets the connection"}[s.kind]
		return fmt.Sprintf("%s from %v to %v", word, s.probe.to, s.probe.from)
	}
	return map[kind]string{
		flushTable: "somebody deletes the table", repairTable: "repair", trackingFlushed: "somebody flushes conntrack",
	}[s.kind]
}

func (p probe) String() string {
	flags := ""
	if p.protocol == packet.TCP {
		flags = " " + flagNames(p.flags)
	}
	return fmt.Sprintf("%s %v -> %v%s by %s", p.protocol, p.from, p.to, flags, p.device)
}

func flagNames(f packet.TCPFlags) string {
	var names []string
	for i, name := range []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"} {
		if f>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return "[" + strings.Join(names, " ") + "]"
}

// story is some rulesets and what happens.
type story struct {
	rulesets []Ruleset
	steps    []step
}

func (s story) String() string {
	var b strings.Builder
	for i, r := range s.rulesets {
		fmt.Fprintf(&b, "ruleset %d: hidden %v knock %v messages %v unguarded %v hide %v workers %d ICMP %v label %d\n",
			i, r.Protected, r.KnockPorts, r.Messages, r.Unguarded, r.Hide, r.workers(), r.ICMP, r.label())
		for _, o := range r.Openings {
			fmt.Fprintf(&b, "\topening %s /%d /%d once %v\n", o.Service, o.Bits4, o.Bits6, o.Once)
		}
	}
	for i, step := range s.steps {
		fmt.Fprintf(&b, "%3d. %v\n", i+1, step)
	}
	return b.String()
}

// dice are bytes that decide. When they are used up all else is the first that
// there is to choose from.
type dice []byte

func (d *dice) roll(n int) int {
	if len(*d) == 0 {
		return 0
	}
	v := int((*d)[0])
	*d = (*d)[1:]
	return v % n
}

func pick[T any](d *dice, list ...T) T { return list[d.roll(len(list))] }

// maxSteps bounds a story.
const maxSteps = 150

// readStory makes a story of any bytes.
func readStory(data []byte) story {
	d := dice(data)
	var s story
	for range 1 + d.roll(3) {
		s.rulesets = append(s.rulesets, d.ruleset())
	}
	before := pick(&d, 0, 0, 0, 4, 9) // before there is a table
	for applied := false; len(d) > 0 && len(s.steps) < maxSteps; {
		if !applied && len(s.steps) >= before {
			s.steps, applied = append(s.steps, step{kind: applyRuleset}), true
		}
		if d.roll(6) == 5 {
			s.steps = append(s.steps, d.visit(&s)...)
		} else {
			s.steps = append(s.steps, d.step(&s))
		}
	}
	return s
}

// visit is somebody who is let in, what happens then, and how he goes on.
func (d *dice) visit(s *story) []step {
	r := s.rulesets[0]
	for _, t := range s.steps {
		if t.kind == applyRuleset {
			r = s.rulesets[t.ruleset]
		}
	}
	g := d.grant(r)
	p := d.probe(sendPacket, nil)
	p.protocol = g.Service.Protocol
	v := 0
	if g.Source.Addr().Is6() {
		v = 1
	}
	from := slices.DeleteFunc(slices.Clone(outside[v]), func(a netip.Addr) bool { return !g.Source.Contains(a) })
	p = d.flow(p, pick(d, from...), pick(d, inside[v][:3]...), g.Service.First+uint16(d.roll(g.Service.Ports())))
	next := func() step {
		if p.protocol == packet.UDP {
			p.flags = 0
			return step{kind: sendPacket, probe: p}
		}
		p.flags = pick(d, packet.SYN, packet.ACK, packet.PSH|packet.ACK)
		return step{kind: pick(d, sendPacket, connect, talk), probe: p}
	}
	steps := []step{{kind: giveGrant, grant: g}, next()}
	switch d.roll(32) {
	default:
		steps = append(steps, step{kind: revokeGrant, grant: g})
	case 0, 1, 2, 3, 4, 5:
	case 31:
		steps = []step{{kind: expireGrant, grant: g}, next()}
	}
	switch event := pick(d, sendPacket, sendPacket, trackingFlushed, flushTable, applyRuleset, hostResets, hostDatagram); event {
	case sendPacket, hostDatagram:
	case flushTable:
		steps = append(steps, step{kind: flushTable}, next(), step{kind: repairTable})
	default:
		steps = append(steps, step{kind: event, probe: p, ruleset: d.roll(len(s.rulesets))})
	}
	return append(steps, next(), next())
}

func (d *dice) ruleset() Ruleset {
	r := Ruleset{
		Hide: pick(d, Drop, Drop, Reject), Unguarded: pick(d, nil, nil, []string{"eth1"}, []string{"eth1", "wg0"}, []string{"eth"}),
		ICMP: d.roll(2) == 1, Group: pick(d, uint16(5), 5, 20), Workers: 1 + d.roll(3),
		// Of one story, they are not next to each other: the label below is that of
		// what was admitted at input, and would then be taken for the other.
		Label: pick(d, uint8(0), 0, 0, 1, 63, 125),
	}
	for range 1 + d.roll(4) {
		r.Protected = append(r.Protected, d.service())
	}
	if d.roll(16) == 15 { // more ranges than are compared with
		for n := range uint16(maxRanges + 3) {
			r.Protected = append(r.Protected, port.Range{Protocol: pick(d, packet.TCP, packet.UDP), First: firstPort + 2*n, Last: firstPort + 2*n + 1})
		}
	}
	for range d.roll(4) {
		r.KnockPorts = append(r.KnockPorts, d.service())
	}
	for range d.roll(4) {
		r.Openings = append(r.Openings, Opening{
			Service: pick(d, r.Protected...), Once: d.roll(3) == 2,
			Bits4: pick(d, 0, 0, 8, 9, 15, 24, 31), Bits6: pick(d, 0, 0, 16, 17, 63, 64, 127),
		})
	}
	// No packet of a story is a message, so that these change nothing.
	r.Messages = pick(d, nil, nil, []port.Range{{Protocol: packet.UDP, First: 1, Last: 65535}, {Protocol: packet.TCP, First: 1, Last: 65535}, port.Echo},
		[]port.Range{d.service(), d.service()})
	return r
}

func (d *dice) service() port.Range {
	s := port.Range{Protocol: pick(d, packet.TCP, packet.TCP, packet.UDP)}
	s.First = d.port(nil)
	s.Last = min(s.First+pick[uint16](d, 0, 0, 0, 1, 3, 7), lastPort)
	return s
}

// port is one of the world's, one with something about it, or one of some
// services.
func (d *dice) port(services []port.Range) uint16 {
	switch {
	case len(services) > 0 && d.roll(4) > 0:
		s := pick(d, services...)
		return s.First + uint16(d.roll(s.Ports()))
	case d.roll(2) == 0:
		return pick(d, specialPorts...)
	}
	return firstPort + uint16(d.roll(lastPort-firstPort+1))
}

func (d *dice) step(s *story) step {
	r := s.rulesets[0]
	if len(s.rulesets) > 1 {
		r = pick(d, s.rulesets...)
	}
	weights := []struct {
		kind   kind
		weight int
	}{
		{sendPacket, 135}, {connect, 22}, {talk, 18}, {giveGrant, 28}, {revokeGrant, 12}, {hostDatagram, 10}, {hostDials, 5}, {hostResets, 8},
		{repairTable, 7}, {applyRuleset, 4}, {flushTable, 3}, {trackingFlushed, 3},
	}
	n, kind := d.roll(256), sendPacket
	for _, w := range weights {
		if n -= w.weight; n < 0 {
			kind = w.kind
			break
		}
	}
	t := step{kind: kind, probe: d.probe(kind, slices.Concat(r.Protected, r.KnockPorts)), grant: d.grant(r), ruleset: d.roll(len(s.rulesets))}
	d.again(&t, s.steps)
	return t
}

// again has a step be about what an earlier one was about, mostly.
func (d *dice) again(t *step, before []step) {
	about := map[kind][]kind{
		sendPacket: {sendPacket, connect, talk, hostDatagram, hostDials, giveGrant}, connect: {sendPacket, connect, hostResets, giveGrant},
		talk: {connect}, hostResets: {connect, hostDials}, revokeGrant: {giveGrant}, giveGrant: {sendPacket, connect}, hostDatagram: {sendPacket},
	}[t.kind]
	before = slices.DeleteFunc(slices.Clone(before), func(s step) bool { return !slices.Contains(about, s.kind) })
	if len(before) == 0 || d.roll(4) == 3 {
		return
	}
	last := before[max(0, len(before)-12):]
	s := last[d.roll(len(last))]
	switch {
	case t.kind == revokeGrant:
		t.grant = s.grant
	case t.kind == giveGrant: // to whom it would be of use, if there is a set for it
		if s.probe.from.Addr().Is4() == t.grant.Source.Addr().Is4() {
			t.grant.Source = netip.PrefixFrom(s.probe.from.Addr(), t.grant.Source.Bits()).Masked()
		}
		if p := s.probe; t.grant.Service.Ports() == 1 && p.protocol == packet.TCP || p.protocol == packet.UDP {
			t.grant.Service = port.Single(p.protocol, p.to.Port())
		}
	case s.kind == giveGrant: // somebody who is let in, or his neighbour
		if v := t.probe; v.from.Addr().Is4() == s.grant.Source.Addr().Is4() && v.protocol == s.grant.Service.Protocol {
			t.probe = d.through(t.probe, s.grant)
		}
	case t.kind == sendPacket || s.probe.protocol == t.probe.protocol:
		flags, device := t.probe.flags, t.probe.device
		t.probe = s.probe
		if s.probe.protocol == packet.TCP {
			t.probe.flags = flags
			if flags == 0 {
				t.probe.flags = packet.ACK
			}
		}
		if d.roll(4) == 3 {
			t.probe.device = device
		}
	}
}

// through is a packet to a service that a grant opens.
func (d *dice) through(p probe, g Grant) probe {
	port := g.Service.First + uint16(d.roll(g.Service.Ports()))
	return d.flow(p, p.from.Addr(), p.to.Addr(), port)
}

// flow gives the packet its ends.
//
// NB: no two flows that could meet behind a translation share a source port: the
// kernel would then give one of them another.
func (d *dice) flow(p probe, from, to netip.Addr, port uint16) probe {
	at := slices.Index(inside[0], to)
	if to.Is6() {
		at = slices.Index(inside[1], to)
	}
	source := 40000 + 100*at + 10*(1+slices.Index([]uint16{redirectedPort, redirectedTwo, forwardedPort}, port)) + d.roll(2)
	p.from, p.to = netip.AddrPortFrom(from, uint16(source)), netip.AddrPortFrom(to, port)
	return p
}

func (d *dice) probe(k kind, services []port.Range) probe {
	v := d.roll(2)
	p := probe{device: pick(d, "eth0", "eth0", "eth0", "eth1")}
	p.protocol = pick(d, packet.TCP, packet.TCP, packet.UDP)
	if k == connect || k == talk || k == hostDials || k == hostResets {
		p.protocol = packet.TCP
	}
	if k == hostDatagram {
		p.protocol = packet.UDP
	}
	if k == sendPacket && d.roll(20) == 19 {
		p.protocol = []packet.Protocol{packet.ICMP, packet.ICMPv6}[v]
	}
	services = slices.DeleteFunc(services, func(s port.Range) bool { return s.Protocol != p.protocol })
	p = d.flow(p, outside[v][pick(d, 0, 0, 0, 1, 2, 3)], inside[v][pick(d, 0, 0, 0, 0, 1, 1, 2, 2, 3)], d.port(services))
	switch {
	case k == talk:
		p.flags = pick(d, packet.PSH|packet.ACK, packet.PSH|packet.ACK, packet.ACK, packet.FIN|packet.ACK, packet.RST)
	case k == connect:
		p.flags = packet.SYN
	case p.protocol == packet.TCP:
		p.flags = pick(d, packet.SYN, packet.SYN, packet.SYN, packet.ACK, packet.SYN|packet.ACK, packet.RST, packet.FIN|packet.ACK,
			packet.TCPFlags(d.roll(256)), packet.SYN|packet.TCPFlags(d.roll(32)<<3)&^packet.ACK)
	}
	return p
}

// grant is of a form that the ruleset has a set for, mostly.
func (d *dice) grant(r Ruleset) Grant {
	v := d.roll(2)
	source := pick(d, outside[v][0], outside[v][0], outside[v][1], outside[v][2])
	g := Grant{Source: Host(source), Service: pick(d, r.Protected...), Timeout: time.Hour, Access: "a"}
	form := d.roll(4)
	if form > 0 && len(r.Openings) > 0 {
		o := pick(d, r.Openings...)
		g.Service, g.Once = o.Service, o.Once
		if bits := []int{o.Bits4, o.Bits6}[v]; bits > 0 {
			g.Source = netip.PrefixFrom(source, bits).Masked()
		}
	}
	if form < 3 && g.Service.Ports() > 1 {
		g.Service = g.Service.At(d.roll(g.Service.Ports()))
	}
	return g
}
