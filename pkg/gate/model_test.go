package gate

import (
	"maps"
	"net/netip"
	"slices"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// The model says who may pass, in the words of the contract (see Gate and the
// head of protect.go) and without a look at how the chains are cut. It is told
// everything that happens, in order.

// answer is what the model says of a packet.
type answer uint8

// The answers, in this order for max. "either" is left for what depends on when
// conntrack ends an entry, never for a packet from somebody who was not let in.
const (
	no answer = iota
	either
	yes
)

// flow is a connection as the client sees it: to is the port that it dials.
type flow struct {
	protocol packet.Protocol
	from, to netip.AddrPort
}

// probe is a packet that comes in from outside.
type probe struct {
	flow   // of protocol ICMP or ICMPv6 for an echo request
	device string
	flags  packet.TCPFlags // of TCP
	// inOrder: of a TCP connection, with the numbers that its server expects.
	// Conntrack takes any other segment for part of the connection, or does not.
	inOrder bool
}

// opens: the packet begins a TCP connection.
func (p probe) opens() bool {
	return p.protocol == packet.TCP && p.flags&(packet.FIN|packet.SYN|packet.RST|packet.ACK) == packet.SYN
}

// memory is what this host remembers of a flow.
type memory struct {
	passes  answer
	begun   bool // by this host
	existed bool // before its port was hidden
	ended   bool // and was flushed since
	// label: the entry in conntrack says so, or an element in the table does,
	// which goes with the table.
	label answer
}

type model struct {
	rules  *Ruleset // nil while there is no table
	last   *Ruleset // what was applied last, nil before
	grants map[element]answer
	used   map[flow]answer // by what single-use grants were used up
	known  map[flow]memory
	// entries are the flows of which conntrack has an entry (of TCP, may have), and
	// whether that has space for a label: each that began under our table, and some
	// of those that began shortly after it was deleted.
	entries map[flow]answer
	// socket reports whether a connected socket of this host is the flow.
	socket func(flow) bool
}

func newModel(socket func(flow) bool) *model {
	return &model{
		grants: map[element]answer{}, used: map[flow]answer{}, known: map[flow]memory{}, entries: map[flow]answer{}, socket: socket,
	}
}

func covers(list []port.Range, f flow) bool {
	one := port.Single(f.protocol, f.to.Port())
	return slices.ContainsFunc(list, func(s port.Range) bool { return s.Covers(one) })
}

// guarded reports whether the table is about the packet's way at all.
func (m *model) guarded(p probe) bool {
	return m.rules != nil && !slices.Contains(m.rules.Unguarded, p.device) && thisHost[p.to.Addr()]
}

// hidden reports whether only some may send the packet.
func (m *model) hidden(p probe) bool { return m.guarded(p) && covers(m.rules.Protected, p.flow) }

// grant looks for the grants that let a packet in: how sure it is that there is
// one, and which.
func (m *model) grant(f flow, once bool) (answer, element) {
	best, which := no, element{}
	for e, sure := range m.grants {
		if e.once == once && e.source.Contains(f.from.Addr()) && covers([]port.Range{e.service}, f) && sure > best {
			best, which = sure, e
		}
	}
	return best, which
}

// single looks for a grant for single use, and for what used one up.
func (m *model) single(p probe) (once, used answer, which element) {
	once, which = m.grant(p.flow, true)
	used = m.used[p.flow]
	// Behind a translation only the label says that a grant for single use was
	// used: an entry without space for it, or an address that prerouting does not
	// know, costs the client its connection.
	if space, there := m.entries[p.flow]; translatedPorts[p.to.Port()] && (there && space != yes || elsewhere[p.to.Addr()]) {
		once, used = min(once, either), min(used, either)
	}
	return once, used, which
}

// passes says whether a packet comes through.
func (m *model) passes(p probe) answer {
	granted, _ := m.grant(p.flow, false)
	once, used, _ := m.single(p)
	known := m.known[p.flow].passes
	if p.protocol == packet.TCP && !p.inOrder {
		known = min(known, either)
	}
	switch {
	case !m.hidden(p) || granted == yes:
		return yes
	// Prerouting takes it for somebody else's, and then it is: no chain of ours
	// sees what is forwarded.
	case elsewhere[p.to.Addr()] && p.to.Port() == forwardedPort:
		return either
	case p.opens():
		return max(once, used)
	case p.protocol == packet.UDP:
		return max(known, used, once)
	case p.flags&(packet.ACK|packet.RST) != 0 && m.socket(p.flow):
		// The socket is not found by the port that was dialled if that was
		// translated; conntrack may know the connection or not.
		if translatedPorts[p.to.Port()] {
			return max(known, used, either)
		}
		return yes
	}
	return max(known, used)
}

// logs says whether a packet is logged for knocks; passed is what became of it.
func (m *model) logs(p probe, passed bool) answer {
	echo := p.protocol == packet.ICMP || p.protocol == packet.ICMPv6
	known := m.known[p.flow]
	switch {
	case !m.guarded(p), echo && !m.rules.ICMP, !echo && !covers(m.rules.KnockPorts, p.flow), p.protocol == packet.TCP && !p.opens():
		return no
	case !echo && covers(m.rules.Protected, p.flow) && passed:
		return no
	case elsewhere[p.to.Addr()]: // to prerouting it is somebody else's
		return either
	case p.protocol == packet.UDP && known.begun && known.passes == yes && !untrackedPorts[p.to.Port()]:
		return no
	// An answer, but conntrack may have lost the question; or a flow that has our
	// label from the time when the port was hidden.
	case p.protocol == packet.UDP && known.passes != no && !covers(m.rules.Protected, p.flow):
		return either
	}
	return yes
}

// sent takes down what became of a packet.
func (m *model) sent(p probe, passed bool) {
	if p.protocol != packet.TCP && p.protocol != packet.UDP || !thisHost[p.to.Addr()] {
		return
	}
	if !passed {
		// Prerouting may have used a grant up before input refused the packet.
		if once, _, which := m.single(p); m.hidden(p) && once == either {
			m.grants[which], m.used[p.flow] = either, max(m.used[p.flow], either)
		}
		return
	}
	if m.hidden(p) {
		m.admitted(p)
	}
	if _, there := m.entries[p.flow]; !there && !untrackedPorts[p.to.Port()] {
		m.entries[p.flow] = m.hasLabelSpace()
	}
}

// hasLabelSpace says whether an entry that begins now has space for a label.
func (m *model) hasLabelSpace() answer {
	if m.rules == nil {
		return either
	}
	return yes
}

// admitted: a packet to a hidden port has passed. A grant lets its flow go on.
func (m *model) admitted(p probe) {
	known, granted := m.known[p.flow], m.uses(p)
	if granted == no || p.protocol == packet.UDP && known.passes == yes || known.existed && !p.opens() {
		return // it goes on as it did
	}
	known.existed = false
	label, there := m.entries[p.flow]
	if untrackedPorts[p.to.Port()] {
		label = no
	} else if !there {
		label = m.hasLabelSpace()
	}
	if known.passes != no && known.label != label { // it may go on by what it had
		label = either
	}
	known.label = label
	known.passes = either // a TCP connection's entry ends by what both sides say
	if p.protocol == packet.UDP {
		known.passes = granted
	}
	m.known[p.flow] = known
}

// uses says how sure it is that the packet passed by a grant, and takes away what
// it used up.
func (m *model) uses(p probe) answer {
	granted, _ := m.grant(p.flow, false)
	once, used, which := m.single(p)
	known := m.known[p.flow].passes
	if p.protocol == packet.TCP {
		known = no // of no use to what opens a connection
	}
	switch {
	case granted == yes, used == yes, once == no, known == yes, p.protocol == packet.TCP && !p.opens():
		return max(granted, used)
	case once == yes && used == no && known == no:
		delete(m.grants, which)
		m.used[p.flow] = yes
	default: // it passed by this grant, or otherwise
		m.grants[which], m.used[p.flow] = either, either
	}
	return m.used[p.flow]
}

// hostSends: a program of this host sends the first packet of a flow against its
// direction, as far as conntrack has none that began the other way.
func (m *model) hostSends(f flow) {
	_, there := m.entries[f]
	switch {
	case f.protocol == packet.TCP: // its socket says so while there is one
		m.known[f] = memory{passes: either, begun: true, label: yes}
	case untrackedPorts[f.to.Port()]: // nothing says so
		known := m.known[f]
		known.passes = max(known.passes, either)
		m.known[f] = known
	case !there:
		before, label := m.known[f], yes
		if before.passes != no && before.label != yes {
			label = either // an element in the table may still say so, too
		}
		m.known[f] = memory{passes: yes, begun: true, label: label, existed: before.existed}
		m.entries[f] = m.hasLabelSpace()
	}
}

// connected: both sides completed a TCP handshake just now. Where the client was
// let in, conntrack knows the connection as long as nothing odd is sent.
func (m *model) connected(p probe) {
	if known := m.known[p.flow]; m.hidden(p) && known.passes != no {
		known.passes = yes
		m.known[p.flow] = known
	}
}

// odd: something was sent that may end what conntrack knows of a TCP connection.
func (m *model) odd(f flow) {
	if known := m.known[f]; known.passes == yes && f.protocol == packet.TCP {
		known.passes = either
		m.known[f] = known
	}
}

// lost: what kept some flows is gone. When that is the end of a UDP flow is exact.
func (m *model) lost(gone func(memory) answer) {
	for f, known := range m.known {
		switch sure := gone(known); {
		case sure == no:
		case sure == yes && f.protocol == packet.UDP:
			delete(m.known, f)
		default:
			known.passes = min(known.passes, either)
			m.known[f] = known
		}
	}
}

// applies: a ruleset was applied.
func (m *model) applies(r *Ruleset) {
	for f := range m.entries { // what existed before its port was hidden goes on
		newly := covers(r.Protected, f) && (m.last == nil || !covers(m.last.Protected, f))
		switch known := m.known[f]; {
		case !newly || known.passes == yes:
		case known.label != no && !known.begun: // admitted under its label, which may be back
			known.passes = either
			m.known[f] = known
		default:
			m.known[f] = memory{passes: either, existed: true}
			if f.protocol == packet.UDP || m.socket(f) {
				m.known[f] = memory{passes: yes, existed: true}
			}
		}
	}
	if m.last != nil {
		m.repaired()
		if m.last.label() != r.label() {
			for f, known := range m.known { // until the old label is back
				if known.label != no && !known.begun {
					known.passes = min(known.passes, either)
					m.known[f] = known
				}
			}
		}
	}
	for f := range m.used { // it goes with the last opening for single use
		m.used[f] = either
	}
	m.rules, m.last = r, r
}

// opens reports whether a ruleset has a set for a grant.
func opens(r *Ruleset, e element) bool {
	alone := e.service.Ports() == 1
	if alone && !e.once && e.source.IsSingleIP() {
		return true
	}
	return slices.ContainsFunc(r.Openings, func(o Opening) bool {
		bits := o.Bits4
		if e.source.Addr().Is6() {
			bits = o.Bits6
		}
		if bits == 0 {
			bits = e.source.Addr().BitLen()
		}
		return o.Service.Protocol == e.service.Protocol && (alone || o.Service == e.service) && o.Once == e.once && bits == e.source.Bits()
	})
}

// flushed: somebody deleted the table, and with it what only the table knew:
// which grants for single use were used.
func (m *model) flushed() {
	m.rules = nil
	maps.DeleteFunc(m.grants, func(e element, _ answer) bool { return e.once })
	clear(m.used)
	m.lost(func(known memory) answer {
		if known.existed {
			return no
		}
		return yes - known.label // what is no label is an element
	})
}

// repaired: the table is back, and so are its grants. What existed before and ended
// since is nobody's.
func (m *model) repaired() {
	for f, known := range m.known {
		switch _, there := m.entries[f]; {
		case m.rules != nil || !known.existed || !known.ended:
		case there: // begun again, conntrack may give it the same id (nf_ct_get_id)
			known.passes = min(known.passes, either)
			m.known[f] = known
		default:
			delete(m.known, f)
		}
	}
	m.rules = m.last
}

// forgotten: somebody flushed conntrack. What a socket says next is the first
// that conntrack hears of its connection, so that this host began it.
func (m *model) forgotten(sockets []flow) {
	clear(m.entries)
	m.lost(func(known memory) answer { return known.label })
	for f, known := range m.known {
		known.ended = true
		// A redirection goes to an address of the interface by which a packet comes.
		if f.protocol == packet.TCP || translatedPorts[f.to.Port()] {
			known.passes = min(known.passes, either)
		}
		m.known[f] = known
	}
	for f := range m.used {
		if translatedPorts[f.to.Port()] {
			m.used[f] = either // see passes
		}
	}
	for _, f := range sockets {
		if m.known[f].passes == no {
			m.known[f] = memory{passes: either}
		}
	}
}
