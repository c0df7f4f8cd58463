package gate

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// ledger remembers grants and when they end, one entry for each element that
// the sets of grants hold.
type ledger map[element]deadline

// element is the key of an element in a set of grants.
type element struct {
	source  netip.Addr
	service Service // of a single port
}

// deadline is a grant of a single port and the moment at which it ends.
type deadline struct {
	grant Grant
	ends  time.Time
}

// elementsOf gives the elements of a grant, one a port.
func elementsOf(g Grant) []element {
	list := make([]element, g.Service.Ports())
	for n := range list {
		list[n] = element{g.Source, g.Service.single(n)}
	}
	return list
}

// put enters a grant, of one port or many, that was given at a moment. A port
// that has more time left keeps it.
func (l ledger) put(g Grant, now time.Time) {
	ends := now.Add(g.Timeout)
	for _, e := range elementsOf(g) {
		if running, ok := l[e]; ok && running.ends.After(ends) {
			continue
		}
		g.Service = e.service
		l[e] = deadline{g, ends}
	}
}

// drop takes out the grants of a source to ports of a service, and reports
// whether there were any.
func (l ledger) drop(source netip.Addr, s Service) bool {
	before := len(l)
	maps.DeleteFunc(l, func(e element, _ deadline) bool {
		return e.source == source && s.Covers(e.service)
	})
	return len(l) < before
}

// expire takes out what has ended.
func (l ledger) expire(now time.Time) {
	maps.DeleteFunc(l, func(_ element, d deadline) bool { return !d.ends.After(now) })
}

// running lists what has not ended, with the time that is left, ordered by
// source, protocol and port.
func (l ledger) running(now time.Time) []Grant {
	var list []Grant
	for _, d := range l {
		if d.ends.After(now) {
			g := d.grant
			g.Remaining = d.ends.Sub(now)
			list = append(list, g)
		}
	}
	slices.SortFunc(list, compareGrants)
	return list
}
