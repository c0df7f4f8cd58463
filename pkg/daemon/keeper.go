package daemon

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// keeper is the only goroutine that uses the gate, but for Gate.Connections and Gate.Survey,
// which are for any goroutine, and for the start, before run. It makes grants once their decisions
// are recorded, reports the end of each grant, repairs the table, and carries out the
// commands of other goroutines.
type keeper struct {
	gate     gate.Gate
	router   *router
	events   *event.Dispatcher
	requests chan request
	timers   timers
	stopped  chan struct{} // closed when run has ended
	owned    atomic.Bool   // a copy of gate.Owned for other goroutines

	changes <-chan struct{}  // receives when another process has changed the table
	repairs *rate.Limiter    // since another process may undo every repair
	again   <-chan time.Time // receives when to try another repair; nil if none is due
	failure string           // of the last repair; empty if it succeeded
	trouble string           // of the gate, as it was told last; empty for none

	conditions *conditions

	narrowing    *narrowing       // nil if none is under way
	moreToNarrow <-chan struct{}  // ready while a narrowing is under way
	narrowDue    <-chan time.Time // receives when to narrow again after a failure
	narrowSince  string           // the argument of the last narrow
	resumed      bool             // the grants of earlier runs have timers
	unrecorded   bool             // the store could not record the last knock

	proves  proving    // which accesses prove by a grant that a policy on trial works; nil for none
	proofs  chan proof // has room for one, the latest
	removed bool       // the table was removed, see removeTable
}

// newKeeper makes the keeper of a gate whose table was written for a plan.
func newKeeper(g gate.Gate, p *plan.Plan, r *router) *keeper {
	r.tablePlan.Store(p)
	k := &keeper{
		gate:     g,
		router:   r,
		events:   r.events,
		requests: make(chan request),
		proofs:   make(chan proof, 1),
		timers:   newTimers(),
		stopped:  make(chan struct{}),
		changes:  g.Changes(),
		repairs:  rate.NewLimiter(repairsPerSecond, repairBurst),

		conditions: new(conditions),
	}
	k.owned.Store(g.Owned())
	return k
}

// plan is that which the table was written for. Only the keeper replaces it.
func (k *keeper) plan() *plan.Plan { return k.router.tablePlan.Load() }

// run works until the router has sent its last decision and the store has answered all
// that wait for it, or diskTimeout has passed. It waits for no log and no disk, and for no
// listing but those that the gate needs for its own table.
func (k *keeper) run() error {
	defer close(k.stopped)
	defer k.timers.stop()
	defer k.reportNarrowing() // reports what an interrupted narrowing has ended
	admitted, answers := k.router.admitted, k.router.spends.Answers()
	var tooLate <-chan time.Time
	for {
		// Of several channels that are ready, select takes a random one: none can keep
		// the others waiting for ever, not even moreToNarrow, which is always ready. A
		// nil channel is never ready.
		select {
		case d, ok := <-admitted:
			if !ok {
				// A closed channel is always ready; nil takes it out of the select. From
				// here on only answers of the store can bring grants.
				admitted, tooLate = nil, time.After(diskTimeout)
				k.router.spends.Close()
				continue
			}
			k.admit(d)
		case a, ok := <-answers:
			if !ok {
				return nil // the queue has closed the store, too
			}
			k.recorded(a)
		case <-tooLate:
			k.events.Emit(event.DiskSilent{Waited: diskTimeout, Knocks: k.router.spends.Waiting()})
			return nil
		case p := <-k.timers.ends:
			k.ended(p)
		case r := <-k.requests:
			r.done <- r.carryOut(k)
		case <-k.changes:
			k.repair()
		case <-k.again:
			k.repair()
		case <-k.moreToNarrow:
			k.continueNarrowing()
		case <-k.narrowDue:
			k.narrow(k.narrowSince)
		}
	}
}

// diskTimeout is how long the keeper waits for the store when the daemon stops.
const diskTimeout = time.Second

// recorded handles the store's answer to a decision that was refused or is to be granted.
func (k *keeper) recorded(a spent.Answer[plan.Decision]) {
	d := a.Payload
	// Success and failure of a knock say how the store is; so does its pruning, once a minute.
	switch failed := a.Err != nil && !spent.IsRefusal(a.Err); {
	case failed:
		k.router.wrong.set(conditionStore, "the store of spent tokens has failed: "+a.Err.Error())
		k.unrecorded = true
	case k.unrecorded:
		k.router.wrong.clear(conditionStore)
		k.unrecorded = false
	}
	switch {
	case d.Granted() && a.Err == nil:
		k.admit(d)
	case d.Granted():
		k.events.Emit(d.NotSpent(a.Err))
	case a.Err != nil && !spent.IsRefusal(a.Err):
		k.events.Emit(d.NotBurnt(a.Err))
	}
}

// admit makes the grants of a decision, whose token is on disk if it has one, and then
// reports them. One that comes again counts if what it asks for has ended or was used up.
func (k *keeper) admit(d plan.Decision) {
	if k.removed {
		return // nothing is hidden any more
	}
	// A reload may have changed the access while the decision waited for the disk.
	if !k.plan().Has(d.Access) {
		d.Refused = plan.Changed
		k.events.Emit(d.Refusal())
		return
	}
	if d.Again {
		if k.lasts(d) {
			d.Refused = plan.Repeated
			k.events.Emit(d.Refusal())
			return
		}
		d.Again = false
		if k.router.record(d) {
			return
		}
	}
	var made []gate.Grant
	for _, g := range d.Grants() {
		if err := k.withTable(func() error { return k.gate.Grant(g) }); err != nil {
			k.events.Emit(d.Failure(g, err))
			continue
		}
		made = append(made, g)
	}
	if len(made) == 0 {
		return
	}
	if len(made) == len(d.Grants()) {
		k.prove(d)
	}
	// One Emit, so that all lines of the knock are written or none is.
	logged := k.events.Emit(d.Successes(made)...)
	for _, g := range made {
		k.timers.start(keyOf(g), grantTimer{access: g.Access, timeout: g.Timeout, logged: logged}, g.Timeout)
	}
}

// lasts reports whether all that a decision would grant is granted already.
func (k *keeper) lasts(d plan.Decision) bool {
	for _, g := range d.Grants() {
		// Where the gate cannot tell, the knock counts: its sender may need it.
		if lasts, err := k.gate.Lasts(g); err != nil || !lasts {
			return false
		}
	}
	return true
}

// ended reports that the time of a grant is over.
func (k *keeper) ended(p grantKey) {
	g, ok := k.timers.expired(p)
	if !ok {
		return // extended or revoked since the timer fired
	}
	k.events.Emit(event.Ended{RunningGrant: p.event(g.access), Timeout: g.timeout, GrantLogged: g.logged})
}

// withTable calls do. If do fails because the table is gone, withTable repairs the table
// and calls do once more.
func (k *keeper) withTable(do func() error) error {
	err := do()
	if errors.Is(err, gate.ErrNoTable) {
		// Outside of the rate of repairs: that of grants is bounded by knocks.
		k.repairNow()
		err = do()
	}
	return err
}
