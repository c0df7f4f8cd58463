package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// How a Kernel keeps the targets of ModeSet. What it reads of them and the transaction
// that changes them belong to one generation of the ruleset, so that nothing is done to an
// element, or to a set, that another process has put there in between.

// kernelSets are the sets in the kernel.
type kernelSets struct{ k *Kernel }

func (s kernelSets) target(n SetName, f family) (target, error) {
	form, err := s.k.readForm(n)
	if err != nil {
		return target{}, err
	}
	return newTarget(n, form, f)
}

// readForm asks the kernel for a set and its table.
func (k *Kernel) readForm(n SetName) (targetForm, error) {
	t, err := k.conn.ListTableOfFamily(n.table().name, n.table().family.number)
	if errors.Is(err, unix.ENOENT) {
		return targetForm{}, errNoTarget(n)
	}
	if err != nil {
		return targetForm{}, err
	}
	id, _, err := k.handleOf(n.table())
	if err != nil {
		return targetForm{}, err
	}
	form, err := k.readSet(n)
	form.id.table, form.ownedByOther = id, k.foreign(t)
	return form, err
}

func (k *Kernel) readSet(n SetName) (targetForm, error) {
	names, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_SET_TABLE, Data: append([]byte(n.table().name), 0)},
		{Type: unix.NFTA_SET_NAME, Data: append([]byte(n.Name), 0)},
	})
	if err != nil {
		return targetForm{}, err
	}
	replies, err := k.query.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSET, Flags: netlink.Request},
		Data:   append([]byte{byte(n.table().family.number), unix.NFNETLINK_V0, 0, 0}, names...),
	})
	if errors.Is(err, unix.ENOENT) {
		return targetForm{}, errNoTarget(n)
	}
	if err != nil {
		return targetForm{}, err
	}
	return parseForm(replies)
}

var errNoForm = errors.New("the kernel's answer about a set cannot be read")

// parseForm reads the answer to the question for a set.
func parseForm(replies []netlink.Message) (targetForm, error) {
	const header = 4 // struct nfgenmsg
	if len(replies) != 1 || len(replies[0].Data) < header {
		return targetForm{}, errNoForm
	}
	attrs, err := netlink.NewAttributeDecoder(replies[0].Data[header:])
	if err != nil {
		return targetForm{}, errNoForm
	}
	attrs.ByteOrder = binary.BigEndian
	var form targetForm
	for attrs.Next() {
		switch attrs.Type() {
		case unix.NFTA_SET_FLAGS:
			form.flags = attrs.Uint32()
		case unix.NFTA_SET_KEY_TYPE:
			form.keyType = attrs.Uint32()
		case setHandle:
			form.id.set = attrs.Uint64()
		case unix.NFTA_SET_DESC:
			attrs.Nested(func(nested *netlink.AttributeDecoder) error {
				for nested.Next() {
					if nested.Type() == unix.NFTA_SET_DESC_SIZE {
						form.size = nested.Uint32()
					}
				}
				return nil
			})
		}
	}
	if attrs.Err() != nil {
		return targetForm{}, errNoForm
	}
	return form, nil
}

func (s kernelSets) find(t target, keys []string) (map[string]theirElement, error) {
	found := make(map[string]theirElement)
	for _, key := range keys {
		// One by one: where one of several is missing, the kernel answers for none.
		list, err := s.k.conn.FindSetElements(t.netlink(), []nftables.SetElement{{Key: []byte(key)}})
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			found[string(e.Key)] = readElement(e)
		}
	}
	return found, nil
}

func (s kernelSets) list(t target) (map[string]theirElement, error) {
	list, err := s.k.conn.GetSetElements(t.netlink())
	if err != nil {
		return nil, err
	}
	found := make(map[string]theirElement)
	for _, e := range list {
		// NB: while the kernel gives a set's hash table another size, a listing has some
		// elements twice and others not at all (nft_rhash_walk).
		if _, twice := found[string(e.Key)]; twice {
			return nil, errChanged
		}
		found[string(e.Key)] = readElement(e)
	}
	return found, nil
}

// readElement reads an element as the kernel gives it back: without the timeout where that
// is the set's own, and with neither for one that stays.
func readElement(e nftables.SetElement) theirElement {
	return theirElement{timed: e.Timeout != 0 || e.Expires != 0, left: e.Expires, comment: e.Comment}
}

// sendMirrored sends changes of our own sets, together with those of the targets that
// plan finds.
func (k *Kernel) sendMirrored(changes func() []elementChange, plan func() (mirrorChange, error)) error {
	// Done twice it comes to the same: ENOBUFS does not say what became of it.
	return k.retry(func() error {
		own := changes()
		if !k.mirror.active() {
			return k.send(transaction{elements: own}, 0)
		}
		gen, err := k.conn.GetGen()
		if err != nil {
			return err
		}
		c, err := plan()
		if err != nil {
			return err
		}
		generation := gen.ID
		if len(c.elements) == 0 {
			generation = 0
		}
		if len(c.elements)+len(own) > 0 {
			if err := k.send(transaction{elements: append(c.elements, own...)}, generation); err != nil {
				return err
			}
		}
		k.mirror.carriedOut(c)
		k.lookAgain(c.due)
		return nil
	})
}

// none are no changes of our own sets.
func none() []elementChange { return nil }

// lookAgain has Changes signalled at a moment for syncTargets: the kernel sends no event
// when an element of others' ends.
func (k *Kernel) lookAgain(due time.Time) {
	if !due.IsZero() {
		w := k.watch
		time.AfterFunc(time.Until(due), func() { w.theirs.Store(true); w.signal() })
	}
}

// checkTarget returns an error if a grant cannot take effect.
func (k *Kernel) checkTarget(g Grant) error {
	if !k.mirror.active() {
		return nil
	}
	_, err := k.mirror.target(familyOf(g.Source.Addr()))
	return k.explainGrant(g, err)
}

// explainGrant says what an error of a grant means.
func (k *Kernel) explainGrant(g Grant, err error) error {
	if k.mirror.active() && errors.Is(err, unix.ENFILE) && k.ledger.bySet[grantSetOf(g.element())] < MaxGrants {
		return errTargetFull(k.mirror.names[familyOf(g.Source.Addr()).digit])
	}
	return k.explainElement(err)
}

func errTargetFull(n SetName) error {
	return fmt.Errorf(`set %s is full: wait for elements of it to end, or give it a larger "size"`, n)
}

// checkChange refuses to un-hide services for targets that cannot take grants.
func (k *Kernel) checkChange(r *Ruleset) error {
	if k.applied == nil || k.closed {
		return nil
	}
	return checkChange(k.applied, r, kernelSets{k})
}

// checkChange is that of Kernel and Fake.
func checkChange(before, after *Ruleset, sets targetSets) error {
	if !before.hides() || after.Mode != ModeSet {
		return nil
	}
	for _, f := range families() {
		if n := after.target(f); n != (SetName{}) {
			if _, err := sets.target(n, f); err != nil {
				return fmt.Errorf("services stay hidden by mode gate: %w", err)
			}
		}
	}
	return nil
}

// followTargets makes the targets those of the ruleset that was applied.
func (k *Kernel) followTargets() {
	before := k.mirror.follow(k.applied)
	k.trouble = nil
	if k.mirror.active() {
		names := k.mirror.setNames()
		k.watch.targets.Store(&names)
		// Before they are read, so that no change to them is missed.
		if err := k.watch.join(); err != nil {
			k.trouble = err
		}
		k.unsynced = true
		k.syncTargets()
	} else {
		k.watch.targets.Store(nil)
	}
	// At last, so that a grant has its element in one of the sets at any moment.
	k.leaveTargets(before)
}

// leaveTargets removes our elements from sets that are targets no more. What cannot be
// removed ends with its time.
func (k *Kernel) leaveTargets(sets map[string]SetName) {
	for _, f := range families() {
		if n, ok := sets[f.digit]; ok && !k.closed {
			_ = k.retry(func() error {
				gen, err := k.conn.GetGen()
				if err != nil {
					return err
				}
				c, err := k.mirror.leaving(n, f)
				if err != nil || len(c.elements) == 0 {
					return err
				}
				return k.send(transaction{elements: c.elements}, gen.ID)
			})
		}
	}
}

// syncTargets makes the targets follow the ledger, if something may have changed.
func (k *Kernel) syncTargets() {
	changed := k.watch.theirs.Swap(false) || k.unsynced
	if !k.mirror.active() || !changed && (k.trouble == nil || k.mirror.sameTrouble(k.trouble)) {
		return
	}
	now := time.Now()
	k.ledger.expire(now)
	var deleted []element
	var trouble error
	err := k.sendMirrored(none, func() (c mirrorChange, err error) {
		c, deleted, trouble, err = k.mirror.all(k.ledger, now)
		return c, err
	})
	if err == nil && len(deleted) > 0 {
		_, err = k.end(func(l *ledger) []element { return present(l, deleted) })
		if errors.Is(err, ErrNoGrant) {
			err = nil
		}
	}
	// A failure is looked at again as long as it lasts.
	k.unsynced = err != nil
	k.trouble = alsoError(trouble, k.explain(err))
}

// present are those of some elements that the ledger has, each once.
func present(l *ledger, elements []element) []element {
	var list []element
	seen := make(map[element]bool)
	for _, e := range elements {
		if _, ok := l.entries[e]; ok && !seen[e] {
			seen[e] = true
			list = append(list, e)
		}
	}
	return list
}

// Trouble implements Gate.
func (k *Kernel) Trouble() error { return k.trouble }
