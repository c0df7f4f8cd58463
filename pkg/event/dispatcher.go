package event

import (
	"slices"
	"sync"
	"time"
)

// A Dispatcher hands events to consumers. Its methods may be called from several
// goroutines; a nil Dispatcher does nothing.
type Dispatcher struct {
	now func() time.Time

	mu        sync.Mutex // held while consumers are called, so that all see one order
	consumers []Consumer
	limits    limits
}

// NewDispatcher makes a Dispatcher with a clock; nil means time.Now.
func NewDispatcher(now func() time.Time, consumers ...Consumer) *Dispatcher {
	if now == nil {
		now = time.Now
	}
	return &Dispatcher{now: now, consumers: slices.Clone(consumers), limits: newLimits()}
}

// Attach adds a consumer, and gives the function that takes it out again: once that
// has returned, the consumer is not called any more. Consumers can be compared with ==.
func (d *Dispatcher) Attach(c Consumer) (detach func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.consumers = append(d.consumers, c)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if i := slices.Index(d.consumers, c); i >= 0 {
			d.consumers = slices.Delete(d.consumers, i, i+1)
		}
	}
}

// Emit hands events to all consumers before it returns, and waits for nothing but
// them and other calls of Emit.
//
// Events that are given together belong together: no other comes between them, and
// they are told or left out together. The first of them for which a limit holds
// decides that for all, and carries the count of what was left out. Emit reports
// whether they are told.
func (d *Dispatcher) Emit(events ...Event) (told bool) {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.now()
	told, omitted, decides := d.decide(at, events)
	for i, e := range events {
		r := Record{Event: e, Time: at, Told: told}
		if i == decides {
			r.Omitted = omitted
		}
		for _, c := range d.consumers {
			c.Consume(r)
		}
	}
	return told
}

// decide asks the limit of the first event that has one, and says which it is.
func (d *Dispatcher) decide(at time.Time, events []Event) (told bool, omitted, decides int) {
	for i, e := range events {
		l, ok := e.(limited)
		if !ok {
			continue
		}
		if class, access := l.limit(); class != unlimited {
			told, omitted = d.limits.allow(class, access, at)
			return told, omitted, i
		}
	}
	return true, 0, 0
}
