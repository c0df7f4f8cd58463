package daemon

import (
	"net/netip"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/port"
)

// timers has a timer for each running grant: the log reports the end of a grant, but the
// kernel sends no message when the timeout of a set element is over. It belongs to one
// goroutine, which also receives from ends.
type timers struct {
	running map[netip.Prefix]map[grantKey]*grantTimer // by source
	ends    chan grantKey                             // gets each grant whose timer has fired
	stopped chan struct{}                             // closed by stop
}

// grantKey identifies a running grant, as an element does in the gate.
type grantKey struct {
	source  netip.Prefix
	service port.Range
	once    bool // a single-use grant beside one that is not
}

func keyOf(g gate.Grant) grantKey { return grantKey{g.Source, g.Service, g.Once} }

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
		running: make(map[netip.Prefix]map[grantKey]*grantTimer),
		ends:    make(chan grantKey),
		stopped: make(chan struct{}),
	}
}

// start starts the timer of a grant with the time that it has left, in place of an earlier
// timer of the grant. It keeps that one if it fires later, as Gate.Grant never shortens a
// grant that is not single-use. It reports whether the grant lets pass what none of the
// source's grants with a timer lets pass for as long.
func (t *timers) start(key grantKey, g grantTimer, remaining time.Duration) (isNew bool) {
	g.until = time.Now().Add(remaining)
	earlier := t.running[key.source][key]
	isNew = earlier == nil && t.covering(key, g.until) == nil
	if earlier != nil {
		if !key.once && earlier.until.After(g.until) {
			return false
		}
		earlier.timer.Stop()
		g.logged = g.logged || earlier.logged
	}
	if t.running[key.source] == nil {
		t.running[key.source] = make(map[grantKey]*grantTimer)
	}
	g.timer = time.AfterFunc(remaining, func() { t.fired(key) })
	t.running[key.source][key] = &g
	return isNew
}

// covering returns a timer of another grant that lets the packets of a grant pass until
// after a moment, or nil. A single-use grant covers none: a connection may have used it up.
func (t *timers) covering(key grantKey, until time.Time) *grantTimer {
	for other, g := range t.running[key.source] {
		if other != key && !other.once && other.service.Covers(key.service) && g.until.After(until) {
			return g
		}
	}
	return nil
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

// expired removes a grant that fired has handed over, and returns it if its end is to be
// reported. That is not so if the grant was extended or removed after its timer had fired,
// or if another grant lets the same packets pass for longer: then the end of that one is
// reported, at the latest.
func (t *timers) expired(key grantKey) (g *grantTimer, ok bool) {
	g, now := t.running[key.source][key], time.Now()
	if g == nil || now.Before(g.until) {
		return nil, false
	}
	t.remove(key)
	if other := t.covering(key, now); other != nil {
		other.logged = other.logged || g.logged
		return nil, false
	}
	return g, true
}

// has reports whether a grant has a timer.
func (t *timers) has(key grantKey) bool { return t.running[key.source][key] != nil }

// overlapping returns the grants that share sources with a prefix and ports with s, in no
// order.
func (t *timers) overlapping(from netip.Prefix, s port.Range) []grantKey {
	var list []grantKey
	for source, grants := range t.running {
		for key := range grants {
			if from.Overlaps(source) && s.Overlaps(key.service) {
				list = append(list, key)
			}
		}
	}
	return list
}

// remove stops the timer of a grant, if it has one.
func (t *timers) remove(key grantKey) {
	grants := t.running[key.source]
	if g := grants[key]; g != nil {
		g.timer.Stop()
		delete(grants, key)
	}
	if len(grants) == 0 {
		delete(t.running, key.source) // so that the map holds sources with grants only
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
