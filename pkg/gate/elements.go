package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Grant implements Gate.
func (k *Kernel) Grant(g Grant) error {
	if err := g.Validate(); err != nil {
		return err
	}
	g = g.normal()
	err := k.retry(func() error {
		fresh, again, err := k.due(g)
		if err != nil {
			return err
		}
		k.renew(k.grantSet(grantSet(g.Source)), fresh, again)
		return k.conn.Flush()
	})
	if err != nil {
		return fmt.Errorf("grant %s to %s: %w", g.Service, g.Source, k.explainElement(err))
	}
	if !k.owned {
		k.remember(g)
	}
	return nil
}

// remember notes a grant that the kernel has taken. What has ended is left in
// the ledger for a while: it takes no more room than the sets do.
func (k *Kernel) remember(g Grant) {
	now := time.Now()
	if len(k.given) >= 2*maxGrants {
		k.given.expire(now)
	}
	k.given.put(g, now)
}

// due gives the elements of a grant, those that are new and those whose time
// is to begin anew, but for the ports that have more time left already.
//
// It asks for port by port: listing a set takes the kernel a time that grows
// with the square of its size (0.1 s for 16,384 grants, 3 s for 65,536).
func (k *Kernel) due(g Grant) (fresh, again []nftables.SetElement, err error) {
	set := k.grantSet(grantSet(g.Source))
	for n := range g.Service.Ports() {
		key := grantKey(g.Source, g.Service.Protocol, g.Service.single(n).First)
		e := nftables.SetElement{Key: key, Timeout: g.Timeout, Comment: g.Comment}
		running, err := k.conn.FindSetElements(set, []nftables.SetElement{{Key: key}})
		switch {
		case errors.Is(err, unix.ENOENT):
			// Not granted; or there is no table, as adding will show.
			fresh = append(fresh, e)
		case err != nil:
			return nil, nil, err
		case len(running) == 0 || running[0].Expires <= g.Timeout:
			again = append(again, e)
		}
	}
	return fresh, again, nil
}

// renew fills a transaction that adds elements and starts the time of others
// anew.
//
// NB: to add an element that is there changes nothing, not even its time,
// and one that has ended since we looked cannot be deleted, which would undo
// the batch. Add, delete, add works in either case, and in one batch no
// packet ever misses the element.
func (k *Kernel) renew(set *nftables.Set, fresh, again []nftables.SetElement) {
	var keys []nftables.SetElement
	for _, e := range again {
		keys = append(keys, nftables.SetElement{Key: e.Key})
	}
	encoded(k.conn.SetAddElements(set, again))
	encoded(k.conn.SetDeleteElements(set, keys))
	encoded(k.conn.SetAddElements(set, slices.Concat(fresh, again)))
}

// encoded takes the library's word on whether it could write a message. What
// we give it was validated, and half a transaction must not be sent.
func encoded(err error) {
	if err != nil {
		panic("gate: cannot encode: " + err.Error())
	}
}

// Revoke implements Gate.
func (k *Kernel) Revoke(source netip.Addr, s Service) error {
	if err := validateSource(source); err != nil {
		return err
	}
	if err := s.validate(); err != nil {
		return err
	}
	source = source.Unmap()
	seen := false
	err := k.retry(func() error {
		keys, err := k.granted(source, s)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			if seen {
				return nil // ended between two attempts
			}
			return ErrNoGrant
		}
		seen = true
		encoded(k.conn.SetDeleteElements(k.grantSet(grantSet(source)), keys))
		err = k.conn.Flush()
		if errors.Is(err, unix.ENOENT) {
			return errChanged // one of them ended since we looked
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("revoke %s of %s: %w", s, source, k.explainElement(err))
	}
	k.given.drop(source, s)
	return nil
}

// granted gives the keys of the grants of a source to ports of a service.
func (k *Kernel) granted(source netip.Addr, s Service) ([]nftables.SetElement, error) {
	list, err := k.list(grantSet(source))
	if err != nil {
		return nil, err
	}
	var keys []nftables.SetElement
	for _, g := range list {
		if g.Source == source && s.Covers(g.Service) {
			keys = append(keys, nftables.SetElement{Key: grantKey(source, g.Service.Protocol, g.Service.First)})
		}
	}
	return keys, nil
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
	v4, err := k.list(granted4)
	if err != nil {
		return nil, err
	}
	v6, err := k.list(granted6)
	return slices.Concat(v4, v6), err
}

func (k *Kernel) list(set string) ([]Grant, error) {
	elements, err := k.conn.GetSetElements(k.grantSet(set))
	if err != nil {
		return nil, err
	}
	var list []Grant
	for _, e := range elements {
		g, err := grantOf(e)
		if err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, nil
}

// grantOf reads an element as the kernel gives it back: without the timeout
// where that is the set's own.
func grantOf(e nftables.SetElement) (Grant, error) {
	source, service, err := parseGrantKey(e.Key)
	if err != nil {
		return Grant{}, err
	}
	g := Grant{Source: source, Service: service, Timeout: e.Timeout, Comment: e.Comment, Remaining: e.Expires}
	if g.Timeout == 0 {
		g.Timeout = defaultTimeout
	}
	if e.Counter != nil {
		g.Packets, g.Bytes = e.Counter.Packets, e.Counter.Bytes
	}
	return g, nil
}

// grantSet is one of the sets of grants, as the library needs it to add
// elements.
func (k *Kernel) grantSet(name string) *nftables.Set {
	for _, s := range new(Ruleset).sets() {
		if s.name == name {
			return s.netlink(k.netlinkTable(0))
		}
	}
	panic("gate: no set of grants is called " + name)
}
