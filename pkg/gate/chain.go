package gate

import (
	"strings"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
)

// A chain is its rules, and for a base chain the hook at which packets enter it.
//
// Both base chains have priority mangle (-150). At prerouting that is after
// conntrack, which they ask, and before anyone's destination NAT (-100), so that
// the port that the client dialled is seen also where it belongs to a container.
// At input the kernel has decided that the packet is for this host: what
// prerouting could not know to be the host's own is caught there.
type chain struct {
	name  string
	hook  *nftables.ChainHook // nil for a chain that others jump to
	word  string              // what nft calls the hook
	rules []rule
}

// The names of the chains.
const (
	prerouting = "prerouting"
	input      = "input"
	admit      = "admit"
	keep       = "keep"
	translated = "translated"
)

var protocols = []packet.Protocol{packet.TCP, packet.UDP}

// chains gives the chains so that each stands before those that send packets to
// it, as nft needs them to.
func (r *Ruleset) chains() []chain {
	list := []chain{{name: admit, rules: r.admit()}, {name: keep, rules: r.keep()}}
	for _, p := range protocols {
		list = append(list, r.serviceChains(p)...)
	}
	if r.hidesSomething() {
		list = append(list, chain{name: translated, rules: r.translated()})
	}
	if r.ICMP {
		list = append(list,
			chain{name: "pre_echo", rules: r.echo(toLocalAddress())},
			chain{name: "in_echo", rules: r.echo(toAnotherHost())})
	}
	return append(list,
		chain{name: prerouting, hook: nftables.ChainHookPrerouting, word: "prerouting", rules: r.enter("pre_")},
		chain{name: input, hook: nftables.ChainHookInput, word: "input", rules: r.input()})
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

// enter sends the packets to our ports on, by protocol. A packet to any other
// port leaves here, after a look-up and a comparison for each range: this is
// all that the rest of the host pays.
func (r *Ruleset) enter(hook string) []rule {
	var rules []rule
	for _, p := range protocols {
		rules = append(rules, r.ours(p).match(header, goTo(hook+p.String()))...)
		if p == packet.TCP && (r.ICMP || !r.ours(packet.UDP).empty()) {
			// Most of what comes is spared the questions about the others.
			rules = append(rules, rule{overTCP(), accept()})
		}
	}
	if r.ICMP {
		for _, f := range families() {
			rules = append(rules, rule{echoRequest(f), goTo(hook + "echo")})
		}
	}
	return rules
}

// input is enter, but that the port which was dialled counts for packets whose
// destination was translated.
func (r *Ruleset) input() []rule {
	var rules []rule
	if r.hidesSomething() {
		rules = append(rules, rule{isTranslated(), goTo(translated)})
	}
	return append(rules, r.enter("in_")...)
}

// echo logs echo requests to addresses of a kind: at prerouting those that the
// kernel's table of local addresses knows, at input those it does not.
//
// NB: the second request of one ping belongs to a connection that is
// established as soon as the host has answered the first, so that nothing may
// be asked about connections here.
func (r *Ruleset) echo(to statement) []rule {
	return append([]rule{r.unguardedPass()}, r.log(rule{to}, families()...)...)
}

// admit lets a packet pass that has a grant, and remembers its connection: by
// our label, or by its tuple where conntrack has no entry, or one that is older
// than our rules and has no room for labels.
func (r *Ruleset) admit() []rule {
	rules := []rule{{r.setLabel()}, {r.admitted(), accept()}}
	for _, f := range families() {
		rules = append(rules, rule{enterTuple(f, keptSet+f.digit, "th")})
	}
	return append(rules, rule{accept()})
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
