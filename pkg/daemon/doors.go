package daemon

import (
	"net/netip"
	"time"

	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// doors keeps our own timer for each grant the kernel has one for: the kernel
// tells nobody when an element ends, and the log is to say so. It belongs to
// one goroutine, which also receives from ends.
type doors struct {
	running map[netip.Prefix]map[port.Range]*grant
	ends    chan door
	stopped chan struct{}
}

// door is what a grant opens, and to whom.
type door struct {
	source  netip.Prefix
	service port.Range
}

// who is the source as the log has it: an address, or a prefix.
func (d door) who() string { return who(d.source) }

func who(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// grant is what the log has to say when it ends.
type grant struct {
	access  string
	knock   policy.Knock
	timeout time.Duration
	told    bool // the log knows of it
	until   time.Time
	timer   *time.Timer
}

func newDoors() doors {
	return doors{running: make(map[netip.Prefix]map[port.Range]*grant), ends: make(chan door), stopped: make(chan struct{})}
}

// open sets the timer of a grant that has some time left, and reports whether
// that is news. A door that another grant keeps open for longer is none, since
// the gate never shortens. Those that the new one keeps open for longer are
// forgotten: they do not close when their time is over.
func (o *doors) open(d door, what grant, remaining time.Duration) bool {
	what.until = time.Now().Add(remaining)
	of := o.running[d.source]
	for service, g := range of {
		if service.Covers(d.service) && g.until.After(what.until) {
			return false
		}
	}
	news := of[d.service] == nil
	for service, g := range of {
		if d.service.Covers(service) {
			g.timer.Stop()
			delete(of, service)
			what.told = what.told || g.told
		}
	}
	if of == nil {
		of = make(map[port.Range]*grant)
		o.running[d.source] = of
	}
	what.timer = time.AfterFunc(remaining, func() { o.expired(d) })
	of[d.service] = &what
	return news
}

// expired tells the goroutine that owns the doors that a timer has run out.
func (o *doors) expired(d door) {
	select {
	case o.ends <- d:
	case <-o.stopped:
	}
}

// close gives the grant that has ended, if it really has.
func (o *doors) close(d door) (g *grant, ok bool) {
	of := o.running[d.source]
	g = of[d.service]
	if g == nil || time.Now().Before(g.until) {
		return nil, false
	}
	delete(of, d.service)
	if len(of) == 0 {
		delete(o.running, d.source)
	}
	return g, true
}

// within gives the doors of sources within a prefix to services within a service.
func (o *doors) within(from netip.Prefix, s port.Range) []door {
	var list []door
	for source, of := range o.running {
		for service := range of {
			if from.Bits() <= source.Bits() && from.Overlaps(source) && s.Covers(service) {
				list = append(list, door{source, service})
			}
		}
	}
	return list
}

// overlapping gives the doors of sources and services that have some in common
// with those.
func (o *doors) overlapping(from netip.Prefix, s port.Range) []door {
	var list []door
	for source, of := range o.running {
		for service := range of {
			if from.Overlaps(source) && s.Protocol == service.Protocol && s.First <= service.Last && service.First <= s.Last {
				list = append(list, door{source, service})
			}
		}
	}
	return list
}

// drop forgets one of them.
func (o *doors) drop(d door) {
	of := o.running[d.source]
	of[d.service].timer.Stop()
	delete(of, d.service)
	if len(of) == 0 {
		delete(o.running, d.source)
	}
}

// forget drops the grants of a source, and reports whether the log knows of one.
func (o *doors) forget(source netip.Prefix) (told bool) {
	for _, g := range o.running[source] {
		g.timer.Stop()
		told = told || g.told
	}
	delete(o.running, source)
	return told
}

// stop lets go of the timers that would tell of an end.
func (o *doors) stop() { close(o.stopped) }
