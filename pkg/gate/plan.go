package gate

import (
	"errors"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// change is what a transaction does to the table, beside writing all rules and
// constant sets anew: they are few, and to write them costs less than to find
// out whether they are as they should be.
type change struct {
	replaces *nftables.Table // delete this one first
	build    bool            // make the table; otherwise it stands
	found    []*nftables.Chain
	missing  []set // to be made
	gone     []*nftables.Set
	elements map[string][]nftables.SetElement // to be added, by set
}

// plan reads what the transaction depends on, and says what it has to do.
func (k *Kernel) plan(r *Ruleset, t *nftables.Table, flags nftables.TableFlags, replaced bool) (change, error) {
	if t == nil || replaced {
		return change{replaces: t, build: true, missing: r.sets()}, nil
	}
	c, fits, err := k.planUpdate(r, t, flags)
	if err != nil || fits {
		return c, err
	}
	return change{replaces: t, build: true, missing: r.sets()}, nil
}

// planUpdate changes a table in place, if it can be: the flags are what they
// should be, nothing is in it but chains and sets, and those of the kind we keep
// are of the form we give them; and at first, its base chains are ours. (Flags
// cannot be taken back, and ownership only be had of a new table or of one that lost
// its owner; that one has kept the flag persist.)
func (k *Kernel) planUpdate(r *Ruleset, t *nftables.Table, flags nftables.TableFlags) (c change, fits bool, err error) {
	if t.Flags&^nftables.TableFlagOwner != flags&^nftables.TableFlagOwner {
		return change{}, false, nil
	}
	if c.found, err = k.chainsOf(t); err != nil {
		return change{}, false, err
	}
	sets, err := k.conn.GetSets(t)
	if err != nil {
		return change{}, false, err
	}
	sets = slices.DeleteFunc(sets, func(s *nftables.Set) bool { return s.Anonymous })
	if int(t.Use) != len(c.found)+len(sets) || !sameHooks(r.chains(), c.found) {
		return change{}, false, nil
	}
	if k.applied == nil && !allHooked(r.chains(), c.found) {
		return change{}, false, nil
	}
	return c, c.planSets(r.sets(), sets), nil
}

// planSets keeps the sets that are to keep what is in them, and reports whether
// it could.
func (c *change) planSets(want []set, found []*nftables.Set) bool {
	byName := make(map[string]*nftables.Set)
	for _, s := range found {
		byName[s.Name] = s
	}
	for _, s := range want {
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
		if c.hook != nil {
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
	return has(room{protocol: protocols[0], digit: "4", bits: 32}.name()) && has(keptSet+"4") ||
		has("granted4") && has("knock_ports"), nil
}

// grantElements are the elements of some grants, by set, with the time that is
// left.
func grantElements(list []Grant) map[string][]nftables.SetElement {
	elements := make(map[string][]nftables.SetElement)
	for _, g := range list {
		if g.Remaining >= time.Millisecond {
			g.Timeout = g.Remaining
			name := roomOf(g.element()).name()
			elements[name] = append(elements[name], g.netlink())
		}
	}
	return elements
}

// netlink is the element of a grant as the netlink library knows it.
func (g Grant) netlink() nftables.SetElement {
	return nftables.SetElement{
		Key:     roomOf(g.element()).key(g.Source, g.Service.First),
		Timeout: g.Timeout,
		Comment: g.comment(),
	}
}
