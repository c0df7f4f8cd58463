package gate

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Apply implements Gate.
//
// A table of the shape we give it is changed in place: its grants and tuples
// stay. (Its sets and chains may then be listed in another order than String
// gives.) Any other table of ours is deleted and built anew in the same
// transaction, grants included; the timeout they show is then the time that was
// left.
func (k *Kernel) Apply(r *Ruleset) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.table() != k.table {
		return errTable(r.table(), k.table)
	}
	applied := *r
	k.listed = false
	first := k.applied == nil
	var hidden portSet
	if !first && !k.closed {
		// What is kept at an open port has no effect until it is hidden.
		hidden = k.newlyHidden(&applied)
		k.findMissed(&applied, hidden)
	}
	if err := k.restore(&applied, true); err != nil {
		return fmt.Errorf("apply table inet %s: %w", k.table, k.explainApply(err))
	}
	k.applied = &applied
	k.findMissed(&applied, hidden)
	k.rooms = applied.openIndex()
	l := applied.labels()
	k.labels.Store(&l)
	if first {
		k.takeUp()
	}
	return nil
}

// Repair implements Gate.
func (k *Kernel) Repair() (repaired bool, err error) {
	switch {
	case k.closed:
		err = os.ErrClosed
	case k.applied == nil:
		err = ErrNoTable
	case k.intact():
		if len(k.pending) > 0 {
			k.grantAgain(grantsAtOnce)
		} else {
			k.relearn()
		}
		return false, nil
	default:
		if err = k.restore(k.applied, false); err != nil {
			err = k.explainApply(err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("repair table inet %s: %w", k.table, err)
	}
	return true, nil
}

// restore brings the table to the ruleset, in the ownership that the mode says,
// and with what of the kernel there is. Grants that a table lost come in the
// same transaction, or behind it: nobody is protected by a grant.
func (k *Kernel) restore(r *Ruleset, withGrants bool) error {
	r.withoutDemux = k.withoutDemux
	if err := k.findLeftover(r); err != nil {
		return err
	}
	err := k.retry(func() error { return k.own(r, withGrants) })
	if !k.withoutDemux && lacksPart(err) {
		r.withoutDemux = true
		if err = k.retry(func() error { return k.own(r, withGrants) }); err == nil {
			k.withoutDemux = true
		}
	}
	return err
}

// findLeftover lists the rooms that have grants of an earlier ruleset, or of an
// earlier process.
func (k *Kernel) findLeftover(r *Ruleset) error {
	k.given.expire(time.Now())
	r.leftover = k.given.rooms()
	if k.applied != nil {
		return nil
	}
	return k.retry(func() error {
		t, _, err := k.look()
		if err != nil || t == nil {
			return err
		}
		sets, err := k.conn.GetSets(t)
		for _, s := range sets {
			if m, ok := parseRoom(s.Name); ok {
				r.leftover = append(r.leftover, m)
			}
		}
		return err
	})
}

// lacksPart reports an error that a part of nf_tables gives which the kernel
// does not have.
func lacksPart(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)
}

// own owns the table where that is wanted and can be.
func (k *Kernel) own(r *Ruleset, withGrants bool) error {
	const owned = nftables.TableFlagOwner | nftables.TableFlagPersist
	if k.mode != OwnerOff {
		err := k.transact(r, owned, withGrants)
		if !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		if k.mode == OwnerOn {
			return fmt.Errorf("%w: %w", errCannotOwn, err)
		}
	}
	// Whatever happens to the table from its first moment on is heard of.
	if err := k.watch.join(); err != nil {
		return err
	}
	err := k.transact(r, 0, withGrants)
	if err == nil {
		k.mode = OwnerOff
	}
	return err
}

// transact brings the table to the ruleset in one transaction, which the kernel
// refuses with ERESTART if anything changed since we looked.
func (k *Kernel) transact(r *Ruleset, flags nftables.TableFlags, withGrants bool) error {
	k.watch.rules.Store(false) // what comes from here on is not undone by it
	gen, err := k.conn.GetGen()
	if err != nil {
		return err
	}
	t, id, err := k.look()
	if err != nil {
		return err
	}
	c, err := k.plan(r, t, flags, k.ours != 0 && id != k.ours)
	if errors.Is(err, unix.ENOENT) {
		return errChanged
	}
	if err != nil {
		return err
	}
	if c.build && k.applied == nil && !k.listed {
		// This may take seconds, in which others change the ruleset; the transaction
		// would come too late each time, and nothing would be hidden.
		k.findStanding(r)
		k.listed = true
		return k.transact(r, flags, withGrants)
	}
	if c.build {
		k.planContents(&c, withGrants)
	}
	k.fill(c, r, k.netlinkTable(flags))
	if err := k.conn.FlushWithGenID(gen.ID); err != nil {
		return err
	}
	k.owned = flags != 0
	if c.build {
		id = 0
		k.given.dropOnce()
	}
	k.remember(id, gen.ID+1)
	if c.build {
		k.afterBuild(r, withGrants)
	}
	return nil
}

// look gives the table as it is and its identity, or nil and 0. An error if it
// is somebody else's.
func (k *Kernel) look() (*nftables.Table, identity, error) {
	t, err := k.find()
	if err != nil {
		return nil, 0, err
	}
	if k.foreign(t) {
		return nil, 0, ownedBy(t)
	}
	id, _, err := k.identify()
	if err != nil {
		return nil, 0, err
	}
	if (t == nil) != (id == 0) {
		return nil, 0, errChanged
	}
	if t == nil || id == k.ours {
		return t, id, nil
	}
	ours, err := k.isOurs(t)
	if err == nil && !ours {
		err = ErrForeign
	}
	return t, id, err
}

// planContents says what a new table holds from its first moment on.
func (k *Kernel) planContents(c *change, withGrants bool) {
	c.elements = make(map[string][]nftables.SetElement)
	if withGrants {
		c.elements = grantElements(slices.DeleteFunc(k.given.running(time.Now()), func(g Grant) bool { return g.Once }))
	}
	for _, s := range k.stood[:min(len(k.stood), standingAtOnce)] {
		s.addTo(c.elements)
	}
}

// afterBuild adds what was left for later.
func (k *Kernel) afterBuild(r *Ruleset, withGrants bool) {
	k.pending = nil
	if !withGrants {
		k.pending = slices.Collect(maps.Keys(k.given.entries))
		k.grantAgain(grantsWithRepair)
	}
	k.addRest()
	if k.applied == nil {
		k.findMissed(r, r.hiddenPorts())
	} else {
		k.dropEnded()
	}
}

const (
	// grantsAtOnce is how many grants come back in one transaction, each of which
	// holds up everyone else's changes for milliseconds.
	grantsAtOnce = 4096
	// grantsWithRepair is how many of them a Repair takes the time for. The rest is
	// for later ones, which it asks for.
	grantsWithRepair = 1024
)

// grantAgain gives some of the grants that a table had lost, as far as they still
// have a right to be there. If it cannot, somebody is at the table again, and
// the next Repair begins anew.
func (k *Kernel) grantAgain(most int) {
	now := time.Now()
	n := min(most, len(k.pending))
	var list []Grant
	for _, e := range k.pending[:n] {
		if d, ok := k.given.entries[e]; ok && d.ends.After(now) {
			d.grant.Remaining = d.ends.Sub(now)
			list = append(list, d.grant)
		}
	}
	for name, elements := range grantElements(list) {
		encoded(k.conn.SetAddElements(k.roomSet(name, k.netlinkTable(0)), elements))
	}
	if k.pending = k.pending[n:]; len(k.pending) > 0 {
		k.watch.signal()
	}
	if err := k.conn.Flush(); err != nil {
		k.shape = nil
		k.watch.signal()
	}
}

// fill writes a change into the connection's buffer. To add a table that is
// there takes it over if it has lost its owner.
//
// NB: packets see all of it at one moment, since rules, plain sets and hash sets
// change with the generation of the ruleset; interval sets do not
// (nf_tables_commit and nft_set_commit_update in net/netfilter/nf_tables_api.c),
// and maps of verdicts are void for a packet that is under way in the rules that
// went (nft_map_deactivate). Neither is used here.
func (k *Kernel) fill(c change, r *Ruleset, t *nftables.Table) {
	if c.replaces != nil {
		k.conn.DelTable(c.replaces)
	}
	k.conn.AddTable(t)
	k.clearOut(c, r)
	for _, s := range c.missing {
		encoded(k.conn.AddSet(s.netlink(t), s.elements()))
	}
	for _, s := range r.sets() {
		if list := c.elements[s.name]; len(list) > 0 {
			encoded(k.conn.SetAddElements(s.netlink(t), list))
		}
	}
	chains := r.chains()
	for _, want := range chains {
		k.conn.AddChain(want.netlink(t))
	}
	for _, want := range chains {
		n := want.netlink(t)
		for _, rule := range want.rules {
			k.conn.AddRule(&nftables.Rule{Table: t, Chain: n, Exprs: rule.exprs()})
		}
	}
}

// clearOut takes all rules away, and then what only they held.
func (k *Kernel) clearOut(c change, r *Ruleset) {
	for _, found := range c.found {
		k.conn.FlushChain(found)
	}
	for _, found := range c.found {
		if !slices.ContainsFunc(r.chains(), func(want chain) bool { return want.name == found.Name }) {
			k.conn.DelChain(found)
		}
	}
	for _, s := range c.gone {
		k.conn.DelSet(s)
	}
}
