package gate

import (
	"errors"
	"slices"
	"time"

	"github.com/google/nftables"
)

// A FakeSet is a set of another table in a Fake, as an administrator would define it.
type FakeSet struct {
	// Key are the types of the fields of its keys, such as TypeIPAddr and
	// TypeInetService of package nftables.
	Key []nftables.SetDatatype
	// Flags are NFT_SET_... of package unix; grants need NFT_SET_TIMEOUT.
	Flags uint32
	// Size is how many elements it may have, 0 for any number.
	Size uint32
}

// fakeSets are the sets of other tables in a Fake. They end by the Fake's clock.
type fakeSets struct {
	now  func() time.Time
	sets map[SetName]*fakeSet
	made uint64
}

type fakeSet struct {
	FakeSet
	id       targetID
	elements map[string]fakeElement
}

type fakeElement struct {
	ends    time.Time // zero for never
	comment string
}

// MakeSet makes a set of another table, empty, in place of one of the same name: as a
// firewall does that is loaded anew.
func (f *Fake) MakeSet(n SetName, s FakeSet) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others.made++
	f.others.sets[n] = &fakeSet{s, targetID{tableHandle(f.others.made), 1}, make(map[string]fakeElement)}
	f.setChanged(n)
}

// DropSet deletes a set of another table.
func (f *Fake) DropSet(n SetName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.others.sets, n)
	f.setChanged(n)
}

// AddToSet adds an element to a set of another table, as others do: without a comment, and
// for ever if the timeout is 0. One that is there is replaced.
func (f *Fake) AddToSet(n SetName, key []byte, timeout time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var e fakeElement
	if timeout != 0 {
		e.ends = f.now().Add(timeout)
	}
	f.others.sets[n].elements[string(key)] = e
	f.setChanged(n)
}

// DropFromSet deletes an element of a set of another table.
func (f *Fake) DropFromSet(n SetName, key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.others.sets[n].elements, string(key))
	f.setChanged(n)
}

// InSet returns the elements of a set of another table by their keys, with the time that
// each has left, 0 for one that stays.
func (f *Fake) InSet(n SetName) map[string]time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := make(map[string]time.Duration)
	if s := f.others.sets[n]; s != nil {
		for key, e := range s.running(f.now()) {
			left[key] = e.left
		}
	}
	return left
}

func (f *Fake) setChanged(n SetName) {
	if slices.Contains(f.mirror.setNames(), n) {
		f.unsynced = true
		signal(f.changes)
	}
}

func (s *fakeSets) target(n SetName, f family) (target, error) {
	set := s.sets[n]
	if set == nil {
		return target{}, errNoTarget(n)
	}
	d := keyType(set.Key).datatype()
	return newTarget(n, targetForm{id: set.id, flags: set.Flags, keyType: d.GetNFTMagic(), size: set.Size}, f)
}

func (s *fakeSets) find(t target, keys []string) (map[string]theirElement, error) {
	list, err := s.list(t)
	for key := range list {
		if !slices.Contains(keys, key) {
			delete(list, key)
		}
	}
	return list, err
}

func (s *fakeSets) list(t target) (map[string]theirElement, error) {
	return s.sets[t.name].running(s.now()), nil
}

// running removes the elements whose time is over, and returns the others.
func (s *fakeSet) running(now time.Time) map[string]theirElement {
	list := make(map[string]theirElement)
	for key, e := range s.elements {
		switch {
		case e.ends.IsZero():
			list[key] = theirElement{comment: e.comment}
		case e.ends.After(now):
			list[key] = theirElement{timed: true, left: e.ends.Sub(now), comment: e.comment}
		default:
			delete(s.elements, key)
		}
	}
	return list
}

var errFakeFull = errors.New("set is full")

// carryOut makes changes, all or none.
func (s *fakeSets) carryOut(changes []elementChange) error {
	full := false
	for _, c := range changes {
		set := s.named(c.set)
		for _, e := range c.elements {
			_, there := set.elements[string(e.Key)]
			full = full || c.action != remove && !there && set.Size > 0 && len(set.elements)+1 > int(set.Size)
		}
	}
	if full {
		return errFakeFull
	}
	for _, c := range changes {
		set := s.named(c.set)
		for _, e := range c.elements {
			if c.action == remove {
				delete(set.elements, string(e.Key))
			} else {
				set.elements[string(e.Key)] = fakeElement{s.now().Add(e.Timeout), e.Comment}
			}
		}
	}
	return nil
}

func (s *fakeSets) named(set *nftables.Set) *fakeSet {
	for n, have := range s.sets {
		if n.Name == set.Name && *n.table().netlink(0) == *set.Table {
			return have
		}
	}
	panic("gate: no such fake set: " + set.Name)
}

// mirrored makes a change of the targets that plan finds.
func (f *Fake) mirrored(plan func() (mirrorChange, error)) error {
	if !f.mirror.active() {
		return nil
	}
	c, err := plan()
	if err != nil {
		return err
	}
	if err := f.others.carryOut(c.elements); err != nil {
		return err
	}
	f.mirror.carriedOut(c)
	f.due = c.due
	return nil
}

// followTargets makes the targets those of the ruleset that was applied.
func (f *Fake) followTargets() {
	before := f.mirror.follow(f.applied)
	f.trouble, f.unsynced = nil, true
	f.syncTargets()
	f.leaveTargets(before)
}

func (f *Fake) leaveTargets(sets map[string]SetName) {
	for _, family := range families() {
		if n, ok := sets[family.digit]; ok {
			c, _ := f.mirror.leaving(n, family) // a Fake's sets can be read
			_ = f.others.carryOut(c.elements)   // deletes only
		}
	}
}

// syncTargets makes the targets follow the grants, if something may have changed.
func (f *Fake) syncTargets() {
	now := f.now()
	due := !f.due.IsZero() && !now.Before(f.due)
	changed := f.unsynced || due
	if !f.mirror.active() || !changed && (f.trouble == nil || f.mirror.sameTrouble(f.trouble)) {
		return
	}
	f.grants.expire(now)
	var deleted []element
	var trouble error
	err := f.mirrored(func() (c mirrorChange, err error) {
		c, deleted, trouble, err = f.mirror.all(f.grants, now)
		return c, err
	})
	if deleted = present(f.grants, deleted); err == nil && len(deleted) > 0 {
		err = f.mirrored(func() (mirrorChange, error) { return f.mirror.forEnd(deleted, f.grants, now) })
		f.grants.removeAll(deleted, now)
	}
	f.unsynced = err != nil
	f.trouble = alsoError(trouble, err)
}

// Trouble implements Gate.
func (f *Fake) Trouble() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trouble
}

// grantInSet makes the elements of a grant in the targets.
func (f *Fake) grantInSet(g Grant) error {
	err := f.mirrored(func() (mirrorChange, error) {
		return f.mirror.forGrant(g, f.applied.Quotas[g.Access], f.now())
	})
	if errors.Is(err, errFakeFull) {
		return errTargetFull(f.mirror.names[familyOf(g.Source.Addr()).digit])
	}
	return err
}
