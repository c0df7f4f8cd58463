package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Grant implements Gate.
func (k *Kernel) Grant(g Grant) error {
	if err := g.Validate(); err != nil {
		return err
	}
	g = g.normal()
	if err := k.grant(g); err != nil {
		return fmt.Errorf("grant %s to %s: %w", g.Service, wording.Prefix(g.Source), err)
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
	if !k.applied.takes(g) {
		return ErrNoRoom
	}
	needed, err := k.ledger.needs(g, k.openings, k.applied.Quotas[g.Access], now)
	if err == nil && !needed {
		// What is granted already has no effect while its target is not there.
		err = k.checkTarget(g)
	}
	if err != nil || !needed {
		return err
	}
	err = k.relearned(func() error {
		own := g.renewal(k.ledger.entries[g.element()].grant, k.table.netlink(0))
		return k.sendMirrored(own, func() (mirrorChange, error) {
			return k.mirror.forGrant(g, k.applied.Quotas[g.Access], now)
		})
	})
	if err != nil {
		return k.explainGrant(g, err)
	}
	// From before the transaction, so that the ledger never says more than the kernel.
	k.ledger.put(g, now)
	return nil
}

// Lasts implements Gate.
func (k *Kernel) Lasts(g Grant) (bool, error) {
	if err := g.Validate(); err != nil {
		return false, err
	}
	g = g.normal()
	e := g.element()
	lasts, err := k.holds(g)
	if err != nil {
		return false, fmt.Errorf("look for the grant of %s to %s: %w", e.service, wording.Prefix(e.source), err)
	}
	return lasts, nil
}

// holds asks the kernel for an element, since connections use grants up without a word.
func (k *Kernel) holds(g Grant) (bool, error) {
	e := g.element()
	switch {
	case k.closed:
		return false, os.ErrClosed
	case k.applied == nil:
		return false, ErrNoTable
	}
	// A grant that was never made may have no set to be in.
	k.ledger.expire(time.Now())
	if d, ok := k.ledger.entries[e]; !ok || !d.grant.leadsWhere(g) {
		return false, nil
	}
	m := grantSetOf(e)
	var found []nftables.SetElement
	err := k.retry(func() (err error) {
		found, err = k.conn.FindSetElements(m.set().netlink(k.table.netlink(0)), []nftables.SetElement{{Key: m.key(e.source, e.service)}})
		return err
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, k.explainElement(err)
	}
	return len(found) == 1, nil
}

// Revoke implements Gate.
func (k *Kernel) Revoke(from netip.Prefix, s port.Range) (ended []Grant, err error) {
	if err := errors.Join(validateRange(from), s.CheckService()); err != nil {
		return nil, err
	}
	from = normalSource(from)
	ended, err = k.end(func(l *ledger) []element { return l.within(from, s) })
	if err != nil {
		return nil, fmt.Errorf("revoke %s of %s: %w", s, wording.Prefix(from), err)
	}
	return ended, nil
}

// Withdraw implements Gate.
func (k *Kernel) Withdraw(g Grant) error {
	if err := errors.Join(validateRange(g.Source), g.Service.CheckService()); err != nil {
		return err
	}
	g = g.normal()
	if _, err := k.end(func(l *ledger) []element { return l.only(g.element()) }); err != nil {
		return fmt.Errorf("withdraw %s of %s: %w", g.Service, wording.Prefix(g.Source), err)
	}
	return nil
}

// end ends the grants of the elements that pick returns, in one transaction, and returns
// these grants.
func (k *Kernel) end(pick func(*ledger) []element) ([]Grant, error) {
	switch {
	case k.closed:
		return nil, os.ErrClosed
	case k.applied == nil:
		return nil, ErrNoTable
	}
	now := time.Now()
	k.ledger.expire(now)
	elements := pick(k.ledger)
	if len(elements) == 0 {
		return nil, ErrNoGrant
	}
	err := k.relearned(func() error {
		own := k.ledger.removal(elements, k.table.netlink(0))
		return k.sendMirrored(own, func() (mirrorChange, error) { return k.mirror.forEnd(elements, k.ledger, now) })
	})
	if err != nil {
		return nil, k.explainElement(err)
	}
	return k.ledger.removeAll(elements, now), nil
}

// adoptGrants enters what an earlier process left in the table into the ledger.
// Without it, the only harm would be that the next grant to a source that has one
// could shorten its time.
func (k *Kernel) adoptGrants() {
	k.stale = true
	k.relearn()
}

// relearn reads the grants again after another process added or deleted some.
func (k *Kernel) relearn() {
	if !k.watch.elements.Swap(false) && !k.stale {
		return
	}
	if k.stale = k.learn() != nil; k.stale {
		k.watch.signal()
	}
	k.unsynced = true
	// An owned table cannot be lost, so that nothing has to be put back.
	if len(k.existing) == 0 && !k.owned {
		k.adoptExisting()
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
	// Another process may have put its table in the place of ours: what was listed of
	// that does not count.
	if id, _, err := k.readHandle(); err != nil || id != k.handle {
		return errors.Join(errChanged, err)
	}
	if list, err = k.endHalves(list); err != nil {
		return err
	}
	now := time.Now()
	k.ledger.clear()
	for _, g := range list {
		g.Timeout = g.Remaining // put adds it to the time of now
		k.ledger.put(g, now)
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
	for _, m := range k.applied.grantSets() {
		list, err := m.list(k.conn, k.table)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return k.listForwards(all)
}

// list reads the grants of the set over a connection.
func (m grantSet) list(conn *nftables.Conn, table tableName) ([]Grant, error) {
	elements, err := conn.GetSetElements(m.set().netlink(table.netlink(0)))
	if err != nil {
		return nil, err
	}
	var list []Grant
	listed := make(map[string]bool)
	for _, e := range elements {
		// NB: while the kernel gives a set's hash table another size, a listing
		// has some elements twice and others not at all (nft_rhash_walk).
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
func (m grantSet) grantOf(e nftables.SetElement) (Grant, error) {
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
