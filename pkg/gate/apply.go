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
// A table that has the sets and base chains we give it is changed in place: its
// grants and tuples stay. (Its sets and chains may then be listed in another order
// than String returns.) Any other table of ours is deleted and built anew in the
// same transaction, grants included; the timeout they show is then the time that
// was left.
func (k *Kernel) Apply(r *Ruleset) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.table() != k.table.name {
		return errTable(r.table(), k.table.name)
	}
	applied := *r
	k.listed = false
	first := k.applied == nil
	var hidden portSet
	if !first && !k.closed {
		// Connections to the ports that this hides. The tuple of one to an open port has
		// no effect until the port is hidden.
		hidden = k.newlyHidden(&applied)
		k.findMissed(&applied, hidden)
	}
	if err := k.restore(&applied, true); err != nil {
		return fmt.Errorf("apply table %s: %w", k.table, k.explainApply(err))
	}
	k.applied = &applied
	// Again, for what began between the first look and the table.
	k.findMissed(&applied, hidden)
	k.openings = applied.openIndex()
	l := applied.labels()
	k.labels.Store(&l)
	sets := applied.grantSets()
	k.surveyed.Store(&sets)
	if first {
		k.adoptGrants()
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
		// The rules are as they were left; grants may be missing yet, or have changed.
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
		return false, fmt.Errorf("repair table %s: %w", k.table, err)
	}
	return true, nil
}

// restore brings the table to the ruleset, in the ownership that the mode says,
// and without the parts of nf_tables that the kernel lacks. Grants that a table lost
// come in the same transaction, or later, since they hide nothing.
func (k *Kernel) restore(r *Ruleset, withGrants bool) error {
	r.withoutDemux = k.withoutDemux
	if err := k.findLeftover(r); err != nil {
		return err
	}
	err := k.retry(func() error { return k.writeInMode(r, withGrants) })
	if !k.withoutDemux && lacksPart(err) {
		// "meta cgroup" needs CONFIG_CGROUP_NET_CLASSID, and is the one part that the
		// rules can do without.
		r.withoutDemux = true
		if err = k.retry(func() error { return k.writeInMode(r, withGrants) }); err == nil {
			k.withoutDemux = true
		}
	}
	return err
}

// findLeftover lists the sets that have grants of an earlier ruleset, or of an
// earlier process.
func (k *Kernel) findLeftover(r *Ruleset) error {
	k.ledger.expire(time.Now())
	r.leftover = k.ledger.grantSets()
	if k.applied != nil {
		return nil
	}
	// The first time, what is granted is known to the table alone.
	return k.retry(func() error {
		t, _, err := k.ourTable()
		if err != nil || t == nil {
			return err
		}
		sets, err := k.conn.GetSets(t)
		for _, s := range sets {
			if m, ok := parseGrantSet(s.Name); ok {
				r.leftover = append(r.leftover, m)
			}
		}
		return err
	})
}

// lacksPart reports whether an error means that the kernel lacks a part of nf_tables.
func lacksPart(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)
}

// writeInMode brings the table to the ruleset: owned if the mode asks for that and the
// kernel can, else not owned.
func (k *Kernel) writeInMode(r *Ruleset, withGrants bool) error {
	if k.mode == OwnerOff {
		return k.writeUnowned(r, withGrants)
	}
	err := k.writeTable(r, nftables.TableFlagOwner|nftables.TableFlagPersist, withGrants)
	switch {
	case !errors.Is(err, unix.EOPNOTSUPP):
		return err
	case k.mode == OwnerOn:
		return fmt.Errorf("%w: %w", errCannotOwn, err)
	}
	return k.writeUnowned(r, withGrants)
}

// writeUnowned brings the table to the ruleset without owning it, and keeps to that from
// then on.
func (k *Kernel) writeUnowned(r *Ruleset, withGrants bool) error {
	// Before the table is made, so that no change to it is missed.
	if err := k.watch.join(); err != nil {
		return err
	}
	err := k.writeTable(r, 0, withGrants)
	if err == nil {
		k.mode = OwnerOff
	}
	return err
}

// writeTable brings the table to the ruleset in one transaction, which the kernel
// refuses with ERESTART if anything changed since the table was read.
func (k *Kernel) writeTable(r *Ruleset, flags nftables.TableFlags, withGrants bool) error {
	c, at, err := k.readTable(r, flags)
	if err == nil && c.build && k.applied == nil && !k.listed {
		// This may take seconds, in which others change the ruleset; the transaction
		// would come too late each time, and nothing would be hidden. So the table is
		// read again afterwards.
		k.findExisting(r)
		k.listed = true
		c, at, err = k.readTable(r, flags)
	}
	if err != nil {
		return err
	}
	return k.changeTable(r, c, at, withGrants)
}

// tableState says which table was read, and when.
type tableState struct {
	handle     tableHandle // 0 if there was no table
	generation uint32      // of the ruleset
}

// readTable reads the table and returns what has to be done to it.
func (k *Kernel) readTable(r *Ruleset, flags nftables.TableFlags) (tableChange, tableState, error) {
	// Before the table is read: an event that comes later is of a change that this
	// transaction may not undo.
	k.watch.rules.Store(false)
	gen, err := k.conn.GetGen()
	if err != nil {
		return tableChange{}, tableState{}, err
	}
	t, id, err := k.ourTable()
	if err != nil {
		return tableChange{}, tableState{}, err
	}
	c, err := k.planTable(r, t, flags, k.handle != 0 && id != k.handle)
	if errors.Is(err, unix.ENOENT) {
		err = errChanged
	}
	return c, tableState{id, gen.ID}, err
}

// changeTable changes the table, which was read at a state, in one transaction.
func (k *Kernel) changeTable(r *Ruleset, c tableChange, at tableState, withGrants bool) error {
	tx := transaction{tables: []tableChange{c}}
	if c.build {
		tx.elements = k.firstElements(c.table, withGrants)
	}
	if err := k.send(tx, at.generation); err != nil {
		return err
	}
	k.owned = c.table.Flags&nftables.TableFlagOwner != 0
	if c.build {
		at.handle = 0 // the new table's handle is not known yet
		k.ledger.dropOnce()
	}
	// Each transaction begins the next generation (nf_tables_commit).
	k.remember(at.handle, at.generation+1)
	if c.build {
		k.afterBuild(r, withGrants)
	}
	return nil
}

// ourTable returns the table as it is and its handle, or nil and 0. It is an
// error if the table was made by others.
func (k *Kernel) ourTable() (*nftables.Table, tableHandle, error) {
	t, err := k.find()
	if err != nil {
		return nil, 0, err
	}
	if k.foreign(t) {
		return nil, 0, ownedBy(t)
	}
	id, _, err := k.readHandle()
	if err != nil {
		return nil, 0, err
	}
	// Two requests, between which another process may have changed the table.
	if (t == nil) != (id == 0) {
		return nil, 0, errChanged
	}
	if t == nil || id == k.handle {
		return t, id, nil
	}
	ours, err := k.isOurs(t)
	if err == nil && !ours {
		err = ErrForeign
	}
	return t, id, err
}

// firstElements are what a new table holds from its first moment on.
func (k *Kernel) firstElements(t *nftables.Table, withGrants bool) []elementChange {
	changes := tupleChanges(add, k.existing[:min(len(k.existing), existingAtOnce)], t)
	if withGrants {
		list := slices.DeleteFunc(k.ledger.running(time.Now()), func(g Grant) bool { return g.Once })
		changes = append(changes, addGrants(list, t)...)
	}
	return changes
}

// afterBuild adds what was left for later.
func (k *Kernel) afterBuild(r *Ruleset, withGrants bool) {
	k.pending = nil
	if !withGrants {
		k.pending = slices.Collect(maps.Keys(k.ledger.entries))
		k.grantAgain(grantsWithRepair)
	}
	k.addRest()
	// A connection may have begun, or ended, between the listing and the table.
	if k.applied == nil {
		k.findMissed(r, r.hiddenPorts())
	} else {
		k.dropEnded()
	}
}

const (
	// grantsAtOnce is how many grants are given again in one transaction, for which
	// all other changes to the ruleset wait some milliseconds.
	grantsAtOnce = 4096
	// grantsWithRepair is how many of them are given right after the table. The rest
	// is left to later calls of Repair, for which Changes is signalled.
	grantsWithRepair = 1024
)

// grantAgain makes some of the grants again that a table had lost, as far as they have
// neither ended nor been revoked since. If it cannot, another process has changed
// the table again, and the next Repair begins anew.
func (k *Kernel) grantAgain(most int) {
	now := time.Now()
	n := min(most, len(k.pending))
	var list []Grant
	for _, e := range k.pending[:n] {
		if d, ok := k.ledger.entries[e]; ok && d.ends.After(now) {
			d.grant.Remaining = d.ends.Sub(now)
			list = append(list, d.grant)
		}
	}
	if k.pending = k.pending[n:]; len(k.pending) > 0 {
		k.watch.signal()
	}
	if err := k.send(transaction{elements: addGrants(list, k.table.netlink(0))}, 0); err != nil {
		k.snapshot = nil // so that the next Repair makes the table again
		k.watch.signal()
	}
}
