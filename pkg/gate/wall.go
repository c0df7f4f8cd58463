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

// ours are the ports at which packets of a protocol matter: hidden ones, and
// those that are knocked on.
func (r *Ruleset) ours(p packet.Protocol) ports {
	return portsOf(p, p.String()+portsSet, r.Protected, r.KnockPorts)
}

// hidden are the ports that only grants open.
func (r *Ruleset) hidden(p packet.Protocol) ports {
	return portsOf(p, p.String()+servicesSet, r.Protected)
}

func (r *Ruleset) hides(p packet.Protocol) bool { return !r.hidden(p).empty() }

func (r *Ruleset) hidesSomething() bool { return r.hides(packet.TCP) || r.hides(packet.UDP) }

// knocked reports whether there are ports that are knocked on and not hidden.
func (r *Ruleset) knocked(p packet.Protocol) bool {
	for _, s := range normal(r.KnockPorts) {
		if s.Protocol == p && !coversAll(r.Protected, s) {
			return true
		}
	}
	return false
}

// place is one of the places at which the wall stands.
type place struct {
	prefix string // of the names of its chains
	port   portOf
	// missed narrows what is logged to packets that were not logged before.
	missed rule
	// standing matches TCP packets of which this host has a socket.
	standing statement
}

func (r *Ruleset) atPrerouting() place {
	return place{prefix: "pre_", port: header, standing: hasSocket()}
}

// atInput comes after atPrerouting, which has let pass unlogged what the
// kernel's table of local addresses does not know.
func (r *Ruleset) atInput() place {
	return place{prefix: "in_", port: header, missed: rule{toAnotherHost()}, standing: r.standingAtInput()}
}

// atTranslated is input for packets whose destination was translated: what
// counts is the port that was dialled. (So a port that somebody redirects to a
// hidden one stays as open as they made it.)
func (r *Ruleset) atTranslated() place {
	return place{prefix: "nat_", port: dialled, standing: r.standingAtInput()}
}

func (r *Ruleset) standingAtInput() statement {
	if r.withoutDemux {
		return hasSocket()
	}
	return hasDemuxed()
}

// serviceChains are the chains of one protocol.
func (r *Ruleset) serviceChains(p packet.Protocol) []chain {
	if r.ours(p).empty() {
		return nil
	}
	var list []chain
	for _, at := range []place{r.atPrerouting(), r.atInput(), r.atTranslated()} {
		if r.hides(p) {
			list = append(list, r.wallChains(p, at)...)
		}
		if at.port == header {
			list = append(list, chain{at.prefix + p.String(), nil, "", r.arrive(p, at)})
		}
	}
	return list
}

// wallChains are the chains at a place that decide about hidden ports.
func (r *Ruleset) wallChains(p packet.Protocol, at place) []chain {
	name := p.String()
	var list []chain
	if at.prefix != "in_" { // which shares those of prerouting
		list = append(list, chain{name: grantedAt(p, at), rules: r.granted(p, at.port)})
		if r.onceAt(p, at) {
			list = append(list, chain{name: onceChain(p), rules: r.useOnce(p)})
		}
	}
	if p == packet.TCP {
		list = append(list, chain{name: at.prefix + name + "_later", rules: r.later(p, at)})
	}
	return append(list, chain{name: at.prefix + name + "_service", rules: r.service(p, at)})
}

// grantedAt and onceChain name the chains that look for grants.
func grantedAt(p packet.Protocol, at place) string {
	if at.port == dialled {
		return p.String() + "_dialled_granted"
	}
	return p.String() + "_granted"
}

func onceChain(p packet.Protocol) string { return p.String() + "_once" }

// onceAt reports whether some grants of a protocol are used up at a place. What
// is translated has used its grant up at prerouting.
func (r *Ruleset) onceAt(p packet.Protocol, at place) bool { return r.once(p) && at.port == header }

// arrive is for packets to one of our ports at a place.
func (r *Ruleset) arrive(p packet.Protocol, at place) []rule {
	var rules []rule
	if r.hides(p) {
		rules = append(rules, r.known(p, at)...)
	}
	rules = append(rules, r.unguardedPass())
	if at.prefix == "pre_" {
		rules = append(rules, rule{toAnotherHost(), accept()})
	}
	rules = append(rules, r.hidden(p).match(header, goTo(at.prefix+p.String()+"_service"))...)
	if r.knocked(p) {
		rules = append(rules, r.logKnocks(p, at, nil)...)
	}
	return rules
}

// known lets pass what belongs to a connection that was admitted. At input that
// is said by the label alone also of a packet that begins one, if nobody has
// answered yet: prerouting has asked for the grant.
func (r *Ruleset) known(p packet.Protocol, at place) []rule {
	if p == packet.UDP {
		return []rule{{r.admitted(), accept()}}
	}
	rules := []rule{{notSYN(), r.admitted(), accept()}}
	if at.prefix != "pre_" {
		rules = append(rules, rule{isNew(), r.admitted(), accept()})
	}
	return rules
}

// logKnocks logs what may be part of a knock: a SYN, or a datagram that answers
// nothing of this host's.
func (r *Ruleset) logKnocks(p packet.Protocol, at place, match rule) []rule {
	match = match.with(at.missed...)
	if p == packet.TCP {
		return r.log(match.with(pureSYN()), families()...)
	}
	return append([]rule{{isAnswer(), accept()}}, r.log(match, families()...)...)
}

// service decides about a packet to a hidden port.
func (r *Ruleset) service(p packet.Protocol, at place) []rule {
	var rules []rule
	if at.port == dialled {
		rules = r.known(p, at)
	}
	if p == packet.TCP {
		rules = append(rules, rule{notSYN(), goTo(at.prefix + p.String() + "_later")})
	} else {
		rules = append(rules, r.goesOn()...)
	}
	rules = append(rules, rule{jump(grantedAt(p, at))})
	if r.onceAt(p, at) {
		rules = append(rules, rule{jump(onceChain(p))})
	}
	if at.port == header {
		for _, s := range r.knockedAndHidden(p) {
			rules = append(rules, r.logKnocks(p, at, rule{at.port.in(s)})...)
		}
	}
	return append(rules, r.refuse(p))
}

// later decides about a TCP packet to a hidden port that opens no connection.
// Where conntrack lost the connection, or never had it, between its SYN and its
// third packet, no socket is there yet: the grant counts for what is no SYN, too.
func (r *Ruleset) later(p packet.Protocol, at place) []rule {
	rules := append(r.goesOn(), rule{ackOrRST(), at.standing, accept()}, rule{jump(grantedAt(p, at))})
	if r.onceAt(p, at) {
		for _, f := range families() {
			rules = append(rules, rule{tupleIn(f, usedSet+f.digit), goTo(admit)})
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
func (r *Ruleset) granted(p packet.Protocol, by portOf) []rule {
	var rules []rule
	for _, m := range r.rooms() {
		if m.protocol == p && !m.once {
			rules = append(rules, m.holds(by).with(goTo(admit)))
		}
	}
	return rules
}

// useOnce admits a packet whose grant ends with it, and remembers its tuple:
// the same packet comes to the next hook, and may be sent again.
func (r *Ruleset) useOnce(p packet.Protocol) []rule {
	var rules []rule
	for _, f := range families() {
		rules = append(rules, rule{tupleIn(f, usedSet+f.digit), goTo(admit)})
	}
	for _, m := range r.rooms() {
		if m.protocol == p && m.once {
			f := m.family()
			rules = append(rules, m.holds(header).with(enterTuple(f, usedSet+f.digit, p.String()), m.use(), goTo(admit)))
		}
	}
	return rules
}

// translated sends packets on whose destination was translated, if the port that
// was dialled is hidden.
func (r *Ruleset) translated() []rule {
	rules := []rule{{isAnswer(), accept()}, r.unguardedPass()}
	for _, p := range protocols {
		if r.hides(p) {
			rules = append(rules, r.hidden(p).match(dialled, goTo(r.atTranslated().prefix+p.String()+"_service"))...)
		}
	}
	return rules
}

// once reports whether some grants of a protocol are used up by what they let
// in.
func (r *Ruleset) once(p packet.Protocol) bool {
	for _, m := range r.rooms() {
		if m.once && m.protocol == p {
			return true
		}
	}
	return false
}

func (r *Ruleset) anyOnce() bool { return r.once(packet.TCP) || r.once(packet.UDP) }

// knockedAndHidden are the ports that are both: the lanes of a knock are so many
// that a service may lie among them.
func (r *Ruleset) knockedAndHidden(p packet.Protocol) []Service {
	var list []Service
	for _, k := range normal(r.KnockPorts) {
		for _, s := range normal(r.Protected) {
			if both, ok := k.common(s); ok && both.Protocol == p {
				list = append(list, both)
			}
		}
	}
	return list
}
