package daemon

import (
	"sync/atomic"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// spendQueue is the queue of decisions that wait for the disk.
type spendQueue = spent.Queue[plan.Decision]

// router sends decisions where they are carried out. It reports a refusal as an event. A
// decision to grant goes to the keeper: at once, or, with a token or a count, after the
// store has recorded that. Its methods may be called from several goroutines.
type router struct {
	events    *event.Dispatcher
	spends    *spendQueue
	admitted  chan plan.Decision        // to the keeper: nothing is left to record of these, unless they come again
	tablePlan atomic.Pointer[plan.Plan] // that the table was written for: see applyPolicy
	wrong     *conditions               // of the daemon
}

// newRouter makes a router. Its tablePlan must be set before the first decision.
func newRouter(events *event.Dispatcher) *router {
	r := &router{
		events: events,
		wrong:  new(conditions),
		// Room for a burst of knocks while the keeper writes a table. When it is full,
		// workers wait, and packets wait in the kernel's queue.
		admitted: make(chan plan.Decision, 256),
	}
	r.spends = spent.NewQueue[plan.Decision](r.storeReports())
	return r
}

// storeReports makes events and a condition of the queue's reports about its store.
func (r *router) storeReports() spent.Reports {
	return spent.Reports{
		Pruned: func(err error) {
			if err == nil {
				r.wrong.clear(conditionStore)
				r.events.Emit(event.StoreRecovered{})
				return
			}
			r.wrong.set(conditionStore, "the store of spent tokens has failed: "+err.Error())
			r.events.Emit(event.PruneFailed{Err: err})
		},
		Closed: func(err error) { r.events.Emit(event.StoreCloseFailed{Err: err}) },
	}
}

// route sends a decision on. It waits while the keeper has more decisions to grant than it
// has room for, and for nothing else. It must not be called after finish.
func (r *router) route(d plan.Decision) {
	if d.Granted() {
		// The keeper checks this again before it grants. Here it is checked so that a
		// knock that the keeper would refuse does not count against the limit of the
		// access.
		if !r.tablePlan.Load().Has(d.Access) {
			d.Refused = plan.Changed
		}
	}
	if !d.Granted() {
		r.refuse(d)
		return
	}
	// Of one that comes again the keeper knows whether it counts.
	if d.Again || !r.record(d) {
		r.admitted <- d
	}
}

// record has the store record what is to be granted. It reports whether there is anything
// to record: then the keeper gets the store's answer, and the decision with it.
func (r *router) record(d plan.Decision) bool {
	entry, needed := d.ToSpend()
	if !needed {
		return false
	}
	if err := r.spends.Submit(entry, d); err != nil {
		r.events.Emit(d.NotSpent(err))
	}
	return true
}

// refuse reports a decision that refuses, and has its token recorded, so that nobody who
// saw the knock can send it again.
func (r *router) refuse(d plan.Decision) {
	var err error
	if entry, needed := d.ToBurn(); needed {
		// After an error, too, the queue refuses the token from now on.
		err = r.spends.Submit(entry, d)
	}
	r.events.Emit(d.Refusal())
	if err != nil && !spent.IsRefusal(err) {
		r.events.Emit(d.NotBurnt(err))
	}
}

// finish says that there are no more decisions, which ends the keeper.
func (r *router) finish() { close(r.admitted) }
