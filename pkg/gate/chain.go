package gate

import (
	"strings"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
)

// A chain is its rules, and for a base chain the hook at which packets enter it.
type chain struct {
	name  string
	base  *base // nil for a chain that others jump to
	rules []rule
}

// base says where and when packets enter a base chain, and what becomes of those for
// which no rule has a verdict.
type base struct {
	kind     nftables.ChainType
	hook     hook
	priority priority
	policy   policy
}

// hook, priority and policy are the numbers that the kernel has, and the words
// that nft has for them.
type (
	hook struct {
		number *nftables.ChainHook
		word   string
	}
	priority struct {
		number *nftables.ChainPriority
		word   string
	}
	policy struct {
		number nftables.ChainPolicy
		word   string
	}
)

// The base chains have priority mangle (-150, linux/netfilter_ipv4.h). At
// prerouting that is after conntrack (-200), which they ask, and before anyone's
// destination NAT (-100), so that the port that the client dialled is seen also
// where it belongs to a container. At input the kernel has decided that the
// packet is for this host: packets to addresses that prerouting could not know to
// be the host's own are stopped there. At forward are stopped the segments that a
// socket let through prerouting, as one that listens on their address alone does,
// and that were translated to another host since.
//
// All accept by policy: the table hides what it hides by drop or reject, and
// says nothing about any other packet.
var (
	filter = nftables.ChainTypeFilter
	mangle = priority{nftables.ChainPriorityMangle, "mangle"}
	pass   = policy{nftables.ChainPolicyAccept, "accept"}

	atHookPrerouting = base{filter, hook{nftables.ChainHookPrerouting, "prerouting"}, mangle, pass}
	atHookInput      = base{filter, hook{nftables.ChainHookInput, "input"}, mangle, pass}
	atHookForward    = base{filter, hook{nftables.ChainHookForward, "forward"}, mangle, pass}
)

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

// A layout is what a table of ours is made of.
//
// In ModeSet its chains are those of a ruleset without protected ports, which only
// log. Those of ModeMark: see mark.go.
type layout struct {
	sets   []set
	chains []chain
}

// layout returns the sets in the order in which nft lists them, and the chains so
// that each stands before those that send packets to it, as nft needs them to.
func (r *Ruleset) layout() layout { return layout{r.sets(), r.chains()} }

func (r *Ruleset) chains() []chain {
	list := r.messageChains()
	if r.hidesSomething() {
		list = append(list, chain{name: keep, rules: r.keep()})
		for _, at := range checkpoints {
			list = append(list, r.checkpointChains(at)...)
		}
	}
	list = append(list, r.knockChains()...)
	list = append(list, chain{name: prerouting, base: &atHookPrerouting, rules: r.enterPrerouting()})
	if r.hidesSomething() {
		// All of them, whatever is hidden: a start that finds others makes the table anew.
		list = append(list, chain{name: input, base: &atHookInput, rules: r.enterInput()})
		if !r.marks() {
			list = append(list, chain{name: forward, base: &atHookForward, rules: r.enterForward()})
		}
	}
	return append(list, r.forwardChains()...)
}

// String returns the chain as nft prints it.
func (c chain) String() string {
	var b strings.Builder
	b.WriteString("\tchain " + c.name + " {\n")
	if c.base != nil {
		b.WriteString("\t\ttype " + string(c.base.kind) + " hook " + c.base.hook.word + " priority " + c.base.priority.word + "; policy " + c.base.policy.word + ";\n")
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
	if c.base != nil {
		policy := c.base.policy.number
		n.Type, n.Hooknum, n.Priority, n.Policy = c.base.kind, c.base.hook.number, c.base.priority.number, &policy
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

// enterPrerouting sends the packets to our ports on. A packet to any other port
// leaves here, after a look-up and a comparison for each range: this, enterInput
// and the match at forward are all that the rest of the host pays, and a comparison for
// each protocol with messages.
func (r *Ruleset) enterPrerouting() []rule {
	rules := r.watchedPorts().rules(anyDestinationPort, goTo("pre"))
	rules = append(rules, r.enterEcho()...)
	for _, p := range protocols {
		rules = append(rules, r.enterMessages(p, goTo)...)
	}
	return rules
}

// enterInput sends the packets to hidden ports on. What was translated counts
// by the port that was dialled.
func (r *Ruleset) enterInput() []rule {
	return append(r.allProtectedPorts().rules(anyDestinationPort, goTo("in")), when(isTranslated()).do(goTo(translated)))
}

// enterForward sends segments on that begin no TCP connection, and that belong
// to none either, if they were translated. (What was to be forwarded before it
// was translated is another host's, and passes.)
func (r *Ruleset) enterForward() []rule {
	if !r.protects(packet.TCP) {
		return nil
	}
	// conntrack picks up a connection in the middle: its first segment is new, though
	// it has ACK or RST.
	return []rule{when(isTranslated(), isNew(), ackOrRST()).do(goTo(forwarded))}
}

// keep lets a packet pass whose connection is known by its tuple, and starts the
// time of the tuple anew.
func (r *Ruleset) keep() []rule {
	var rules []rule
	if r.marks() {
		rules = append(rules, always(r.setMark()))
	}
	for _, f := range families() {
		rules = append(rules, always(updateTCPTuple(f, keptSet+f.digit), accept()))
	}
	for _, f := range families() {
		rules = append(rules, always(updateTuple(f, keptSet+f.digit, "th"), accept()))
	}
	// A set that is full takes no update, which ends the rule (nft_dynset_eval breaks
	// off). The packet passes all the same.
	return append(rules, always(accept()))
}

// passUnguarded lets packets pass that came in by an interface on which the table
// does not act.
func (r *Ruleset) passUnguarded() rule {
	names := r.unguarded()
	if len(names) == 1 {
		return when(fromInterface(names[0])).do(accept())
	}
	return when(fromInterfaceIn(unguardedSet)).do(accept())
}

// refuse is what becomes of a packet of the protocol to a hidden port. In ModeMark it
// passes without the mark.
func (r *Ruleset) refuse(p packet.Protocol) rule {
	switch {
	case r.marks():
		return always(r.clearMark(), accept())
	case r.Hide == Drop:
		return always(drop())
	case p == packet.TCP:
		return when(overProtocol(packet.TCP)).do(rejectWithReset())
	}
	return always(rejectUnreachable())
}
