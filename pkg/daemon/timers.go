package daemon

import (
	"net/netip"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/port"
)

// timers has a timer for each running grant: the log reports the end of a grant, but the
// kernel sends no message when the timeout of a set element is over. It belongs to one
// goroutine, which also receives from ends.
type timers struct {
	running map[netip.Prefix]map[port.Range]*grantTimer // by source and service
	ends    chan grantKey                               // gets each grant whose timer has fired
	stopped chan struct{}                               // closed by stop
}

// grantKey identifies a running grant: its source, and the service that it opens.
type grantKey struct {
	source  netip.Prefix
	service port.Range
}

// event is the grant in the form that events have.
func (k grantKey) event(access string) event.RunningGrant {
	return event.RunningGrant{Source: k.source, Access: access, Open: k.service}
}

// grantTimer is a timer, and what is reported when the grant ends.
type grantTimer struct {
	access  string
	timeout time.Duration
	logged  bool // the log has a line about the grant
	until   time.Time
	timer   *time.Timer
}

func newTimers() timers {
	return timers{
		running: make(map[netip.Prefix]map[port.Range]*grantTimer),
		ends:    make(chan grantKey),
		stopped: make(chan struct{}),
	}
}

// start starts the timer of a grant with the time that it has left, and reports whether
// its source and service had none.
//
// It starts no timer if another grant of the source covers the service for longer, as
// Gate.Grant never shortens. It stops the timers of grants that this one covers: their
// packets still pass when their own time is over, so their end is none.
func (t *timers) start(key grantKey, g grantTimer, remaining time.Duration) (isNew bool) {
	g.until = time.Now().Add(remaining)
	services := t.running[key.source]
	for service, other := range services {
		if service.Covers(key.service) && other.until.After(g.until) {
			return false
		}
	}
	isNew = services[key.service] == nil
	// Go allows to delete from a map during a range over it.
	for service, other := range services {
		if key.service.Covers(service) {
			other.timer.Stop()
			delete(services, service)
			g.logged = g.logged || other.logged
		}
	}
	if services == nil {
		services = make(map[port.Range]*grantTimer)
		t.running[key.source] = services
	}
	g.timer = time.AfterFunc(remaining, func() { t.fired(key) })
	services[key.service] = &g
	return isNew
}

// fired runs in the goroutine of a timer, and hands the grant to the goroutine that owns
// the timers. It waits for that, or for stop: Timer.Stop does not end a function that has
// started.
func (t *timers) fired(key grantKey) {
	select {
	case t.ends <- key:
	case <-t.stopped:
	}
}

// expired removes a grant that fired has handed over, and returns it. ok is false if the
// grant was extended or removed after its timer had fired.
func (t *timers) expired(key grantKey) (g *grantTimer, ok bool) {
	g = t.running[key.source][key.service]
	if g == nil || time.Now().Before(g.until) {
		return nil, false
	}
	t.remove(key)
	return g, true
}

// has reports whether a grant has a timer.
func (t *timers) has(key grantKey) bool { return t.running[key.source][key.service] != nil }

// within returns the grants whose source lies within a prefix and whose service lies
// within s.
func (t *timers) within(from netip.Prefix, s port.Range) []grantKey {
	return t.matching(func(k grantKey) bool {
		// Of two prefixes that overlap, the one with more bits lies within the other.
		return from.Bits() <= k.source.Bits() && from.Overlaps(k.source) && s.Covers(k.service)
	})
}

// overlapping returns the grants that share sources with a prefix and ports with s.
func (t *timers) overlapping(from netip.Prefix, s port.Range) []grantKey {
	return t.matching(func(k grantKey) bool { return from.Overlaps(k.source) && s.Overlaps(k.service) })
}

// matching returns the grants for which match is true, in no order.
func (t *timers) matching(match func(grantKey) bool) []grantKey {
	var list []grantKey
	for source, services := range t.running {
		for service := range services {
			if k := (grantKey{source, service}); match(k) {
				list = append(list, k)
			}
		}
	}
	return list
}

// access is the access of a grant that has a timer.
func (t *timers) access(key grantKey) string { return t.running[key.source][key.service].access }

// remove stops the timer of a grant that has one.
func (t *timers) remove(key grantKey) {
	services := t.running[key.source]
	services[key.service].timer.Stop()
	delete(services, key.service)
	if len(services) == 0 {
		delete(t.running, key.source) // the map grows with sources that have grants alone
	}
}

// removeSource stops the timers of a source, and reports whether the log has a line about
// one of its grants.
func (t *timers) removeSource(source netip.Prefix) (logged bool) {
	for _, g := range t.running[source] {
		g.timer.Stop()
		logged = logged || g.logged
	}
	delete(t.running, source)
	return logged
}

// stop ends the goroutines of timers that have fired or will fire. It stops no timer.
func (t *timers) stop() { close(t.stopped) }
