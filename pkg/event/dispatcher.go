package event

import (
	"slices"
	"sync"
	"time"
)

// A Dispatcher hands events to consumers. Its methods may be called from several
// goroutines. Emit of a nil Dispatcher does nothing.
type Dispatcher struct {
	now func() time.Time

	mu        sync.Mutex // held while consumers are called, so that all get the same order
	consumers []Consumer
	limits    limits
}

// NewDispatcher makes a Dispatcher for consumers. now is the clock of Record.Time and of the
// limits; nil means time.Now.
func NewDispatcher(now func() time.Time, consumers ...Consumer) *Dispatcher {
	if now == nil {
		now = time.Now
	}
	// A clone, since Attach appends: the caller's array must not change.
	return &Dispatcher{now: now, consumers: slices.Clone(consumers), limits: newLimits()}
}

// Attach adds a consumer, and returns the function that removes it. Once detach has
// returned, the consumer is not called any more. A consumer must not call either, and its
// type must be comparable with ==.
func (d *Dispatcher) Attach(c Consumer) (detach func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.consumers = append(d.consumers, c)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if i := slices.Index(d.consumers, c); i >= 0 {
			// slices.Delete sets the element that becomes free to nil: the array does not keep
			// the consumer in memory.
			d.consumers = slices.Delete(d.consumers, i, i+1)
		}
	}
}

// Emit hands events to all consumers, and returns when all have consumed them. It blocks
// only for consumers and for other calls of Emit.
//
// Events that are emitted together stay together: no other event comes between them, and
// the log has all of their lines or none. The first event with a limit decides for all,
// and its Record has the count of omitted events. Emit reports whether the log has the
// lines.
func (d *Dispatcher) Emit(events ...Event) (logged bool) {
	if d == nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.now()
	logged, omitted, decides := d.decide(at, events)
	for i, e := range events {
		r := Record{Event: e, Time: at, Logged: logged}
		if i == decides {
			r.Omitted = omitted
		}
		d.consume(r)
	}
	return logged
}

// consume hands a record to all consumers. It is called with mu held.
func (d *Dispatcher) consume(r Record) {
	for _, c := range d.consumers {
		c.Consume(r)
	}
}

// decide applies the limit of the first event that has one. decides is the index of that
// event.
func (d *Dispatcher) decide(at time.Time, events []Event) (logged bool, omitted, decides int) {
	for i, e := range events {
		// Events without a limit are caused by this host, or come with one that has a limit.
		l, ok := e.(limited)
		if !ok {
			continue
		}
		if class, access := l.limit(); class != unlimited {
			logged, omitted = d.limits.allow(class, access, at)
			return logged, omitted, i
		}
	}
	return true, 0, 0
}
