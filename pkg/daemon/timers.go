package daemon

import (
	"net/netip"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/port"
)

// timers has a timer for each grant that runs, since the kernel sends no message
// when the time of a set element is over, and the log reports the end of a grant.
// It belongs to one goroutine, which also receives from ends.
type timers struct {
	running map[netip.Prefix]map[port.Range]*running
	ends    chan passage
	stopped chan struct{}
}

// passage is what a grant lets pass: packets from a source to a service.
type passage struct {
	source  netip.Prefix
	service port.Range
}

// of is the passage as events have it, for a grant of an access.
func (p passage) of(access string) event.Passage {
	return event.Passage{Source: p.source, Access: access, Open: p.service}
}

// running is what is reported when a grant ends.
type running struct {
	access  string
	timeout time.Duration
	told    bool // there is a line in the log about the grant
	until   time.Time
	timer   *time.Timer
}

func newTimers() timers {
	return timers{running: make(map[netip.Prefix]map[port.Range]*running), ends: make(chan passage), stopped: make(chan struct{})}
}

// start sets the timer of a grant that has some time left, and reports whether the
// passage is new. It is not where another grant for as many ports or more has more
// time left: the gate never shortens one. Grants for fewer ports and less time are
// dropped, since their passages do not end when their time is over.
func (t *timers) start(p passage, what running, remaining time.Duration) bool {
	what.until = time.Now().Add(remaining)
	of := t.running[p.source]
	for service, g := range of {
		if service.Covers(p.service) && g.until.After(what.until) {
			return false
		}
	}
	isNew := of[p.service] == nil
	for service, g := range of {
		if p.service.Covers(service) {
			g.timer.Stop()
			delete(of, service)
			what.told = what.told || g.told
		}
	}
	if of == nil {
		of = make(map[port.Range]*running)
		t.running[p.source] = of
	}
	what.timer = time.AfterFunc(remaining, func() { t.fired(p) })
	of[p.service] = &what
	return isNew
}

// fired tells the goroutine that owns the timers that one has fired.
func (t *timers) fired(p passage) {
	select {
	case t.ends <- p:
	case <-t.stopped:
	}
}

// take gives the grant whose timer has fired, and drops it. ok is false for one
// that was extended or dropped since.
func (t *timers) take(p passage) (g *running, ok bool) {
	g = t.running[p.source][p.service]
	if g == nil || time.Now().Before(g.until) {
		return nil, false
	}
	t.drop(p)
	return g, true
}

// within gives the passages from sources within a prefix to services within a
// service.
func (t *timers) within(from netip.Prefix, s port.Range) []passage {
	return t.those(func(p passage) bool {
		return from.Bits() <= p.source.Bits() && from.Overlaps(p.source) && s.Covers(p.service)
	})
}

// overlapping gives the passages whose sources and services have some in common
// with those.
func (t *timers) overlapping(from netip.Prefix, s port.Range) []passage {
	return t.those(func(p passage) bool { return from.Overlaps(p.source) && s.Overlaps(p.service) })
}

func (t *timers) those(wanted func(passage) bool) []passage {
	var list []passage
	for source, of := range t.running {
		for service := range of {
			if p := (passage{source, service}); wanted(p) {
				list = append(list, p)
			}
		}
	}
	return list
}

// access is that of a grant that runs.
func (t *timers) access(p passage) string { return t.running[p.source][p.service].access }

// drop stops the timer of a grant.
func (t *timers) drop(p passage) {
	of := t.running[p.source]
	of[p.service].timer.Stop()
	delete(of, p.service)
	if len(of) == 0 {
		delete(t.running, p.source)
	}
}

// dropSource stops the timers of a source, and reports whether the log has a line
// about one of its grants.
func (t *timers) dropSource(source netip.Prefix) (told bool) {
	for _, g := range t.running[source] {
		g.timer.Stop()
		told = told || g.told
	}
	delete(t.running, source)
	return told
}

// stop ends the goroutines of timers that have fired.
func (t *timers) stop() { close(t.stopped) }
