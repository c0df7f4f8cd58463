package daemon

import (
	"errors"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/spent"
)

// keeper is the one goroutine that owns the gate. It makes the grants that are
// decided and recorded, reports when one has ended, repairs the table, and carries
// out commands in between.
type keeper struct {
	gate     gate.Gate
	router   *router
	events   *event.Dispatcher
	plan     *plan.Plan // what the table says
	requests chan request
	timers   timers
	stopped  chan struct{} // closed when run has ended

	changes <-chan struct{}  // of the table, by other processes
	repairs *rate.Limiter    // in case another process undoes each of them
	again   <-chan time.Time // when to try another repair
	failure string           // of the last repair

	running      lister
	narrowing    *narrowing       // nil while there is nothing to narrow
	moreToNarrow <-chan struct{}  // ready while a narrowing is not over
	unsettled    <-chan time.Time // when to call narrowAgain, since something failed
	narrowAgain  func()
}

// newKeeper makes the keeper of a gate whose table follows a plan.
func newKeeper(g gate.Gate, p *plan.Plan, r *router) *keeper {
	r.current.Store(p)
	return &keeper{
		gate:     g,
		router:   r,
		events:   r.events,
		plan:     p,
		requests: make(chan request),
		timers:   newTimers(),
		stopped:  make(chan struct{}),
		changes:  g.Changes(),
		running:  g,
		repairs:  rate.NewLimiter(10, 20),
	}
}

// run works until there are no more decisions to come and the last of them is
// recorded. It waits for no log, disk or listing of what others write.
func (k *keeper) run() error {
	defer close(k.stopped)
	defer k.timers.stop()
	grants, recorded := k.router.grants, k.router.spends.Answers()
	var tooLate <-chan time.Time
	for {
		select {
		case d, ok := <-grants:
			if !ok {
				// A nil channel is never ready: only what is on its way to the disk
				// can still come.
				grants, tooLate = nil, time.After(diskPatience)
				k.router.spends.Close()
				continue
			}
			k.admit(d)
		case a, ok := <-recorded:
			if !ok {
				return nil
			}
			k.recorded(a)
		case <-tooLate:
			k.events.Emit(event.DiskSilent{Waited: diskPatience})
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
			k.goOnNarrowing()
		case <-k.unsettled:
			k.narrowAgain()
		}
	}
}

// diskPatience is how long the keeper waits for the disk at its end.
const diskPatience = time.Second

// recorded takes a decision that the store has answered.
func (k *keeper) recorded(a spent.Answer[plan.Decision]) {
	d := a.Payload
	switch {
	case d.Granted() && a.Err == nil:
		k.admit(d)
	case d.Granted():
		k.events.Emit(d.NotSpent(a.Err))
	case a.Err != nil && !spent.IsRefusal(a.Err):
		// The knock was refused before, but its token is not on disk.
		k.events.Emit(d.NotSpent(a.Err))
	}
}

// admit makes the grants of a decision, and then reports them. A reload may have
// changed the access since the decision.
func (k *keeper) admit(d plan.Decision) {
	if _, ok := k.plan.Current(d.Access); !ok {
		d.Refused = plan.Changed
		k.events.Emit(d.Refusal())
		return
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
	told := k.events.Emit(d.Successes(made)...)
	for _, g := range made {
		k.timers.start(passage{g.Source, g.Service}, running{access: g.Access, timeout: g.Timeout, told: told}, g.Timeout)
	}
}

// ended reports that the time of a grant is over.
func (k *keeper) ended(p passage) {
	g, ok := k.timers.take(p)
	if !ok {
		return // extended since the timer fired
	}
	k.events.Emit(event.Ended{Passage: p.of(g.access), Timeout: g.timeout, Told: g.told})
}

// withTable does what takes a table, and puts that back first if it has to be.
func (k *keeper) withTable(do func() error) error {
	err := do()
	if errors.Is(err, gate.ErrNoTable) {
		k.putBack()
		err = do()
	}
	return err
}
