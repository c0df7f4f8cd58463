package gate

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// change is what a transaction does to the table.
type change struct {
	replaces *nftables.Table // delete this one first
	build    bool            // make sets and chain
	own      bool            // become the owner
	sets     []setChange
	rules    chain // nil where they stay
	interim  bool  // rules are but for now
}

// empty reports that the table is as it should be.
func (c change) empty() bool { return !c.build && !c.own && c.rules == nil && len(c.sets) == 0 }

// setChange is what it does to a set.
type setChange struct {
	set         set
	gone, added []nftables.SetElement
}

// plan reads what the transaction depends on, and says what it has to do.
func (k *Kernel) plan(r *Ruleset, t *nftables.Table, flags nftables.TableFlags, replaced bool) (change, error) {
	if t == nil || replaced {
		// What a table that was brought back holds had a right to be there
		// when it was saved, and now only if it is among what we gave.
		c := planBuild(r, k.lost(nil))
		c.replaces = t
		return c, nil
	}
	fits, err := k.fits(r, t, flags)
	if err != nil {
		return change{}, err
	}
	if fits {
		c, err := k.planUpdate(r, t)
		c.own = t.Flags != flags
		return c, err
	}
	grants, err := k.survivors(r, t)
	if err != nil {
		return change{}, err
	}
	c := planBuild(r, k.lost(grants))
	c.replaces = t
	return c, nil
}

// planBuild makes the whole table, with grants to begin with.
func planBuild(r *Ruleset, grants map[string][]nftables.SetElement) change {
	c := change{build: true, rules: r.interim(), interim: true}
	for _, s := range r.sets() {
		c.sets = append(c.sets, setChange{set: s, added: slices.Concat(s.elements(), grants[s.name])})
	}
	return c
}

// planUpdate changes a table that fits.
func (k *Kernel) planUpdate(r *Ruleset, t *nftables.Table) (change, error) {
	var c change
	rules := r.chain()
	for _, s := range r.sets() {
		if s.grants {
			continue
		}
		found, err := k.conn.GetSetElements(s.netlink(t))
		if err != nil {
			return change{}, err
		}
		want := s.elements()
		diff := setChange{set: s, gone: without(found, want), added: without(want, found)}
		if len(diff.gone)+len(diff.added) > 0 {
			c.sets = append(c.sets, diff)
		}
		if s.name == protected && len(diff.gone) > 0 && len(diff.added) > 0 {
			rules, c.interim = r.interim(), true
		}
	}
	found, err := k.conn.GetRules(t, baseChain(t))
	if err != nil {
		return change{}, err
	}
	if !rules.same(found) {
		c.rules = rules
	}
	return c, nil
}

// same reports whether the kernel's rules do what these do.
func (c chain) same(found []*nftables.Rule) bool {
	return slices.EqualFunc(c, found, func(want rule, got *nftables.Rule) bool {
		return reflect.DeepEqual(want.exprs(), got.Exprs)
	})
}

// lost adds to what was found the grants of those sets that are gone, by name
// of the set.
func (k *Kernel) lost(found map[string][]nftables.SetElement) map[string][]nftables.SetElement {
	grants := make(map[string][]nftables.SetElement)
	for _, g := range k.given.running(time.Now()) {
		set := grantSet(g.Source)
		if _, ok := found[set]; ok || g.Remaining < time.Millisecond {
			continue
		}
		grants[set] = append(grants[set], nftables.SetElement{
			Key:     grantKey(g.Source, g.Service.Protocol, g.Service.First),
			Timeout: g.Remaining,
			Comment: g.Comment,
		})
	}
	maps.Copy(grants, found)
	return grants
}

// fits reports whether the table can be changed in place: it has our sets
// and our chain and nothing else, and the flags are what they should be.
// (Flags cannot be taken back, and ownership only be had of a new table or of
// one that lost its owner; that one has kept the flag persist.)
func (k *Kernel) fits(r *Ruleset, t *nftables.Table, flags nftables.TableFlags) (bool, error) {
	want := r.sets()
	const chains = 1
	if t.Flags&^nftables.TableFlagOwner != flags&^nftables.TableFlagOwner || int(t.Use) != len(want)+chains {
		return false, nil
	}
	found, err := k.setsOf(t)
	if err != nil {
		return false, err
	}
	for _, s := range want {
		if n := found[s.name]; n == nil || !s.same(n) {
			return false, nil
		}
	}
	c, err := k.conn.ListChain(t, gateChain)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return sameChain(c, baseChain(t)), nil
}

func sameChain(a, b *nftables.Chain) bool {
	return a.Type == b.Type &&
		a.Hooknum != nil && *a.Hooknum == *b.Hooknum &&
		a.Priority != nil && *a.Priority == *b.Priority &&
		a.Policy != nil && *a.Policy == *b.Policy
}

// setsOf gives the named sets of the table.
func (k *Kernel) setsOf(t *nftables.Table) (map[string]*nftables.Set, error) {
	list, err := k.conn.GetSets(t)
	if err != nil {
		return nil, err
	}
	sets := make(map[string]*nftables.Set)
	for _, s := range list {
		sets[s.Name] = s
	}
	return sets, nil
}

// survivors gives the running grants of a table that will be built anew, by
// name of each set that is there, with the time they have left for a timeout.
// Elements that would not end are left behind.
func (k *Kernel) survivors(r *Ruleset, t *nftables.Table) (map[string][]nftables.SetElement, error) {
	found, err := k.setsOf(t)
	if err != nil {
		return nil, err
	}
	grants := make(map[string][]nftables.SetElement)
	for _, s := range r.sets() {
		n := found[s.name]
		if !s.grants || n == nil || n.IsMap || n.Interval || n.KeyType != s.keyType() {
			continue
		}
		elements, err := k.conn.GetSetElements(n)
		if err != nil {
			return nil, err
		}
		grants[s.name] = nil
		for _, e := range elements {
			if e.Expires >= time.Millisecond {
				e.Timeout = e.Expires
				grants[s.name] = append(grants[s.name], e)
			}
		}
	}
	return grants, nil
}

// without gives the intervals of a that are not in b.
func without(a, b []nftables.SetElement) []nftables.SetElement {
	known := make(map[string]bool)
	for _, e := range b {
		known[string(e.Key)+string(e.KeyEnd)] = true
	}
	return slices.DeleteFunc(slices.Clone(a), func(e nftables.SetElement) bool {
		return known[string(e.Key)+string(e.KeyEnd)]
	})
}
