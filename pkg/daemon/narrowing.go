package daemon

import (
	"errors"
	"net/netip"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
)

// lister lists running grants, ordered by source and service. The gate is one.
type lister interface {
	Grants() ([]gate.Grant, error)
}

// narrowing is the keeper's work of ending and shortening the grants that a plan
// does not allow any more, or not for so long. Connections that stand go on.
//
// It is done in turns: to revoke a grant may take the gate as long as to list all
// of them, and strangers who replay a sequence decide how many there are.
type narrowing struct {
	listed  time.Time
	todo    []excess
	running []gate.Grant          // what is allowed, as of listed
	changed map[netip.Prefix]bool // sources that had other grants before
	told    []event.Event         // endings, up to maxTold
	omitted int                   // endings beyond these
	err     error                 // of what failed last
	done    func(*narrowing)
}

// maxTold is how many grants are reported one by one that continue over a restart,
// or that a change of the policy or a command ends.
const maxTold = 100

// excess is a grant, and what the plan has against it.
type excess struct {
	gate.Grant
	plan.Objection
}

// narrowTurn is how long the keeper is at it before it looks after all else.
const narrowTurn = 20 * time.Millisecond

// always is a channel that is always ready.
var always = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// narrow begins to hold what runs against the plan, and calls done when that is
// over. What fails is tried again later, by calling again.
func (k *keeper) narrow(since string, done func(*narrowing), again func()) {
	k.endNarrowing() // this one sees all that it had to do
	k.unsettled, k.narrowAgain = nil, again
	n := &narrowing{listed: time.Now(), changed: make(map[netip.Prefix]bool), done: done}
	grants, err := k.running.Grants()
	n.err = err
	for _, g := range grants {
		if o := k.plan.Object(g, n.listed, since); o.Reason != "" {
			n.todo = append(n.todo, excess{g, o})
		} else {
			n.running = append(n.running, g)
		}
	}
	k.narrowing = n
	k.goOnNarrowing()
}

// goOnNarrowing does a turn.
func (k *keeper) goOnNarrowing() {
	n := k.narrowing
	for end := time.Now().Add(narrowTurn); len(n.todo) > 0; {
		k.replace(n, n.todo[0])
		n.todo = n.todo[1:]
		if time.Now().After(end) {
			break
		}
	}
	if len(n.todo) > 0 {
		k.moreToNarrow = always
		return
	}
	k.endNarrowing()
}

// endNarrowing says what was done, if anything was.
func (k *keeper) endNarrowing() {
	n := k.narrowing
	if n == nil {
		return
	}
	k.narrowing, k.moreToNarrow = nil, nil
	for _, e := range n.told {
		k.events.Emit(e)
	}
	if n.omitted > 0 {
		k.events.Emit(event.EndingsOmitted{Count: n.omitted})
	}
	n.done(n)
	if n.err == nil {
		return
	}
	k.unsettled = time.After(repairPause)
	k.events.Emit(event.NarrowFailed{Err: n.err})
}

// replace puts lesser grants, or none, in the place of a grant. The gate never
// shortens one, so that it has to be revoked first.
func (k *keeper) replace(n *narrowing, e excess) {
	n.changed[e.Source] = true
	err := k.withTable(func() error { return k.gate.Revoke(e.Source, e.Service) })
	if err != nil && !errors.Is(err, gate.ErrNoGrant) {
		n.running, n.err = append(n.running, e.Grant), err
		return
	}
	for _, less := range e.Instead {
		less.Timeout = min(less.Timeout, n.left(e.Grant))
		if less.Timeout < gate.MinTimeout {
			continue // over in a moment
		}
		if err := k.gate.Grant(less); err != nil {
			n.err = err
			continue
		}
		less.Remaining = less.Timeout + time.Since(n.listed)
		n.running = append(n.running, less)
	}
	n.tell(e)
}

// tell notes what became of a grant.
func (n *narrowing) tell(e excess) {
	if len(n.told) == maxTold {
		n.omitted++
		return
	}
	n.told = append(n.told, ending(e))
}

// ending is the event of a grant that the policy no longer allows as it was.
func ending(e excess) event.Event {
	p := passage{e.Source, e.Service}.of(e.Access)
	if len(e.Instead) == 0 {
		return event.EndedEarly{Passage: p, Reason: e.Reason}
	}
	if len(e.Instead) == 1 && e.Instead[0].Service == e.Service {
		return event.Shortened{Passage: p, Left: e.Instead[0].Remaining, Reason: e.Reason}
	}
	narrowed := event.Narrowed{Passage: p, Reason: e.Reason}
	for _, less := range e.Instead {
		narrowed.To = append(narrowed.To, less.Service)
	}
	return narrowed
}

// left is the time that a grant has now.
func (n *narrowing) left(g gate.Grant) time.Duration { return g.Remaining - time.Since(n.listed) }

// settle narrows what runs to a plan that a reload brought.
func (k *keeper) settle() {
	k.narrow("by a reload", func(n *narrowing) {
		told := make(map[netip.Prefix]bool)
		for source := range n.changed {
			told[source] = k.timers.dropSource(source)
		}
		for _, g := range n.running {
			if n.changed[g.Source] {
				what := resumable(g)
				what.told = told[g.Source]
				k.timers.start(passage{g.Source, g.Service}, what, n.left(g))
			}
		}
	}, k.settle)
}

// resume takes up the grants that an earlier run left in the kernel, as far as the
// policy still allows them.
func (k *keeper) resume() {
	k.narrow("since the last run", func(n *narrowing) {
		told := 0
		for _, g := range n.running {
			p, what := passage{g.Source, g.Service}, resumable(g)
			what.told = told < maxTold
			if !k.timers.start(p, what, n.left(g)) {
				continue // it is part of another that continues for longer
			}
			if told++; told <= maxTold {
				k.events.Emit(event.Resumed{Passage: p.of(g.Access), Remaining: n.left(g)})
			}
		}
		if more := told - maxTold; more > 0 {
			k.events.Emit(event.ResumedOmitted{Count: more})
		}
	}, k.resume)
}

// resumable is what is reported of a grant that an earlier run or plan made.
func resumable(g gate.Grant) running {
	return running{access: g.Access, timeout: g.Timeout.Round(time.Second)}
}
