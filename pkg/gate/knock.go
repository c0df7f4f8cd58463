package gate

import (
	"nftknock/pkg/packet"

	"nftknock/pkg/port"
)

// What is logged for knocks: SYNs and datagrams to knock ports, and echo
// requests. They get no verdict: what else happens to them is left to the host's
// other rules.

// all are the ports of all protocols at which packets matter.
func (r *Ruleset) all() ports { return portsOfAny(allPortsSet, r.Protected, r.KnockPorts) }

// ours are those of one protocol: hidden ones, and those that are knocked on.
func (r *Ruleset) ours(p packet.Protocol) ports {
	return portsOf(p, p.String()+portsSet, r.Protected, r.KnockPorts)
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
	for _, k := range port.Normal(r.KnockPorts) {
		for _, s := range port.Normal(r.Protected) {
			if both, ok := k.Common(s); ok && both.Protocol == p {
				list = append(list, both)
			}
		}
	}
	return list
}

// knockChains are the chains between prerouting and the wall.
func (r *Ruleset) knockChains() []chain {
	var list []chain
	for _, p := range protocols {
		if !r.ours(p).empty() {
			list = append(list, chain{name: "pre_" + p.String(), rules: r.arrive(p)})
		}
	}
	if r.hidesSomething() {
		list = append(list, chain{name: "pre_admitted", rules: r.goOnAdmitted()})
	}
	if !r.all().empty() {
		list = append(list, chain{name: "pre", rules: r.byProtocol()})
	}
	if r.ICMP {
		list = append(list, chain{name: "knock_echo", rules: r.log(nil, families()...)})
		list = append(list, chain{name: "pre_echo", rules: r.echo()})
	}
	return list
}

// byProtocol sends a packet to one of our ports on, if its protocol is the one
// that the port is ours for. What belongs to an admitted connection, most of
// what comes here, leaves first.
func (r *Ruleset) byProtocol() []rule {
	var rules []rule
	if r.hidesSomething() {
		rules = append(rules, rule{r.admittedAt(atPrerouting), jump("pre_admitted")})
	}
	for _, p := range protocols {
		rules = append(rules, r.ours(p).match(header, goTo("pre_"+p.String()))...)
	}
	return rules
}

// arrive is for packets to our ports of a protocol, at prerouting.
func (r *Ruleset) arrive(p packet.Protocol) []rule {
	rules := []rule{r.unguardedPass(), {toAnotherHost(), accept()}}
	rules = append(rules, r.hidden(p).match(header, goTo(atPrerouting.chain(p, "")))...)
	if r.knocked(p) {
		rules = append(rules, r.logKnocks(p, nil)...)
	}
	return rules
}

// logKnocks logs what may be part of a knock: a SYN, or a datagram that answers
// nothing of this host's.
func (r *Ruleset) logKnocks(p packet.Protocol, match rule) []rule {
	if p == packet.TCP {
		return r.log(match.with(pureSYN()), families()...)
	}
	return append([]rule{match.with(isAnswer(), accept())}, r.log(match, families()...)...)
}

// echo logs echo requests to addresses of this host.
//
// NB: the second request of one ping belongs to a connection that is
// established as soon as the host has answered the first, so that nothing may
// be asked about connections here.
func (r *Ruleset) echo() []rule {
	rules := []rule{r.unguardedPass()}
	for _, f := range families() {
		for _, to := range []statement{toLocalAddress(), toLocalOfDevice()} {
			rules = append(rules, rule{echoRequest(f), to, goTo("knock_echo")})
		}
	}
	return rules
}

// log gives the rules that log what matches: one for each worker and
// protocol family, or one for all where there is nothing to share out.
func (r *Ruleset) log(match rule, families ...family) []rule {
	if r.workers() == 1 {
		return []rule{match.with(logTo(r.Group))}
	}
	var rules []rule
	for n := range r.workers() {
		for _, f := range families {
			rules = append(rules, match.with(ofWorker(f, n, r.workers()), logTo(r.Group+uint16(n))))
		}
	}
	return rules
}
