package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"

	"nftknock/pkg/port"
)

// Grant implements Gate.
func (k *Kernel) Grant(g Grant) error {
	if err := g.Validate(); err != nil {
		return err
	}
	g = g.normal()
	if err := k.grant(g); err != nil {
		return fmt.Errorf("grant %s to %s: %w", g.Service, source(g.Source), err)
	}
	return nil
}

func (k *Kernel) grant(g Grant) error {
	switch {
	case k.closed:
		return os.ErrClosed
	case k.applied == nil:
		return ErrNoTable
	}
	now := time.Now()
	needed, err := k.given.asks(g, k.rooms, k.applied.Quotas[g.Access], now)
	if err != nil || !needed {
		return err
	}
	err = k.retry(func() error {
		k.renew(g)
		return k.conn.Flush()
	})
	if err != nil {
		return k.explainElement(err)
	}
	k.given.put(g, now)
	return nil
}

// renew fills a transaction that gives an element its time, whether it is there
// or not: to add one that is there changes nothing, not even its time. In one batch
// no packet ever misses the element.
func (k *Kernel) renew(g Grant) {
	set := k.roomSet(roomOf(g.element()).name(), k.netlinkTable(0))
	e := []nftables.SetElement{g.netlink()}
	k.takeOut(set, e)
	encoded(k.conn.SetAddElements(set, e))
}

// takeOut fills a transaction that takes elements out of a set, whether they are
// there or not.
//
// NB: one that is not there, since it has just ended, cannot be deleted, which
// would undo the batch. Added first, it can.
func (k *Kernel) takeOut(set *nftables.Set, elements []nftables.SetElement) {
	encoded(k.conn.SetAddElements(set, elements))
	encoded(k.conn.SetDeleteElements(set, keysOf(elements)))
}

// keysOf are elements as they are named when they are deleted.
func keysOf(elements []nftables.SetElement) []nftables.SetElement {
	var keys []nftables.SetElement
	for _, e := range elements {
		keys = append(keys, nftables.SetElement{Key: e.Key})
	}
	return keys
}

// encoded takes the library's word on whether it could write a message. What
// we give it was validated, and half a transaction must not be sent.
func encoded(err error) {
	if err != nil {
		panic("gate: cannot encode: " + err.Error())
	}
}

// roomSet is one of the sets of grants, as the library needs it to add elements.
func (k *Kernel) roomSet(name string, t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: name, HasTimeout: true}
}

// Revoke implements Gate.
func (k *Kernel) Revoke(from netip.Prefix, s port.Range) error {
	if err := validateRange(from); err != nil {
		return err
	}
	if err := s.CheckService(); err != nil {
		return err
	}
	from = normalSource(from)
	if err := k.revoke(from, s); err != nil {
		return fmt.Errorf("revoke %s of %s: %w", s, source(from), err)
	}
	return nil
}

func (k *Kernel) revoke(from netip.Prefix, s port.Range) error {
	switch {
	case k.closed:
		return os.ErrClosed
	case k.applied == nil:
		return ErrNoTable
	}
	k.given.expire(time.Now())
	elements := k.given.within(from, s)
	if len(elements) == 0 {
		return ErrNoGrant
	}
	err := k.retry(func() error {
		for _, e := range elements {
			k.take(e)
		}
		return k.conn.Flush()
	})
	if err != nil {
		return k.explainElement(err)
	}
	for _, e := range elements {
		k.given.remove(e)
	}
	return nil
}

// take deletes an element that may have ended.
func (k *Kernel) take(e element) {
	m := roomOf(e)
	set := k.roomSet(m.name(), k.netlinkTable(0))
	k.takeOut(set, []nftables.SetElement{{Key: m.key(e.source, e.service.First)}})
}

// takeUp enters what an earlier process left in the table. Without it, the first
// new knock of somebody who is in could shorten his time, no more.
func (k *Kernel) takeUp() {
	if k.learn() != nil {
		k.doubt = true
		k.watch.signal()
	}
	if len(k.stood) == 0 && !k.owned {
		k.takeUpStanding()
	}
}

// relearn reads the grants again after somebody else added or deleted some.
func (k *Kernel) relearn() {
	if !k.watch.elements.Swap(false) && !k.doubt {
		return
	}
	k.doubt = false
	if k.learn() != nil {
		k.doubt = true
		k.watch.signal()
	}
	if len(k.stood) == 0 && !k.owned {
		k.takeUpStanding()
	}
}

// learn replaces the ledger by the grants that the kernel lists now.
func (k *Kernel) learn() error {
	var list []Grant
	err := k.retry(func() (err error) {
		list, err = k.listAll()
		return err
	})
	if err != nil {
		return err
	}
	// What was listed of another table than ours does not count.
	if id, _, err := k.identify(); err != nil || id != k.ours {
		return errors.Join(errChanged, err)
	}
	now := time.Now()
	k.given.clear()
	for _, g := range list {
		g.Timeout = g.Remaining
		k.given.put(g, now)
	}
	return nil
}

// Grants implements Gate.
func (k *Kernel) Grants() ([]Grant, error) {
	var all []Grant
	err := k.retry(func() (err error) {
		all, err = k.listAll()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list grants: %w", k.explainElement(err))
	}
	slices.SortFunc(all, compareGrants)
	return all, nil
}

func (k *Kernel) listAll() ([]Grant, error) {
	if k.applied == nil {
		return nil, ErrNoTable
	}
	var all []Grant
	for _, m := range k.applied.rooms() {
		list, err := k.list(m)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func (k *Kernel) list(m room) ([]Grant, error) {
	elements, err := k.conn.GetSetElements(m.set().netlink(k.netlinkTable(0)))
	if err != nil {
		return nil, err
	}
	var list []Grant
	listed := make(map[string]bool)
	for _, e := range elements {
		// NB: while the kernel gives a set's hash table another size, a listing
		// has some elements twice and others not at all.
		if listed[string(e.Key)] {
			return nil, errChanged
		}
		listed[string(e.Key)] = true
		g, err := m.grantOf(e)
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

// grantOf reads an element as the kernel gives it back: without the timeout
// where that is the set's own.
func (m room) grantOf(e nftables.SetElement) (Grant, error) {
	from, service, err := m.parse(e.Key)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Source: from, Service: service, Once: m.once, Timeout: e.Timeout, Remaining: e.Expires}
	g.Access, g.Method = parseComment(e.Comment)
	if g.Timeout == 0 {
		g.Timeout = defaultTimeout
	}
	if e.Counter != nil {
		g.Packets, g.Bytes = e.Counter.Packets, e.Counter.Bytes
	}
	return g, nil
}

// source writes an address without the length of its prefix, where it is whole.
func source(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
