package gate

import (
	"cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// What is logged for knocks: SYNs and datagrams to knock ports, and echo
// requests. They get no verdict: what else happens to them is left to the host's
// other rules.

// watchedPorts are the ports of all protocols that are protected or knocked on.
func (r *Ruleset) watchedPorts() portMatch {
	return matchAnyPort(allPortsSet, r.Protected, r.KnockPorts)
}

// watchedPortsOf are those of one protocol.
func (r *Ruleset) watchedPortsOf(p packet.Protocol) portMatch {
	return matchPorts(p, p.String()+portsSet, r.Protected, r.KnockPorts)
}

// knocked reports whether there are ports that are knocked on and not hidden.
func (r *Ruleset) knocked(p packet.Protocol) bool {
	for _, s := range port.Normal(r.KnockPorts) {
		if s.Protocol == p && !port.CoverAll(r.Protected, s) {
			return true
		}
	}
	return false
}

// knockedAndHidden are the ports that are both: the lanes of a knock are so many
// that a service may lie among them.
func (r *Ruleset) knockedAndHidden(p packet.Protocol) []port.Range {
	var list []port.Range
	knocks, services := port.Normal(r.KnockPorts), port.Normal(r.Protected)
	// Both are in order and overlap nothing of their own, so that one pass finds all.
	for len(knocks) > 0 && len(services) > 0 {
		k, s := knocks[0], services[0]
		if both, ok := k.Common(s); ok && both.Protocol == p {
			list = append(list, both)
		}
		if cmp.Or(cmp.Compare(k.Protocol, s.Protocol), cmp.Compare(k.Last, s.Last)) <= 0 {
			knocks = knocks[1:]
		} else {
			services = services[1:]
		}
	}
	return list
}

// knockChains are the chains between prerouting and the checkpoints.
func (r *Ruleset) knockChains() []chain {
	var list []chain
	for _, p := range protocols {
		if !r.watchedPortsOf(p).empty() {
			list = append(list, chain{name: "pre_" + p.String(), rules: r.arriveAtPrerouting(p)})
		}
	}
	if r.hidesSomething() {
		list = append(list, chain{name: "pre_admitted", rules: r.passAdmitted()})
	}
	if r.ICMP {
		list = append(list,
			chain{name: "knock_echo", rules: r.log(nil)},
			chain{name: "pre_echo", rules: r.logEcho()})
	}
	if !r.watchedPorts().empty() {
		list = append(list, chain{name: "pre", rules: r.byProtocol()})
	}
	return list
}

// byProtocol sends a packet to one of our ports on, if its protocol is the one
// that the port is ours for. Packets of admitted connections, most of those that
// come here, leave first.
func (r *Ruleset) byProtocol() []rule {
	var rules []rule
	if r.hidesSomething() {
		rules = append(rules, when(r.admittedAt(atPrerouting)).do(jump("pre_admitted")))
	}
	for _, p := range protocols {
		rules = append(rules, r.watchedPortsOf(p).rules(destinationPort, goTo("pre_"+p.String()))...)
	}
	// What is left goes to a port that is ours for the other protocol alone.
	for _, p := range protocols {
		rules = append(rules, r.enterMessages(p, goTo)...)
	}
	// NB: where TCP and UDP have the port, ICMP has its checksum, which may be the number of
	// one of our ports.
	return append(rules, r.enterEcho()...)
}

// enterEcho sends packets on that may be echo requests of knocks.
func (r *Ruleset) enterEcho() []rule {
	if r.ICMP {
		// One look-up instead of two comparisons: every packet of the host pays this.
		return []rule{when(overProtocolIn(echoSet)).do(goTo("pre_echo"))}
	}
	return r.enterMessages(packet.ICMP, goTo)
}

// arriveAtPrerouting is for packets to our ports of a protocol.
func (r *Ruleset) arriveAtPrerouting(p packet.Protocol) []rule {
	rules := []rule{r.passUnguarded(), when(toAnotherHost()).do(accept())}
	rules = append(rules, r.protectedPorts(p).rules(destinationPort, goTo(atPrerouting.serviceChain(p)))...)
	if r.knocked(p) {
		// What is left goes to a port that is only knocked on.
		rules = append(rules, r.logKnocks(p)...)
	}
	return rules
}

// logKnocks logs packets that match and may be part of a knock: a SYN, or a
// datagram that answers nothing of this host's.
func (r *Ruleset) logKnocks(p packet.Protocol, matches ...match) []rule {
	if p == packet.TCP {
		return r.log(and(matches, pureSYN()))
	}
	return append([]rule{when(and(matches, isAnswer())...).do(accept())}, r.log(matches)...)
}

// logEcho logs echo requests to addresses of this host.
//
// NB: the second request of one ping belongs to a connection that is
// established as soon as the host has answered the first, so that nothing may
// be asked about connections here.
func (r *Ruleset) logEcho() []rule {
	rules := []rule{r.passUnguarded()}
	for _, f := range families() {
		for _, to := range []match{toLocalAddress(), toLocalOfInterface()} {
			rules = append(rules, when(echoRequest(f), to).do(goTo("knock_echo")))
		}
	}
	return append(rules, r.enterMessages(packet.ICMP, goTo)...)
}

// log returns the rules that log what matches: one for each worker and
// protocol family, or one for all where there is one worker.
func (r *Ruleset) log(matches []match) []rule {
	if r.workers() == 1 {
		return []rule{when(matches...).do(logTo(r.Group))}
	}
	var rules []rule
	for n := range r.workers() {
		// The hash is of an address, which is at another place in each family's header.
		for _, f := range families() {
			rules = append(rules, when(and(matches, ofWorker(f, n, r.workers()))...).do(logTo(r.Group+uint16(n))))
		}
	}
	return rules
}
