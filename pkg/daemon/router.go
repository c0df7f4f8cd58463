package daemon

import (
	"sync/atomic"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// spending is the queue of decisions that wait for the disk.
type spending = spent.Queue[plan.Decision]

// router hands each decision on to whoever carries it out. A refusal is an event;
// what spends a token or a count goes to the disk first, and from there to the
// keeper; what spends nothing goes to the keeper at once. Its methods may be called
// from several goroutines.
type router struct {
	events  *event.Dispatcher
	spends  *spending
	grants  chan plan.Decision        // to the keeper
	current atomic.Pointer[plan.Plan] // that the table follows
}

// newRouter makes a router; current must be set before the first decision.
func newRouter(events *event.Dispatcher) *router {
	return &router{
		events: events,
		spends: spent.NewQueue[plan.Decision](reports(events)),
		// Room for a burst of knocks while the keeper writes a table. A worker that
		// finds none waits, and packets wait in the kernel's queue.
		grants: make(chan plan.Decision, 256),
	}
}

// reports turns what the queue tells of its store into events.
func reports(events *event.Dispatcher) spent.Reports {
	return spent.Reports{
		Pruned: func(err error) {
			if err == nil {
				events.Emit(event.StoreRecovered{})
				return
			}
			events.Emit(event.PruneFailed{Err: err})
		},
		Closed: func(err error) { events.Emit(event.StoreCloseFailed{Err: err}) },
	}
}

// route hands a decision on. What is granted is on disk before anything is open.
func (r *router) route(d plan.Decision) {
	if d.Granted() {
		// Without this a knock for an access that a reload has changed meanwhile
		// would be counted.
		if _, ok := r.current.Load().Current(d.Access); !ok {
			d.Refused = plan.Changed
		}
	}
	if !d.Granted() {
		r.refuse(d)
		return
	}
	entry, any := d.Spend()
	if !any {
		r.grants <- d
		return
	}
	if err := r.spends.Submit(entry, d); err != nil {
		r.events.Emit(d.NotSpent(err))
	}
}

// refuse burns the token of a knock that opens nothing, and says why.
func (r *router) refuse(d plan.Decision) {
	if entry, any := d.Burn(); any {
		// With an error the queue remembers the token as lost, which serves the
		// same end: it is not honoured later.
		_ = r.spends.Submit(entry, d)
	}
	r.events.Emit(d.Refusal())
}

// finish says that no decisions come any more.
func (r *router) finish() { close(r.grants) }
