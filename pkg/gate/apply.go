package gate

import (
	"errors"
	"fmt"
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
	if err := k.restore(&applied, true); err != nil {
		return fmt.Errorf("apply table inet %s: %w", k.table, k.explainApply(err))
	}
	first := k.applied == nil
	k.applied = &applied
	k.rooms = applied.roomIndex()
	k.given.keepRooms(k.rooms)
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
		k.relearn()
		return false, nil
	default:
		if err = k.restore(k.applied, false); err != nil {
			err = k.explainApply(err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("repair table inet %s: %w", k.table, err)
	}
	k.relearn()
	return true, nil
}

// restore brings the table to the ruleset, in the ownership that the mode says,
// and with what of the kernel there is. Grants that a table lost come in the
// same transaction, or behind it: nobody is protected by a grant.
func (k *Kernel) restore(r *Ruleset, withGrants bool) error {
	r.withoutDemux = k.withoutDemux
	err := k.retry(func() error { return k.own(r, withGrants) })
	if !k.withoutDemux && lacksPart(err) {
		r.withoutDemux = true
		if err = k.retry(func() error { return k.own(r, withGrants) }); err == nil {
			k.withoutDemux = true
		}
	}
	return err
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
	if c.build {
		k.planContents(&c, r, withGrants)
	}
	k.fill(c, r, k.netlinkTable(flags))
	if err := k.conn.FlushWithGenID(gen.ID); err != nil {
		return err
	}
	k.owned = flags != 0
	if c.build {
		id = 0
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
func (k *Kernel) planContents(c *change, r *Ruleset, withGrants bool) {
	c.elements = make(map[string][]nftables.SetElement)
	if withGrants {
		c.elements = grantElements(k.runningIn(r))
	}
	if k.applied == nil {
		k.findStanding(r)
	}
	for _, s := range k.stood {
		s.addTo(c.elements)
	}
}

// runningIn gives the grants that should be running, and for which a ruleset has
// room. Those for single use are not among them: the kernel tells nobody that a
// packet used one up, and what knew it was the table.
func (k *Kernel) runningIn(r *Ruleset) []Grant {
	rooms := r.roomIndex()
	return slices.DeleteFunc(k.given.running(time.Now()), func(g Grant) bool { return g.Once || !rooms[roomOf(g.element())] })
}

// afterBuild adds what was left for later.
func (k *Kernel) afterBuild(r *Ruleset, withGrants bool) {
	k.given.endOnce()
	if !withGrants {
		k.grantAgain(k.runningIn(r))
	}
	if k.applied == nil {
		k.findMissed(r)
	} else {
		k.dropEnded()
	}
}

// grantsAtOnce is how many grants come back in one transaction: each holds up
// everyone else's changes for milliseconds.
const grantsAtOnce = 4096

// grantAgain gives grants that a table had lost. If it cannot, somebody is at the
// table again, and the next Repair does so.
func (k *Kernel) grantAgain(list []Grant) {
	t := k.netlinkTable(0)
	for part := range slices.Chunk(list, grantsAtOnce) {
		for name, elements := range grantElements(part) {
			encoded(k.conn.SetAddElements(k.roomSet(name, t), elements))
		}
		if err := k.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			k.shape = nil
			k.watch.signal()
			return
		}
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
