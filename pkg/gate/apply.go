package gate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Apply implements Gate.
//
// A table of the shape we give it is changed in place: the sets of grants
// are not touched, and of the sets of services only what differs, so that
// nothing depends on how the kernel swaps the contents of a set. (Their
// elements may then be listed in another order than String gives.) Any other
// table of our name is deleted and built anew in the same transaction,
// grants included; the timeout they show is then the time that was left.
func (k *Kernel) Apply(r *Ruleset) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.table() != k.table {
		return errTable(r.table(), k.table)
	}
	if err := k.retry(func() error { return k.apply(r) }); err != nil {
		return fmt.Errorf("apply table inet %s: %w", k.table, k.explainApply(err))
	}
	return nil
}

// apply owns the table as the mode says.
func (k *Kernel) apply(r *Ruleset) error {
	const owned = nftables.TableFlagOwner | nftables.TableFlagPersist
	if k.mode == OwnerOff {
		return k.transact(r, 0)
	}
	err := k.transact(r, owned)
	if !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if k.mode == OwnerOn {
		return fmt.Errorf(`the kernel cannot keep the table owned (Linux 6.9 or newer can; owner = "auto" goes without): %w`, err)
	}
	return k.transact(r, 0)
}

// transact brings the table to the ruleset in one transaction, which the
// kernel refuses with ERESTART if anything changed since we looked.
func (k *Kernel) transact(r *Ruleset, flags nftables.TableFlags) error {
	gen, err := k.conn.GetGen()
	if err != nil {
		return err
	}
	t, err := k.find()
	if err != nil {
		return err
	}
	if k.foreign(t) {
		return ownedBy(t)
	}
	fill, err := k.plan(r, t, flags)
	if errors.Is(err, unix.ENOENT) {
		return errChanged
	}
	if err != nil {
		return err
	}
	fill()
	if err := k.conn.FlushWithGenID(gen.ID); err != nil {
		return err
	}
	k.owned = flags != 0
	return nil
}

// plan reads what the transaction depends on, and gives what fills it.
func (k *Kernel) plan(r *Ruleset, t *nftables.Table, flags nftables.TableFlags) (func(), error) {
	if t == nil {
		return func() { k.build(r, flags, nil) }, nil
	}
	fits, err := k.fits(r, t, flags)
	if err != nil {
		return nil, err
	}
	if fits {
		services, err := k.services(r, t)
		return func() { k.update(r, flags, services) }, err
	}
	grants, err := k.survivors(r, t)
	return func() {
		k.conn.DelTable(t)
		k.build(r, flags, grants)
	}, err
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
	return sameChain(c, r.chain().base(t)), nil
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

// services gives the elements of the sets of services, by name of the set.
func (k *Kernel) services(r *Ruleset, t *nftables.Table) (map[string][]nftables.SetElement, error) {
	elements := make(map[string][]nftables.SetElement)
	for _, s := range r.sets() {
		if s.grants {
			continue
		}
		var err error
		if elements[s.name], err = k.conn.GetSetElements(s.netlink(t)); err != nil {
			return nil, err
		}
	}
	return elements, nil
}

// survivors gives the running grants of a table that will be built anew, by
// name of the set, with the time they have left for a timeout. Elements that
// would not end are left behind.
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
		for _, e := range elements {
			if e.Expires >= time.Millisecond {
				e.Timeout = e.Expires
				grants[s.name] = append(grants[s.name], e)
			}
		}
	}
	return grants, nil
}

// build fills a transaction with the whole table and grants to begin with.
func (k *Kernel) build(r *Ruleset, flags nftables.TableFlags, grants map[string][]nftables.SetElement) {
	t := k.conn.AddTable(k.netlinkTable(flags))
	for _, s := range r.sets() {
		encoded(k.conn.AddSet(s.netlink(t), slices.Concat(s.elements(), grants[s.name])))
	}
	k.addRules(k.conn.AddChain(r.chain().base(t)), r.chain())
}

// update fills a transaction with what changes a table that fits. To add the
// table again takes it over if it has lost its owner.
func (k *Kernel) update(r *Ruleset, flags nftables.TableFlags, found map[string][]nftables.SetElement) {
	t := k.conn.AddTable(k.netlinkTable(flags))
	for _, s := range r.sets() {
		if s.grants {
			continue
		}
		want := s.elements()
		encoded(k.conn.SetDeleteElements(s.netlink(t), without(found[s.name], want)))
		encoded(k.conn.SetAddElements(s.netlink(t), without(want, found[s.name])))
	}
	c := r.chain().base(t)
	k.conn.FlushChain(c)
	k.addRules(c, r.chain())
}

func (k *Kernel) addRules(c *nftables.Chain, rules chain) {
	for _, r := range rules {
		k.conn.AddRule(&nftables.Rule{Table: c.Table, Chain: c, Exprs: r.exprs()})
	}
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
