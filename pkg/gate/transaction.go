package gate

import (
	"errors"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// A transaction is what one transaction of nf_tables does: it writes tables, and adds
// elements to sets or deletes them, in these tables or in any other.
//
// A transaction may depend on what was read of more tables than it changes. It is sent
// with the generation of the ruleset at which it was read, and the kernel refuses
// it (ERESTART) if any table has changed since. So tables that are only looked at
// are not in it. A transaction with grants for the sets of other tables would
// hold changes of their elements and nothing else for these.
type transaction struct {
	tables   []tableChange
	elements []elementChange
}

// A tableChange writes a table of ours: all rules and constant sets anew, since
// they are few and to write them costs less than to find out whether they are as
// they should be.
type tableChange struct {
	table    *nftables.Table
	layout   layout          // what the table is to hold
	replaces *nftables.Table // delete this one first
	build    bool            // make the table; otherwise it is there
	found    []*nftables.Chain
	missing  []set // to be made
	gone     []*nftables.Set
}

// An elementChange adds elements to a set or deletes them.
type elementChange struct {
	set      *nftables.Set // with its table
	action   action
	elements []nftables.SetElement
}

// action is what is done with elements of a set.
type action uint8

const (
	// add adds elements. One that is there stays as it is, with the time it has left.
	add action = iota
	// renew adds elements with their full timeout, whether they are there or not.
	renew
	// remove deletes elements, whether they are there or not.
	remove
)

// send has the kernel carry out a transaction, unless the generation of the
// ruleset is another one by then; 0 is any generation.
func (k *Kernel) send(tx transaction, generation uint32) error {
	for _, c := range tx.tables {
		k.encodeTable(c)
	}
	for _, c := range tx.elements {
		k.encodeElements(c)
	}
	return k.conn.FlushWithGenID(generation)
}

// encodeTable adds the messages that write a table to the connection's buffer.
//
// NB: packets see all of it at one moment, since rules, plain sets and hash sets
// change with the generation of the ruleset; interval sets do not
// (nf_tables_commit and nft_set_commit_update in net/netfilter/nf_tables_api.c),
// and maps of verdicts are void for a packet that is under way in the rules that
// went (nft_map_deactivate). Neither is used here.
func (k *Kernel) encodeTable(c tableChange) {
	if c.replaces != nil {
		k.conn.DelTable(c.replaces)
	}
	// To add a table that is there takes it over if it has lost its owner.
	k.conn.AddTable(c.table)
	k.clearOut(c)
	for _, s := range c.missing {
		encoded(k.conn.AddSet(s.netlink(c.table), s.elements()))
	}
	// All chains before the first rule: a verdict names a chain that is there.
	for _, want := range c.layout.chains {
		k.conn.AddChain(want.netlink(c.table))
	}
	for _, want := range c.layout.chains {
		n := want.netlink(c.table)
		for _, rule := range want.rules {
			k.conn.AddRule(&nftables.Rule{Table: c.table, Chain: n, Exprs: rule.exprs()})
		}
	}
}

// clearOut deletes all rules, and then the chains and sets that are not wanted.
func (k *Kernel) clearOut(c tableChange) {
	// A chain or set that a rule refers to cannot be deleted (EBUSY).
	for _, found := range c.found {
		k.conn.FlushChain(found)
	}
	for _, found := range c.found {
		if !slices.ContainsFunc(c.layout.chains, func(want chain) bool { return want.name == found.Name }) {
			k.conn.DelChain(found)
		}
	}
	for _, s := range c.gone {
		k.conn.DelSet(s)
	}
}

// encodeElements adds the messages that change elements to the connection's buffer.
func (k *Kernel) encodeElements(c elementChange) {
	// NB: to add an element that is there changes nothing, not even its time. One that
	// is not there cannot be deleted: ENOENT undoes the batch. Added first, it can.
	// In one batch no packet ever misses the element.
	encoded(k.conn.SetAddElements(c.set, c.elements))
	if c.action == add {
		return
	}
	encoded(k.conn.SetDeleteElements(c.set, keysOf(c.elements)))
	if c.action == renew {
		encoded(k.conn.SetAddElements(c.set, c.elements))
	}
}

// keysOf are elements as they are named when they are deleted.
func keysOf(elements []nftables.SetElement) []nftables.SetElement {
	var keys []nftables.SetElement
	for _, e := range elements {
		keys = append(keys, nftables.SetElement{Key: e.Key})
	}
	return keys
}

// encoded panics if the library could not encode a message. What we give it was
// validated, and half a transaction must not be sent.
func encoded(err error) {
	if err != nil {
		panic("gate: cannot encode: " + err.Error())
	}
}

// planTable reads our table, which is t or nil, and says what the transaction has
// to do to it. A table that another process made in the place of ours is replaced.
func (k *Kernel) planTable(r *Ruleset, t *nftables.Table, flags nftables.TableFlags, replaced bool) (tableChange, error) {
	c := tableChange{table: k.table.netlink(flags), layout: r.layout()}
	if t != nil && !replaced {
		if fits, err := k.planUpdate(&c, t); err != nil || fits {
			return c, err
		}
	}
	return tableChange{table: c.table, layout: c.layout, replaces: t, build: true, missing: c.layout.sets}, nil
}

// planUpdate changes a table in place, if it can be: the flags are what they
// should be, nothing is in it but chains and sets, and those of the kind we keep
// are of the form we give them; and at first, its base chains are ours. (Flags
// cannot be taken back, and ownership only be had of a new table or of one that lost
// its owner; that one has kept the flag persist.)
func (k *Kernel) planUpdate(c *tableChange, t *nftables.Table) (fits bool, err error) {
	if t.Flags&^nftables.TableFlagOwner != c.table.Flags&^nftables.TableFlagOwner {
		return false, nil
	}
	if c.found, err = k.chainsOf(t); err != nil {
		return false, err
	}
	sets, err := k.conn.GetSets(t)
	if err != nil {
		return false, err
	}
	sets = slices.DeleteFunc(sets, func(s *nftables.Set) bool { return s.Anonymous })
	// The use of a table counts chains, sets, objects and flowtables: there must be
	// none that is not ours.
	if int(t.Use) != len(c.found)+len(sets) || !sameHooks(c.layout.chains, c.found) {
		return false, nil
	}
	if k.applied == nil && !allHooked(c.layout.chains, c.found) {
		return false, nil
	}
	return c.planSets(sets), nil
}

// planSets keeps the sets whose elements are to stay, and reports whether it
// could.
func (c *tableChange) planSets(found []*nftables.Set) bool {
	byName := make(map[string]*nftables.Set)
	for _, s := range found {
		byName[s.Name] = s
	}
	for _, s := range c.layout.sets {
		n := byName[s.name]
		switch {
		case n != nil && !s.constant() && !s.same(n):
			return false
		case n != nil && !s.constant():
			delete(byName, s.name)
		default:
			c.missing = append(c.missing, s)
		}
	}
	for _, s := range found {
		if byName[s.Name] != nil {
			c.gone = append(c.gone, s)
		}
	}
	return true
}

// sameHooks reports whether no chain would have to change its hook.
func sameHooks(want []chain, found []*nftables.Chain) bool {
	for _, c := range want {
		i := slices.IndexFunc(found, func(f *nftables.Chain) bool { return f.Name == c.name })
		if i >= 0 && !c.same(found[i]) {
			return false
		}
	}
	return true
}

// allHooked reports whether the base chains that were found are those wanted: a
// table of an earlier version has others.
//
// NB: the kernel takes no new base chain in the transaction that takes a table
// over which has lost its owner (EINVAL: nf_tables_addchain and
// __NFT_TABLE_F_UPDATE in net/netfilter/nf_tables_api.c).
func allHooked(want []chain, found []*nftables.Chain) bool {
	names := make(map[string]bool)
	for _, c := range want {
		if c.base != nil {
			names[c.name] = true
		}
	}
	for _, f := range found {
		if f.Hooknum != nil && !names[f.Name] {
			return false
		}
		delete(names, f.Name)
	}
	return len(names) == 0
}

func (k *Kernel) chainsOf(t *nftables.Table) ([]*nftables.Chain, error) {
	// The kernel lists the chains of a family; the library has no request for those
	// of one table.
	all, err := k.conn.ListChainsOfTableFamily(t.Family)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(c *nftables.Chain) bool { return c.Table.Name != t.Name }), nil
}

// isOurs reports whether a table of our name was made by us, of this version or
// an earlier one, or is empty. What others keep in a table of that name must not
// be lost.
func (k *Kernel) isOurs(t *nftables.Table) (bool, error) {
	if t.Use == 0 {
		return true, nil
	}
	sets, err := k.conn.GetSets(t)
	if errors.Is(err, unix.ENOENT) {
		return false, errChanged
	}
	if err != nil {
		return false, err
	}
	has := func(name string) bool {
		return slices.ContainsFunc(sets, func(s *nftables.Set) bool { return s.Name == name })
	}
	tcp4 := grantSet{protocol: protocols[0], digit: "4", bits: 32}
	// The second pair are sets of the first version's table.
	return has(tcp4.name()) && has(keptSet+"4") || has("granted4") && has("knock_ports"), nil
}

// addGrants gives grants the time that they have left, in sets of a table.
func addGrants(list []Grant, t *nftables.Table) []elementChange {
	bySet := make(map[grantSet][]nftables.SetElement)
	for _, g := range list {
		// The kernel counts milliseconds, and reads 0 as no timeout.
		if g.Remaining >= time.Millisecond && (g.Forward.Port == 0 || g.Remaining > 2*forwardSlack) {
			g.Timeout = g.Remaining
			m := grantSetOf(g.element())
			bySet[m] = append(bySet[m], g.netlink())
		}
	}
	var changes []elementChange
	for m, elements := range bySet {
		changes = append(changes, elementChange{m.in(t), add, elements})
	}
	// Behind the sets: see forwardSlack.
	return append(changes, addForwards(list, t)...)
}

// netlink is the element of a grant as the netlink library knows it.
func (g Grant) netlink() nftables.SetElement {
	return nftables.SetElement{
		Key:     grantSetOf(g.element()).key(g.Source, g.Service),
		Timeout: g.admitTimeout(),
		Comment: g.comment(),
	}
}
