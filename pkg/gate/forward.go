package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/flows"
	"nftknock/pkg/invalid"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Grants that lead to another host, or to another port of this one.
//
// Such a grant has two elements, or three, that come and go in one transaction: one in a
// set of grants, as any grant, by which the checkpoints let the packets to the dialled
// port pass; one in a map, which gives the target; and if the target is to see this
// host's address, one in a set at postrouting. The maps are asked in a chain of type nat,
// which the first packet of a connection alone passes: conntrack knows the target of all
// others, so that a connection outlives its grant. The dialled port may also be one that
// the table does not hide; then the map alone decides.

// The names of the maps and the set, before the digit of a family. All hold grants: see
// isGrantSet.
const (
	forwardMap    = "granted_forward"    // to another host
	localMap      = "granted_local"      // to another port
	masqueradeSet = "granted_masquerade" // with the keys of the maps
)

// The names of the chains. nft does not take a chain named dnat or snat.
const (
	targetPrerouting  = "target_prerouting"
	targetGranted     = "target_granted"
	targetPostrouting = "target_postrouting"
)

// forwardSlack is by how much the element in the set of grants ends before that in the
// map: packets that are let through must never find the map empty and reach the dialled
// port of this host. It is some ticks of the kernel's clock (CONFIG_HZ is 100 or more).
const forwardSlack = 30 * time.Millisecond

// Our chains of type nat come before those of Docker and of anyone else who uses the
// usual priorities (dstnat is -100, srcnat 100): what was translated once is not
// translated again (nf_nat_inet_fn).
var (
	atNATPrerouting = base{
		nftables.ChainTypeNAT, hook{nftables.ChainHookPrerouting, "prerouting"},
		priority{nftables.ChainPriorityRef(-101), "dstnat - 1"}, pass,
	}
	atNATPostrouting = base{
		nftables.ChainTypeNAT, hook{nftables.ChainHookPostrouting, "postrouting"},
		priority{nftables.ChainPriorityRef(99), "srcnat - 1"}, pass,
	}
)

func (r *Ruleset) forwards() bool    { return r.Forward || r.leftForward }
func (r *Ruleset) masquerades() bool { return r.Masquerade || r.leftMasquerade }

// takes reports whether the table has a map, and a set, for what a grant leads to.
func (r *Ruleset) takes(g Grant) bool {
	return (g.Forward.Port == 0 || r.Forward) && (!g.Masquerade || r.Masquerade)
}

func (g Grant) validateForward() error {
	to := g.Forward
	if to == (port.Target{}) {
		if g.Masquerade {
			return invalid.New("bad grant: masquerade without a target", "")
		}
		return nil
	}
	if err := to.Check(); err != nil {
		return err
	}
	source := normalSource(g.Source)
	switch {
	case g.Service.Ports() != 1:
		return invalid.Newf("a single port", "bad service %q for target %q", g.Service, to)
	case !source.IsSingleIP():
		return invalid.Newf("a single address", "bad source %q for target %q", source, to)
	case g.Once:
		return invalid.Newf("no single-use grant", "bad grant for target %q", to)
	case !to.Local() && to.Addr.Is4() != source.Addr().Is4():
		return invalid.Newf("a source of the same address family", "bad source %q for target %q", source.Addr(), to)
	case to.Local() && g.Masquerade:
		return invalid.Newf("a target on another host", "bad target %q to masquerade for", to)
	}
	return nil
}

// leadsWhere reports whether two grants of the same element lead to the same target.
func (g Grant) leadsWhere(other Grant) bool {
	return g.Forward == other.Forward && g.Masquerade == other.Masquerade
}

// admitTimeout is that of the element in the set of grants.
func (g Grant) admitTimeout() time.Duration {
	if g.Forward.Port != 0 {
		return g.Timeout - forwardSlack
	}
	return g.Timeout
}

// dialled is the type of the keys in the maps: source, protocol and dialled port.
func dialled(f family) keyType { return grantKey{f, true, true}.fields() }

// forwardSets returns the maps and the sets of the table.
func (r *Ruleset) forwardSets() []set {
	var list []set
	for _, f := range families() {
		if r.forwards() {
			list = append(list,
				set{name: forwardMap + f.digit, key: dialled(f), data: keyType{f.address, nftables.TypeInetService}},
				set{name: localMap + f.digit, key: dialled(f), data: keyType{nftables.TypeInetService}})
		}
	}
	for _, f := range families() {
		if r.masquerades() {
			list = append(list, set{name: masqueradeSet + f.digit, key: dialled(f)})
		}
	}
	for i := range list {
		list[i].size, list[i].timeout, list[i].counter = MaxGrants, defaultTimeout, true
	}
	return list
}

// forwardChains returns the chains of type nat, and what they go to.
func (r *Ruleset) forwardChains() []chain {
	var list []chain
	if r.forwards() {
		list = append(list,
			chain{name: targetGranted, rules: r.translate()},
			chain{name: targetPrerouting, base: &atNATPrerouting, rules: []rule{
				// A packet to another host is not translated, though it goes to a granted port.
				when(toLocalAddress()).do(goTo(targetGranted)),
				when(toLocalOfInterface()).do(goTo(targetGranted)),
			}})
	}
	if r.masquerades() {
		list = append(list, chain{name: targetPostrouting, base: &atNATPostrouting, rules: masqueradeRules()})
	}
	return list
}

// translate gives new connections their targets.
func (r *Ruleset) translate() []rule {
	rules := []rule{r.passUnguarded()}
	// The label is for ports that no checkpoint looks at, so that the connection is known
	// for an admitted one.
	for _, p := range protocols {
		for _, f := range families() {
			m := grantSet{protocol: p, digit: f.digit, bits: f.bits}
			rules = append(rules, when(m.holds(destinationPort)...).do(r.setLabel(atPrerouting)))
		}
	}
	for _, f := range families() {
		rules = append(rules, always(toHost(f)))
	}
	for _, p := range protocols {
		for _, f := range families() {
			rules = append(rules, when(overProtocol(p)).do(toPort(f, p)))
		}
	}
	return rules
}

// loadDialled puts the key of a packet into the row of registers.
func loadDialled(f family) []expr.Any {
	width := words(f.addrLen())
	return append(f.guard(), f.loadSource(reg1), loadProtocol(register(width)),
		&expr.Payload{DestRegister: register(width + 1), Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
}

// lookupValue replaces the key in the row of registers by the value that a map has for it.
// Without one the rule ends.
func lookupValue(name string) expr.Any {
	return &expr.Lookup{SourceRegister: reg1, DestRegister: reg1, IsDestRegSet: true, SetName: name}
}

// toHost translates the destination to that in the map of targets on other hosts: the
// fields of a value are in registers that follow each other, as those of a key.
func toHost(f family) statement {
	name := forwardMap + f.digit
	return statement{fmt.Sprintf("dnat %s to %s saddr . meta l4proto . th dport map @%s", f.word, f.word, name),
		append(loadDialled(f), lookupValue(name), &expr.NAT{
			Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg1, RegProtoMin: register(words(f.addrLen())),
		})}
}

// toPort translates the port alone, so that the packet stays at the address it came to.
func toPort(f family, p packet.Protocol) statement {
	name := localMap + f.digit
	return statement{fmt.Sprintf("meta nfproto %s dnat to :%s saddr . meta l4proto . %s dport map @%s", f.nfprotoWord(), f.word, p, name),
		append(loadDialled(f), lookupValue(name), &expr.NAT{
			Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_INET, RegProtoMin: reg1, Specified: true,
		})}
}

func (f family) nfprotoWord() string { return "ipv" + f.digit }

// masqueradeRules give connections that a map translated this host's address as their
// source: the source is still that which was dialled from.
func masqueradeRules() []rule {
	var rules []rule
	for _, p := range protocols {
		for _, f := range families() {
			width := words(f.addrLen())
			key := match{fmt.Sprintf("%s saddr . meta l4proto . %s @%s%s", f.word, originalPort.word(p), masqueradeSet, f.digit),
				append(f.guard(), f.loadSource(reg1), loadProtocol(register(width)),
					originalPort.load(register(width+1)), lookup(masqueradeSet+f.digit))}
			rules = append(rules, when(overProtocol(p), isTranslated(), key).do(statement{"masquerade", []expr.Any{&expr.Masq{}}}))
		}
	}
	return rules
}

// A forwardPart is an element of a grant beside that in the set of grants.
type forwardPart struct {
	set     string
	element nftables.SetElement
}

// forwardParts returns the elements of a grant beside that in the set of grants, none if
// it leads to no target.
func (g Grant) forwardParts() []forwardPart {
	to := g.Forward
	if to.Port == 0 {
		return nil
	}
	f := familyOf(g.Source.Addr())
	element := nftables.SetElement{
		Key:     grantKey{f, true, true}.encode(g.Source.Addr(), g.Service),
		Val:     binary.BigEndian.AppendUint16(nil, to.Port),
		Timeout: g.Timeout, Comment: g.comment(),
	}
	if to.Local() {
		return []forwardPart{{localMap + f.digit, element}}
	}
	element.Val = keyType{f.address, nftables.TypeInetService}.encode(to.Addr.AsSlice(), element.Val)
	parts := []forwardPart{{forwardMap + f.digit, element}}
	if g.Masquerade {
		element.Val = nil
		parts = append(parts, forwardPart{masqueradeSet + f.digit, element})
	}
	return parts
}

// forwardChanges does something with these elements.
func (g Grant) forwardChanges(do action, t *nftables.Table) []elementChange {
	var changes []elementChange
	for _, p := range g.forwardParts() {
		changes = append(changes, elementChange{forwardSet(t, p.set), do, []nftables.SetElement{p.element}})
	}
	return changes
}

// dropForward takes them out.
//
// NB: to take them out, they are added first (see encodeElements), which fails if the
// map has another value for the key. So it must be the grant that the kernel holds.
func (g Grant) dropForward(t *nftables.Table) []elementChange { return g.forwardChanges(remove, t) }

// forwardSet names a map or set for the netlink library, so that elements can be changed.
func forwardSet(t *nftables.Table, name string) *nftables.Set {
	return &nftables.Set{Table: t, Name: name, HasTimeout: true}
}

// addForwards are the changes of addGrants for the elements beside those in the sets of
// grants.
func addForwards(list []Grant, t *nftables.Table) []elementChange {
	bySet := make(map[string][]nftables.SetElement)
	for _, g := range list {
		if g.Remaining <= 2*forwardSlack {
			continue
		}
		g.Timeout = g.Remaining
		for _, p := range g.forwardParts() {
			bySet[p.set] = append(bySet[p.set], p.element)
		}
	}
	var changes []elementChange
	for name, elements := range bySet {
		changes = append(changes, elementChange{forwardSet(t, name), add, elements})
	}
	return changes
}

// renewal returns the changes that make a grant, in place of the one that is running.
func (g Grant) renewal(running Grant, t *nftables.Table) []elementChange {
	changes := running.dropForward(t)
	changes = append(changes, elementChange{grantSetOf(g.element()).in(t), renew, []nftables.SetElement{g.netlink()}})
	return append(changes, g.forwardChanges(renew, t)...)
}

// removal returns the changes that end the grants of some elements.
func (l *ledger) removal(elements []element, t *nftables.Table) []elementChange {
	var changes []elementChange
	for _, e := range elements {
		m := grantSetOf(e)
		changes = append(changes, elementChange{m.in(t), remove, []nftables.SetElement{{Key: m.key(e.source, e.service)}}})
		changes = append(changes, l.entries[e].grant.dropForward(t)...)
	}
	return changes
}

// relearned sends changes of grants, which send makes by the ledger. If a map has another
// target than the ledger says, another process has changed it: the ledger is read again,
// and the changes are made anew.
func (k *Kernel) relearned(send func() error) error {
	err := send()
	if (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)) && k.learn() == nil {
		err = send()
	}
	return err
}

// forwards reports whether grants lead to targets, and whether some of these see this
// host's address.
func (l *ledger) forwards() (some, masquerade bool) {
	for _, d := range l.entries {
		some = some || d.grant.Forward.Port != 0
		masquerade = masquerade || d.grant.Masquerade
	}
	return some, masquerade
}

// listForwards adds to the grants of a listing where they lead. An element of a map that
// has none beside it in the sets is a grant, too: the dialled port may be open.
func (k *Kernel) listForwards(all []Grant) ([]Grant, error) {
	if !k.applied.forwards() {
		return all, nil
	}
	k.alone = make(map[element]bool)
	at := make(map[element]int)
	for i, g := range all {
		at[g.element()] = i
	}
	for _, f := range families() {
		masqueraded, err := k.listMasqueraded(f)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{forwardMap, localMap} {
			list, err := k.listMap(name, f)
			if err != nil {
				return nil, err
			}
			for _, g := range list {
				g.Masquerade = !g.Forward.Local() && masqueraded[string(grantKey{f, true, true}.encode(g.Source.Addr(), g.Service))]
				if i, ok := at[g.element()]; ok {
					// A connection is counted at the set, too, if the dialled port is hidden.
					g.Packets, g.Bytes = max(g.Packets, all[i].Packets), max(g.Bytes, all[i].Bytes)
					all[i] = g
				} else {
					k.alone[g.element()] = true
					all = append(all, g)
				}
			}
		}
	}
	return all, nil
}

// endHalves ends the grants of a listing of which another process has deleted one of the
// elements, and returns the others: without the one in the map, a granted packet would
// reach the dialled port of this host.
func (k *Kernel) endHalves(list []Grant) (whole []Grant, err error) {
	var changes []elementChange
	t := k.table.netlink(0)
	for _, g := range list {
		e := g.element()
		before := k.ledger.entries[e].grant
		if !k.alone[e] && (before.Forward.Port == 0 || g.Forward.Port != 0) {
			whole = append(whole, g)
			continue
		}
		m := grantSetOf(e)
		changes = append(changes, elementChange{m.in(t), remove, []nftables.SetElement{{Key: m.key(e.source, e.service)}}})
		changes = append(changes, g.dropForward(t)...)
	}
	if len(changes) > 0 {
		err = k.retry(func() error { return k.send(transaction{elements: changes}, 0) })
	}
	return whole, err
}

// elementsOf lists a map or set of this file.
func (k *Kernel) elementsOf(name string) ([]nftables.SetElement, error) {
	for _, s := range k.applied.forwardSets() {
		if s.name == name {
			elements, err := k.conn.GetSetElements(s.netlink(k.table.netlink(0)))
			if err == nil && repeats(elements) {
				err = errChanged
			}
			return elements, err
		}
	}
	return nil, nil
}

// repeats reports whether a listing has an element twice: see Kernel.list.
func repeats(elements []nftables.SetElement) bool {
	seen := make(map[string]bool, len(elements))
	for _, e := range elements {
		if seen[string(e.Key)] {
			return true
		}
		seen[string(e.Key)] = true
	}
	return false
}

// listMasqueraded returns the keys of the set of targets that see this host's address.
func (k *Kernel) listMasqueraded(f family) (map[string]bool, error) {
	elements, err := k.elementsOf(masqueradeSet + f.digit)
	keys := make(map[string]bool, len(elements))
	for _, e := range elements {
		keys[string(e.Key)] = true
	}
	return keys, err
}

// listMap lists the grants in a map.
func (k *Kernel) listMap(name string, f family) ([]Grant, error) {
	elements, err := k.elementsOf(name + f.digit)
	if err != nil {
		return nil, err
	}
	var list []Grant
	for _, e := range elements {
		g := Grant{Timeout: e.Timeout, Remaining: e.Expires}
		if g.Timeout == 0 {
			g.Timeout = defaultTimeout
		}
		g.Access, g.Method = parseComment(e.Comment)
		if e.Counter != nil {
			g.Packets, g.Bytes = e.Counter.Packets, e.Counter.Bytes
		}
		source, service, ok := grantKey{f, true, true}.decode(e.Key)
		to, ok2 := parseTarget(name, f, e.Val)
		if !ok || !ok2 || service.CheckService() != nil {
			return nil, fmt.Errorf("bad element in map %s%s: key %x, value %x", name, f.digit, e.Key, e.Val)
		}
		g.Source, g.Service, g.Forward = Host(source), service, to
		list = append(list, g)
	}
	return list, nil
}

// parseTarget reads the value of a map.
func parseTarget(name string, f family, value []byte) (port.Target, bool) {
	if name == localMap {
		if len(value) < 2 {
			return port.Target{}, false
		}
		return port.Target{Port: binary.BigEndian.Uint16(value)}, true
	}
	fields, ok := keyType{f.address, nftables.TypeInetService}.decode(value)
	if !ok {
		return port.Target{}, false
	}
	addr, _ := netip.AddrFromSlice(fields[0]) // of 4 or 16 bytes
	return port.Target{Addr: addr, Port: binary.BigEndian.Uint16(fields[1])}, true
}

// forwardedByOpenPort reports whether a connection was translated and its dialled port is
// one that no checkpoint looks at.
func (k *Kernel) forwardedByOpenPort(f flows.Flow) bool {
	return f.Reply.Source != f.Original.Destination &&
		!port.CoverAll(k.applied.Protected, port.Single(f.Protocol, f.Original.Destination.Port()))
}
