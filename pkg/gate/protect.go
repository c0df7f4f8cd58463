package gate

import "nftknock/pkg/packet"

// Who reaches a protected port. What conntrack calls established does not
// count: it says so of a connection that was closed and is begun again, of one
// that began while our table was missing, and of one that the host answered
// once. What counts is, in this order:
//
//   - our label on the connection, but for what begins a TCP connection;
//   - that this host began the connection;
//   - that the packet's tuple is in the kept sets;
//   - for TCP, that a socket of this host is that connection already;
//   - a grant.
//
// A SYN needs the grant, whatever is known of its connection.

// protectedPorts are the ports of a protocol that only grants open.
func (r *Ruleset) protectedPorts(p packet.Protocol) portMatch {
	return matchPorts(p, p.String()+servicesSet, r.Protected)
}

// allProtectedPorts are those of all protocols.
func (r *Ruleset) allProtectedPorts() portMatch { return matchAnyPort("services", r.Protected) }

func (r *Ruleset) protects(p packet.Protocol) bool { return !r.protectedPorts(p).empty() }

func (r *Ruleset) hidesSomething() bool { return len(r.Protected) > 0 }

// A checkpoint is a point on a packet's way where it is decided whether it may go
// on to a protected port.
type checkpoint struct {
	prefix string   // of the names of its chains
	port   portExpr // which port of the packet has to be protected
}

// At input are decided packets that prerouting has let pass because it did not
// know the address for one of this host's, and packets it has admitted. Where the
// destination was translated, here or to another host, the port that was dialled
// counts. (So a port that somebody redirects to a hidden one stays as open as they
// made it.)
var (
	atPrerouting = checkpoint{"pre_", destinationPort}
	atInput      = checkpoint{"in_", destinationPort}
	atTranslated = checkpoint{"nat_", originalPort} // at input
	atForward    = checkpoint{"fwd_", originalPort}

	// checkpoints are those that have all chains of a protocol. A forwarded segment
	// comes only to the chain for what opens no connection.
	checkpoints = []checkpoint{atPrerouting, atInput, atTranslated}
)

// serviceChain names the chain of a checkpoint for packets of a protocol to a
// protected port.
func (at checkpoint) serviceChain(p packet.Protocol) string { return at.chain(p, "service") }

// chain names another chain of a checkpoint for a protocol.
func (at checkpoint) chain(p packet.Protocol, what string) string {
	return at.prefix + p.String() + "_" + what
}

// label is the label of connections that were admitted at a checkpoint. Input
// needs one of its own: a packet with that of prerouting has been looked up among
// the grants there, and may pass at input without another look-up.
func (at checkpoint) label(r *Ruleset) uint8 {
	if at == atPrerouting {
		return r.label()
	}
	return r.label() - 1
}

// admitChain names the chain that admits at a checkpoint.
func (at checkpoint) admitChain() string {
	if at.port == originalPort {
		at = atInput
	}
	return at.prefix + "admit"
}

// grantedChain names the chain that looks for grants at a checkpoint.
func (at checkpoint) grantedChain(p packet.Protocol) string {
	if at.port == originalPort {
		at = atTranslated
	}
	return at.chain(p, "granted")
}

// checkpointChains returns the chains of a checkpoint.
func (r *Ruleset) checkpointChains(at checkpoint) []chain {
	var list []chain
	if at != atTranslated { // which shares input's
		list = append(list, chain{name: at.admitChain(), rules: r.admit(at)})
	}
	for _, p := range protocols {
		if r.protects(p) {
			list = append(list, r.protocolChains(p, at)...)
		}
	}
	switch at {
	case atInput:
		list = append(list, chain{name: "in_admitted", rules: r.passAdmitted()})
	case atTranslated:
		list = append(list,
			chain{name: translated, rules: r.arriveTranslated()},
			chain{name: "in", rules: r.arriveAtInput()})
		if r.protects(packet.TCP) && !r.marks() {
			list = append(list,
				chain{name: atForward.chain(packet.TCP, "later"), rules: r.later(packet.TCP, atForward)},
				chain{name: forwarded, rules: r.arriveForwarded()})
		}
	}
	return list
}

// protocolChains returns the chains of a checkpoint for one protocol.
func (r *Ruleset) protocolChains(p packet.Protocol, at checkpoint) []chain {
	list := []chain{{name: at.grantedChain(p), rules: r.granted(p, at)}}
	if r.usesUp(p, at) {
		list = append(list, chain{name: at.chain(p, "once"), rules: r.useOnce(p, at)})
	}
	if p == packet.TCP {
		if at == atPrerouting && !r.marks() {
			list = append(list, chain{name: at.chain(p, "unknown"), rules: r.unknown(p, at)})
		}
		list = append(list, chain{name: at.chain(p, "later"), rules: r.later(p, at)})
	}
	return append(list, chain{name: at.serviceChain(p), rules: r.service(p, at)})
}

// admit lets a packet pass that has a grant, and marks its connection as
// admitted: with our label, or by its tuple where conntrack has no entry, or one
// that is older than our rules and has no space for labels.
func (r *Ruleset) admit(at checkpoint) []rule {
	var rules []rule
	if r.marks() {
		rules = append(rules, always(r.setMark()))
	}
	rules = append(rules,
		always(r.setLabel(at)),
		// "ct label set" does nothing and says nothing where it cannot (nft_ct_set_eval),
		// so the label is asked for.
		when(r.admittedAt(at)).do(accept()))
	for _, f := range families() {
		rules = append(rules, always(updateTuple(f, keptSet+f.digit, "th")))
	}
	return append(rules, always(accept()))
}

// passAdmitted lets a packet pass that belongs to an admitted connection, unless
// it begins one over TCP.
func (r *Ruleset) passAdmitted() []rule {
	var rules []rule
	if r.protects(packet.TCP) {
		rules = append(rules, when(notSYN()).do(r.letPass()...))
	}
	if r.protects(packet.UDP) {
		rules = append(rules, when(overProtocol(packet.UDP)).do(r.letPass()...))
	}
	return rules
}

// arriveAtInput is for packets to ports that are hidden for some protocol.
func (r *Ruleset) arriveAtInput() []rule {
	rules := []rule{
		when(r.admittedAt(atPrerouting)).do(accept()),
		when(r.admittedAt(atInput)).do(jump("in_admitted")),
		when(isTranslated()).do(goTo(translated)),
		r.passUnguarded(),
	}
	for _, p := range protocols {
		rules = append(rules, r.protectedPorts(p).rules(destinationPort, goTo(atInput.serviceChain(p)))...)
	}
	return rules
}

// arriveTranslated is for packets whose destination was translated.
func (r *Ruleset) arriveTranslated() []rule {
	rules := []rule{
		// The original port of an answer is one that this host dialled elsewhere.
		when(isAnswer()).do(accept()),
		when(r.admittedAt(atPrerouting)).do(accept()),
		when(r.admittedAt(atInput)).do(jump("in_admitted")),
		r.passUnguarded(),
	}
	for _, p := range protocols {
		if r.protects(p) {
			rules = append(rules, r.protectedPorts(p).rules(originalPort, goTo(atTranslated.serviceChain(p)))...)
		}
	}
	return rules
}

// arriveForwarded is for TCP segments that were translated to another host, and
// belong to no connection that conntrack has seen begin: a socket that listens on
// the dialled address let them through prerouting.
func (r *Ruleset) arriveForwarded() []rule {
	rules := []rule{
		when(r.admittedAt(atPrerouting)).do(accept()),
		when(r.admittedAt(atInput)).do(accept()),
		r.passUnguarded(),
	}
	return append(rules, r.protectedPorts(packet.TCP).rules(originalPort, goTo(atForward.chain(packet.TCP, "later")))...)
}

// service decides about a packet to a hidden port.
func (r *Ruleset) service(p packet.Protocol, at checkpoint) []rule {
	var rules []rule
	if p == packet.TCP {
		rules = append(rules, when(notSYN()).do(goTo(at.chain(p, "later"))))
	} else {
		rules = append(rules, r.passKnown()...)
	}
	rules = append(rules, always(jump(at.grantedChain(p))))
	if r.usesUp(p, at) {
		rules = append(rules, always(jump(at.chain(p, "once"))))
	}
	if at == atPrerouting {
		// Before the refusal: a port may be protected and part of a knock.
		messages := r.enterMessages(p, jump)
		for _, s := range r.knockedAndHidden(p) {
			rules = append(rules, r.logKnocks(p, destinationPort.in(s))...)
			if len(messages) > 0 {
				// Logged once is enough: a message that is logged twice is a replay.
				refused := r.refuse(p)
				refused.matches = and(refused.matches, destinationPort.in(s))
				rules = append(rules, refused)
			}
		}
		rules = append(rules, messages...)
	}
	return append(rules, r.refuse(p))
}

// later decides about a TCP packet to a hidden port that opens no connection.
// Where conntrack lost the connection, or never had it, between its SYN and its
// third packet, no socket is there yet: the grant counts for what is no SYN, too.
func (r *Ruleset) later(p packet.Protocol, at checkpoint) []rule {
	rules := r.passKnown()
	if r.marks() {
		return append(rules, r.unknown(p, at)...)
	}
	switch at {
	case atPrerouting:
		// A translated connection has no socket with the address that was dialled:
		// one that is found there listens.
		rules = append(rules,
			when(isTranslated()).do(goTo(at.chain(p, "unknown"))),
			when(ackOrRST(), hasSocket()).do(accept()))
	case atForward:
		// A forwarded packet has no socket here, and the kernel refuses rules with
		// "socket" in what the forward hook reaches (nft_socket_validate).
	default:
		rules = append(rules, when(and([]match{ackOrRST()}, r.connected()...)...).do(accept()))
	}
	return append(rules, r.unknown(p, at)...)
}

// connected matches TCP packets at input of connections of which this host has a
// socket: early demux finds none that listens, and "socket wildcard 0" none of a
// connection that is still being made.
func (r *Ruleset) connected() []match {
	if r.withoutDemux {
		return []match{hasSocket()}
	}
	return []match{hasDemuxed(), hasSocket()}
}

// unknown decides about a TCP packet that opens no connection and belongs to none
// that is known.
func (r *Ruleset) unknown(p packet.Protocol, at checkpoint) []rule {
	rules := []rule{always(jump(at.grantedChain(p)))}
	if r.usesUp(p, at) {
		// The grant is gone since the SYN, which left its tuple.
		for _, f := range families() {
			rules = append(rules, when(tupleIn(f, usedSet+f.digit)).do(goTo(at.admitChain())))
		}
	}
	return append(rules, r.refuse(p))
}

// passKnown lets pass what this host began, and connections whose tuple is in
// the kept sets.
func (r *Ruleset) passKnown() []rule {
	rules := []rule{when(isAnswer()).do(accept())}
	for _, f := range families() {
		rules = append(rules, when(tupleIn(f, keptSet+f.digit)).do(goTo(keep)))
	}
	return rules
}

// granted admits packets that have a grant which is not used up.
func (r *Ruleset) granted(p packet.Protocol, at checkpoint) []rule {
	var rules []rule
	for _, m := range r.grantSets() {
		if m.protocol == p && !m.once {
			rules = append(rules, when(m.holds(at.port)...).do(goTo(at.admitChain())))
		}
	}
	return rules
}

// usesUp reports whether some grants of a protocol are used up at a checkpoint.
// What is translated has used its grant up at prerouting.
func (r *Ruleset) usesUp(p packet.Protocol, at checkpoint) bool {
	if at.port == originalPort {
		return false
	}
	for _, m := range r.grantSets() {
		if m.once && m.protocol == p {
			return true
		}
	}
	return false
}

func (r *Ruleset) anyOnce() bool {
	return r.usesUp(packet.TCP, atPrerouting) || r.usesUp(packet.UDP, atPrerouting)
}

// useOnce admits a packet whose grant ends with it, and puts its tuple into the
// used sets: the same packet comes to the next hook, and may be sent again.
func (r *Ruleset) useOnce(p packet.Protocol, at checkpoint) []rule {
	var rules []rule
	for _, f := range families() {
		rules = append(rules, when(tupleIn(f, usedSet+f.digit)).do(goTo(at.admitChain())))
	}
	for _, m := range r.grantSets() {
		if m.protocol == p && m.once {
			f := m.family()
			// The tuple first: a packet whose tuple finds the set full keeps its grant, since
			// an update that fails ends the rule (nft_dynset_eval).
			rules = append(rules, when(m.holds(destinationPort)...).do(
				updateTuple(f, usedSet+f.digit, p.String()), m.use(), goTo(at.admitChain())))
		}
	}
	return rules
}
