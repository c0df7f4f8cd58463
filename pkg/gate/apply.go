package gate

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Apply implements Gate.
//
// A table of the shape we give it is changed in place, and only where it
// differs: the sets of grants are not touched. (The elements of the others may
// then be listed in another order than String gives.) Any other table of our
// name is deleted and built anew in the same transaction, grants included; the
// timeout they show is then the time that was left.
//
// Where the set of protected services is built anew, or loses elements while
// it gains others, the transaction leaves interim rules in the chain (see
// (*Ruleset).interim), and a second one takes them away. Should only the second
// fail, packets fare as the ruleset says all the same, and a Repair is asked
// for.
func (k *Kernel) Apply(r *Ruleset) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if r.table() != k.table {
		return errTable(r.table(), k.table)
	}
	if _, err := k.restore(r); err != nil {
		return fmt.Errorf("apply table inet %s: %w", k.table, k.explainApply(err))
	}
	applied := *r
	k.applied = &applied
	return nil
}

// Repair implements Gate.
func (k *Kernel) Repair() (repaired bool, err error) {
	switch {
	case k.closed:
		err = os.ErrClosed
	case k.applied == nil:
		err = ErrNoTable
	default:
		if repaired, err = k.restore(k.applied); err != nil {
			err = k.explainApply(err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("repair table inet %s: %w", k.table, err)
	}
	return repaired, nil
}

// restore brings the table to the ruleset, in the ownership that the mode
// says, and reports whether anything had to be changed.
func (k *Kernel) restore(r *Ruleset) (changed bool, err error) {
	err = k.retry(func() error {
		c, err := k.own(r)
		changed = changed || c
		return err
	})
	if err == nil && !k.owned && k.learn() != nil {
		// The table is as it should be; what was given is for later.
		k.watch.signal()
	}
	return changed, err
}

// own owns the table where that is wanted and can be.
func (k *Kernel) own(r *Ruleset) (changed bool, err error) {
	const owned = nftables.TableFlagOwner | nftables.TableFlagPersist
	if k.mode != OwnerOff {
		changed, err = k.transact(r, owned)
		if !errors.Is(err, unix.EOPNOTSUPP) {
			return changed, err
		}
		if k.mode == OwnerOn {
			return false, fmt.Errorf("%w: %w", errCannotOwn, err)
		}
	}
	// Whatever happens to the table from its first moment on is heard of.
	if err := k.watch.join(); err != nil {
		return false, err
	}
	changed, err = k.transact(r, 0)
	if err == nil {
		k.mode = OwnerOff
	}
	return changed, err
}

// learn takes what the kernel holds for what was given: others may have
// deleted grants, or added some.
func (k *Kernel) learn() error {
	var list []Grant
	err := k.retry(func() (err error) {
		list, err = k.listAll()
		return err
	})
	if err != nil {
		return err
	}
	// Once it is gone, it does not come back: it was there all the time.
	if id, _, err := k.identify(); err != nil || id != k.ours {
		return errors.Join(errChanged, err)
	}
	now := time.Now()
	clear(k.given)
	for _, g := range list {
		g.Timeout = g.Remaining
		k.given.put(g, now)
	}
	return nil
}

// transact brings the table to the ruleset. It reports whether it had to
// change anything.
func (k *Kernel) transact(r *Ruleset, flags nftables.TableFlags) (changed bool, err error) {
	c, err := k.step(r, flags)
	if err != nil {
		return false, err
	}
	if c.interim {
		if _, err := k.step(r, flags); err != nil {
			k.watch.signal()
		}
	}
	return !c.empty(), nil
}

// step is one transaction, which the kernel refuses with ERESTART if anything
// changed since we looked.
func (k *Kernel) step(r *Ruleset, flags nftables.TableFlags) (change, error) {
	gen, err := k.conn.GetGen()
	if err != nil {
		return change{}, err
	}
	t, err := k.find()
	if err != nil {
		return change{}, err
	}
	if k.foreign(t) {
		return change{}, ownedBy(t)
	}
	id, _, err := k.identify()
	if err != nil {
		return change{}, err
	}
	if t != nil && id == 0 {
		return change{}, errChanged
	}
	replaced := k.ours != 0 && id != k.ours
	c, err := k.plan(r, t, flags, replaced)
	if errors.Is(err, unix.ENOENT) {
		return change{}, errChanged
	}
	if err != nil {
		return change{}, err
	}
	if !c.empty() {
		k.fill(c, k.netlinkTable(flags))
		if err := k.conn.FlushWithGenID(gen.ID); err != nil {
			return change{}, err
		}
	}
	k.owned = flags != 0
	if c.build {
		id = k.built(gen.ID + 1)
	}
	k.ours = id
	return c, nil
}

// built gives the identity of the table that was made in a generation, or
// asks for a Repair if it may be gone already.
func (k *Kernel) built(generation uint32) identity {
	id, now, err := k.identify()
	if err != nil || now != uint16(generation) {
		k.watch.signal()
		return unknown
	}
	return id
}

// fill writes a change into the connection's buffer. To add a table that is
// there takes it over if it has lost its owner.
func (k *Kernel) fill(c change, t *nftables.Table) {
	if c.replaces != nil {
		k.conn.DelTable(c.replaces)
	}
	k.conn.AddTable(t)
	for _, s := range c.sets {
		n := s.set.netlink(t)
		if c.build {
			encoded(k.conn.AddSet(n, nil))
		}
		encoded(k.conn.SetDeleteElements(n, s.gone))
		encoded(k.conn.SetAddElements(n, s.added))
	}
	base := baseChain(t)
	if c.build {
		k.conn.AddChain(base)
	}
	if c.rules == nil {
		return
	}
	k.conn.FlushChain(base)
	for _, r := range c.rules {
		k.conn.AddRule(&nftables.Rule{Table: t, Chain: base, Exprs: r.exprs()})
	}
}
