package gate

import "nftknock/pkg/packet"

// The wall: who reaches a hidden port. What conntrack calls established does not
// count: it says so of a connection that was closed and is begun again, of one
// that began while our table was missing, and of one that the host answered
// once. What counts is, in this order:
//
//   - our label on the connection, but for what begins a TCP connection;
//   - that this host began the connection;
//   - that the packet's tuple is among those that were kept;
//   - for TCP, that a socket of this host is that connection already;
//   - a grant.
//
// A SYN needs the grant, whatever is known of its connection.

// hidden are the ports of a protocol that only grants open.
func (r *Ruleset) hidden(p packet.Protocol) ports {
	return portsOf(p, p.String()+servicesSet, r.Protected)
}

// allHidden are those of all protocols.
func (r *Ruleset) allHidden() ports { return portsOfAny("services", r.Protected) }

func (r *Ruleset) hides(p packet.Protocol) bool { return !r.hidden(p).empty() }

func (r *Ruleset) hidesSomething() bool { return len(r.Protected) > 0 }

// place is one of the places at which the wall stands.
type place struct {
	prefix string // of the names of its chains
	port   portOf
}

// At input stands what prerouting has let pass because it did not know the
// address for one of this host's, and has admitted. Where the destination was
// translated, here or to another host, the port that was dialled counts. (So a port
// that somebody redirects to a hidden one stays as open as they made it.)
var (
	atPrerouting = place{"pre_", header}
	atInput      = place{"in_", header}
	atTranslated = place{"nat_", dialled}
	atForward    = place{"fwd_", dialled}
	places       = []place{atPrerouting, atInput, atTranslated}
)

// chain names a chain of a place.
func (at place) chain(p packet.Protocol, what string) string {
	name := at.prefix + p.String() + "_service"
	if what != "" {
		name = at.prefix + p.String() + "_" + what
	}
	return name
}

// label is the label of connections that were admitted at a place. Input needs
// one of its own: what has that of prerouting has been asked for its grant there,
// and may pass at input without another question.
func (at place) label(r *Ruleset) uint8 {
	if at == atPrerouting {
		return r.label()
	}
	return r.label() - 1
}

// wall gives the chains of a place.
func (r *Ruleset) wall(at place) []chain {
	var list []chain
	if at != atTranslated { // which shares input's
		list = append(list, chain{name: at.prefix + "admit", rules: r.admit(at)})
	}
	for _, p := range protocols {
		if !r.hides(p) {
			continue
		}
		list = append(list, chain{name: at.chain(p, "granted"), rules: r.granted(p, at)})
		if r.usesUp(p, at) {
			list = append(list, chain{name: at.chain(p, "once"), rules: r.useOnce(p, at)})
		}
		if p == packet.TCP {
			if at == atPrerouting {
				list = append(list, chain{name: at.chain(p, "unknown"), rules: r.unknown(p, at)})
			}
			list = append(list, chain{name: at.chain(p, "later"), rules: r.later(p, at)})
		}
		list = append(list, chain{name: at.chain(p, ""), rules: r.service(p, at)})
	}
	switch at {
	case atInput:
		list = append(list, chain{name: "in_admitted", rules: r.goOnAdmitted()})
	case atTranslated:
		list = append(list,
			chain{name: translated, rules: r.arriveTranslated()},
			chain{name: "in", rules: r.arriveAtInput()})
		if r.hides(packet.TCP) {
			list = append(list,
				chain{name: atForward.chain(packet.TCP, "later"), rules: r.later(packet.TCP, atForward)},
				chain{name: forwarded, rules: r.arriveForwarded()})
		}
	}
	return list
}

// admitChain names the chain that admits at a place.
func admitChain(at place) string {
	if at.port == dialled {
		at = atInput
	}
	return at.prefix + "admit"
}

// grantedChain names the chain that looks for grants at a place.
func grantedChain(p packet.Protocol, at place) string {
	if at.port == dialled {
		at = atTranslated
	}
	return at.chain(p, "granted")
}

// admit lets a packet pass that has a grant, and remembers its connection: by
// our label, or by its tuple where conntrack has no entry, or one that is older
// than our rules and has no room for labels.
func (r *Ruleset) admit(at place) []rule {
	rules := []rule{{r.setLabel(at)}, {r.admittedAt(at), accept()}}
	for _, f := range families() {
		rules = append(rules, rule{enterTuple(f, keptSet+f.digit, "th")})
	}
	return append(rules, rule{accept()})
}

// goOnAdmitted lets a packet pass that belongs to an admitted connection, unless
// it begins one over TCP.
func (r *Ruleset) goOnAdmitted() []rule {
	var rules []rule
	if r.hides(packet.TCP) {
		rules = append(rules, rule{notSYN(), accept()})
	}
	if r.hides(packet.UDP) {
		rules = append(rules, rule{overUDP(), accept()})
	}
	return rules
}

// arriveAtInput is for packets to ports that are hidden for some protocol.
func (r *Ruleset) arriveAtInput() []rule {
	rules := []rule{
		{r.admittedAt(atPrerouting), accept()},
		{r.admittedAt(atInput), jump("in_admitted")},
		{isTranslated(), goTo(translated)},
		r.unguardedPass(),
	}
	for _, p := range protocols {
		rules = append(rules, r.hidden(p).match(header, goTo(atInput.chain(p, "")))...)
	}
	return rules
}

// arriveTranslated is for packets whose destination was translated.
func (r *Ruleset) arriveTranslated() []rule {
	rules := []rule{
		{isAnswer(), accept()},
		{r.admittedAt(atPrerouting), accept()},
		{r.admittedAt(atInput), jump("in_admitted")},
		r.unguardedPass(),
	}
	for _, p := range protocols {
		if r.hides(p) {
			rules = append(rules, r.hidden(p).match(dialled, goTo(atTranslated.chain(p, "")))...)
		}
	}
	return rules
}

// arriveForwarded is for TCP segments that were translated to another host, and
// belong to no connection that conntrack has seen begin: a socket that listens on
// the dialled address let them through prerouting.
func (r *Ruleset) arriveForwarded() []rule {
	rules := []rule{
		{r.admittedAt(atPrerouting), accept()},
		{r.admittedAt(atInput), accept()},
		r.unguardedPass(),
	}
	return append(rules, r.hidden(packet.TCP).match(dialled, goTo(atForward.chain(packet.TCP, "later")))...)
}

// service decides about a packet to a hidden port.
func (r *Ruleset) service(p packet.Protocol, at place) []rule {
	var rules []rule
	if p == packet.TCP {
		rules = append(rules, rule{notSYN(), goTo(at.chain(p, "later"))})
	} else {
		rules = append(rules, r.goesOn()...)
	}
	rules = append(rules, rule{jump(grantedChain(p, at))})
	if r.usesUp(p, at) {
		rules = append(rules, rule{jump(at.chain(p, "once"))})
	}
	if at == atPrerouting {
		for _, s := range r.knockedAndHidden(p) {
			rules = append(rules, r.logKnocks(p, rule{header.in(s)})...)
		}
	}
	return append(rules, r.refuse(p))
}

// later decides about a TCP packet to a hidden port that opens no connection.
// Where conntrack lost the connection, or never had it, between its SYN and its
// third packet, no socket is there yet: the grant counts for what is no SYN, too.
func (r *Ruleset) later(p packet.Protocol, at place) []rule {
	rules := r.goesOn()
	switch at {
	case atPrerouting:
		// A translated connection has no socket with the address that was dialled:
		// one that is found there listens.
		rules = append(rules, rule{isTranslated(), goTo(at.chain(p, "unknown"))}, rule{ackOrRST(), hasSocket(), accept()})
	case atForward: // there is no socket for what goes elsewhere
	default:
		rules = append(rules, rule{ackOrRST()}.with(r.connected()...).with(accept()))
	}
	return append(rules, r.unknown(p, at)...)
}

// connected matches TCP packets at input of connections of which this host has a
// socket: early demux finds none that listens, and socket none that is only about
// to be connected.
func (r *Ruleset) connected() []statement {
	if r.withoutDemux {
		return []statement{hasSocket()}
	}
	return []statement{hasDemuxed(), hasSocket()}
}

// unknown decides about a TCP packet that opens no connection and belongs to none
// that is known.
func (r *Ruleset) unknown(p packet.Protocol, at place) []rule {
	rules := []rule{{jump(grantedChain(p, at))}}
	if r.usesUp(p, at) {
		for _, f := range families() {
			rules = append(rules, rule{tupleIn(f, usedSet+f.digit), goTo(admitChain(at))})
		}
	}
	return append(rules, r.refuse(p))
}

// goesOn lets pass what this host began, and what was kept.
func (r *Ruleset) goesOn() []rule {
	rules := []rule{{isAnswer(), accept()}}
	for _, f := range families() {
		rules = append(rules, rule{tupleIn(f, keptSet+f.digit), goTo(keep)})
	}
	return rules
}

// granted admits packets that have a grant which is not used up.
func (r *Ruleset) granted(p packet.Protocol, at place) []rule {
	var rules []rule
	for _, m := range r.rooms() {
		if m.protocol == p && !m.once {
			rules = append(rules, m.holds(at.port).with(goTo(admitChain(at))))
		}
	}
	return rules
}

// usesUp reports whether some grants of a protocol are used up at a place. What
// is translated has used its grant up at prerouting.
func (r *Ruleset) usesUp(p packet.Protocol, at place) bool {
	if at.port == dialled {
		return false
	}
	for _, m := range r.rooms() {
		if m.once && m.protocol == p {
			return true
		}
	}
	return false
}

func (r *Ruleset) anyOnce() bool {
	return r.usesUp(packet.TCP, atPrerouting) || r.usesUp(packet.UDP, atPrerouting)
}

// useOnce admits a packet whose grant ends with it, and remembers its tuple:
// the same packet comes to the next hook, and may be sent again.
func (r *Ruleset) useOnce(p packet.Protocol, at place) []rule {
	var rules []rule
	for _, f := range families() {
		rules = append(rules, rule{tupleIn(f, usedSet+f.digit), goTo(admitChain(at))})
	}
	for _, m := range r.rooms() {
		if m.protocol == p && m.once {
			f := m.family()
			rules = append(rules, m.holds(header).with(enterTuple(f, usedSet+f.digit, p.String()), m.use(), goTo(admitChain(at))))
		}
	}
	return rules
}
