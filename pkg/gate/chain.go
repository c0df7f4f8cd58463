package gate

import (
	"strings"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
)

// gateChain is the name of the table's only chain.
const gateChain = "gate"

// chain is the table's base chain. It hooks in at prerouting with priority
// mangle (-150): after conntrack, which it asks, and before anyone's
// destination NAT (-100), so that it sees the port that the client dialled
// also where that belongs to a container.
type chain []rule

// chain gives the rules in their order.
func (r *Ruleset) chain() chain { return append(r.pass(), r.hide()...) }

// interim gives the same rules with one more for each protected service, so
// that they hide everything without the set of protected services.
//
// NB: a transaction shows its new rules to packets first and the new
// contents of interval sets a little later (nf_tables_commit and
// nft_set_commit_update in net/netfilter/nf_tables_api.c), which is no matter
// of microseconds when it also holds thousands of grants. Hash sets, such as
// those of grants, change at the same moment as the rules.
func (r *Ruleset) interim() chain {
	c := r.pass()
	for _, s := range normal(r.Protected) {
		c = append(c, rule{toService(s), r.refuse(s.Protocol)})
	}
	return append(c, r.hide()...)
}

// pass gives the rules that let packets pass and those that log them.
//
// Echo requests are logged before the rule about known connections: the
// second request of one ping belongs to a connection that is established as
// soon as the host has answered the first. All others are logged after it,
// so that the traffic of open connections costs nothing but that rule.
//
// What is broadcast, multicast or anycast is for this host too: services that
// are bound to no address get it.
func (r *Ruleset) pass() chain {
	c := r.elsewhere()
	if r.ICMP {
		c = append(c, r.log(rule{echoRequest(ipv4()), toLocalAddress()}, ipv4())...)
		c = append(c, r.log(rule{echoRequest(ipv6()), toLocalAddress()}, ipv6())...)
	}
	c = append(c,
		rule{ofKnownConnection(), accept()},
		rule{toAnotherHost(), accept()},
		rule{grantedIn(ipv4(), granted4), accept()},
		rule{grantedIn(ipv6(), granted6), accept()},
	)
	c = append(c, r.log(rule{pureSYN(), toServiceIn(knockPorts, "tcp")}, ipv4(), ipv6())...)
	return append(c, r.log(rule{overUDP(toServiceIn(knockPorts, "udp"))}, ipv4(), ipv6())...)
}

// elsewhere lets packets pass that came in where the table does not act. A
// chain of comparisons needs no set of its own, and takes wildcards.
func (r *Ruleset) elsewhere() chain {
	if len(r.Interfaces) == 0 {
		return chain{rule{fromInterface("lo"), accept()}}
	}
	var pass rule
	for _, name := range r.Interfaces {
		pass = append(pass, notFromInterface(name))
	}
	return chain{append(pass, accept())}
}

// log gives the rules that log what matches: one for each worker and
// protocol family, or one for all where there is nothing to share out.
func (r *Ruleset) log(match rule, families ...family) chain {
	if r.workers() == 1 {
		return chain{append(match, logTo(r.Group))}
	}
	var c chain
	for n := range r.workers() {
		for _, f := range families {
			share := append(rule{}, match...)
			c = append(c, append(share, ofWorker(f, n, r.workers()), logTo(r.Group+uint16(n))))
		}
	}
	return c
}

func (r *Ruleset) hide() chain {
	if r.Hide == Reject {
		return chain{
			rule{overTCP(toServiceIn(protected, "tcp")), r.refuse(packet.TCP)},
			rule{toServiceIn(protected, "th"), r.refuse(packet.UDP)},
		}
	}
	return chain{rule{toServiceIn(protected, "th"), drop()}}
}

// refuse is what becomes of a packet of the protocol to a protected port.
func (r *Ruleset) refuse(p packet.Protocol) statement {
	switch {
	case r.Hide == Drop:
		return drop()
	case p == packet.TCP:
		return rejectWithReset()
	}
	return rejectUnreachable()
}

// String gives the chain as nft prints it.
func (c chain) String() string {
	var b strings.Builder
	b.WriteString("\tchain " + gateChain + " {\n")
	b.WriteString("\t\ttype filter hook prerouting priority mangle; policy accept;\n")
	for _, r := range c {
		b.WriteString("\t\t" + r.String() + "\n")
	}
	b.WriteString("\t}\n")
	return b.String()
}

// baseChain is the chain as the netlink library knows it, without its rules.
func baseChain(t *nftables.Table) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Table:    t,
		Name:     gateChain,
		Type:     nftables.ChainTypeFilter,
		Hooknum:  nftables.ChainHookPrerouting,
		Priority: nftables.ChainPriorityMangle,
		Policy:   &policy,
	}
}
