package gate

import (
	"strings"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
)

// A chain is its rules, and for a base chain the hook at which packets enter it.
//
// The base chains have priority mangle (-150). At prerouting that is after
// conntrack, which they ask, and before anyone's destination NAT (-100), so that
// the port that the client dialled is seen also where it belongs to a container.
// At input the kernel has decided that the packet is for this host: what
// prerouting could not know to be the host's own is caught there. At forward are
// caught the segments that a socket let through prerouting, as one that listens
// on their address alone does, and that were translated to another host since.
type chain struct {
	name  string
	hook  *nftables.ChainHook // nil for a chain that others jump to
	word  string              // what nft calls the hook
	rules []rule
}

// The names of chains.
const (
	prerouting = "prerouting"
	input      = "input"
	forward    = "forward"
	keep       = "keep"
	translated = "translated"
	forwarded  = "forwarded"
)

var protocols = []packet.Protocol{packet.TCP, packet.UDP}

// chains gives the chains so that each stands before those that send packets to
// it, as nft needs them to.
func (r *Ruleset) chains() []chain {
	var list []chain
	if r.hidesSomething() {
		list = append(list, chain{name: keep, rules: r.keep()})
		for _, at := range places {
			list = append(list, r.wall(at)...)
		}
	}
	list = append(list, r.knockChains()...)
	list = append(list, chain{name: prerouting, hook: nftables.ChainHookPrerouting, word: "prerouting", rules: r.enter()})
	if r.hidesSomething() {
		// All three, whatever is hidden: a start that finds others makes the table anew.
		list = append(list,
			chain{name: input, hook: nftables.ChainHookInput, word: "input", rules: r.enterInput()},
			chain{name: forward, hook: nftables.ChainHookForward, word: "forward", rules: r.enterForward()})
	}
	return list
}

// String gives the chain as nft prints it.
func (c chain) String() string {
	var b strings.Builder
	b.WriteString("\tchain " + c.name + " {\n")
	if c.hook != nil {
		b.WriteString("\t\ttype filter hook " + c.word + " priority mangle; policy accept;\n")
	}
	for _, r := range c.rules {
		b.WriteString("\t\t" + r.String() + "\n")
	}
	b.WriteString("\t}\n")
	return b.String()
}

// netlink is the chain as the netlink library knows it, without its rules.
func (c chain) netlink(t *nftables.Table) *nftables.Chain {
	n := &nftables.Chain{Table: t, Name: c.name}
	if c.hook != nil {
		policy := nftables.ChainPolicyAccept
		n.Type, n.Hooknum, n.Priority, n.Policy = nftables.ChainTypeFilter, c.hook, nftables.ChainPriorityMangle, &policy
	}
	return n
}

// same reports whether a chain found in the kernel has the same hook.
func (c chain) same(found *nftables.Chain) bool {
	want := c.netlink(found.Table)
	return found.Type == want.Type && equalOrNil(found.Hooknum, want.Hooknum) &&
		equalOrNil(found.Priority, want.Priority) && equalOrNil(found.Policy, want.Policy)
}

func equalOrNil[T comparable](a, b *T) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// enter sends the packets to our ports on. A packet to any other port leaves
// here, after a look-up and a comparison for each range: this, enterInput and the
// question at forward are all that the rest of the host pays.
func (r *Ruleset) enter() []rule {
	rules := r.all().match(transport, goTo("pre"))
	if r.ICMP {
		rules = append(rules, rule{overProtocolIn(echoSet), goTo("pre_echo")})
	}
	return rules
}

// enterInput sends the packets to hidden ports on. What was translated counts
// by the port that was dialled.
func (r *Ruleset) enterInput() []rule {
	return append(r.allHidden().match(transport, goTo("in")), rule{isTranslated(), goTo(translated)})
}

// enterForward sends segments on that begin no TCP connection, and that belong
// to none either, if they were translated. (What was to be forwarded before it
// was translated is another host's, and passes.)
func (r *Ruleset) enterForward() []rule {
	if !r.hides(packet.TCP) {
		return nil
	}
	return []rule{{isTranslated(), isNew(), ackOrRST(), goTo(forwarded)}}
}

// keep lets a packet pass whose connection is known by its tuple, and keeps it
// known.
func (r *Ruleset) keep() []rule {
	var rules []rule
	for _, f := range families() {
		rules = append(rules, rule{enterTCPTuple(f, keptSet+f.digit), accept()})
	}
	for _, f := range families() {
		rules = append(rules, rule{enterTuple(f, keptSet+f.digit, "th"), accept()})
	}
	return append(rules, rule{accept()})
}

// unguardedPass lets packets pass that came in where the table does not act.
func (r *Ruleset) unguardedPass() rule {
	names := r.unguarded()
	if len(names) == 1 {
		return rule{fromInterface(names[0]), accept()}
	}
	return rule{fromInterfaceIn(unguardedSet), accept()}
}

// refuse is what becomes of a packet of the protocol to a hidden port.
func (r *Ruleset) refuse(p packet.Protocol) rule {
	switch {
	case r.Hide == Drop:
		return rule{drop()}
	case p == packet.TCP:
		return rule{rejectWithReset()}
	}
	return rule{rejectUnreachable()}
}
