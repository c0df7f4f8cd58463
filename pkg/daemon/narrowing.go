package daemon

import (
	"errors"
	"net/netip"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
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
	told    endings
	err     error // of what failed last
	done    func(*narrowing)
}

// excess is a grant, and what the plan has against it.
type excess struct {
	gate.Grant
	objection
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
		if o := k.plan.object(g, n.listed, since); o.reason != "" {
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
	k.tellEndings(n.told)
	n.done(n)
	if n.err == nil {
		return
	}
	k.unsettled = time.After(repairPause)
	if fields, ok := k.failed.of("").allow(time.Now(), []any{"event", "error", "reason", n.err.Error()}); ok {
		k.log.Error("some grants may go on that the policy no longer allows: "+n.err.Error(), fields...)
	}
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
	for _, less := range e.instead {
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
	n.told.add(e.Grant, e.objection)
}

// left is the time that a grant has now.
func (n *narrowing) left(g gate.Grant) time.Duration { return g.Remaining - time.Since(n.listed) }

// settle narrows what runs to a plan that a reload brought.
func (k *keeper) settle() {
	k.narrow("by a reload", func(n *narrowing) {
		told := make(map[netip.Prefix]bool)
		for source := range n.changed {
			told[source] = k.doors.forget(source)
		}
		for _, g := range n.running {
			if n.changed[g.Source] {
				d, what := k.resumable(g)
				what.told = told[g.Source]
				k.doors.open(d, what, n.left(g))
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
			d, what := k.resumable(g)
			what.told = told < maxTold
			if !k.doors.open(d, what, n.left(g)) {
				continue // it is part of another that goes on for longer
			}
			if told++; told <= maxTold {
				k.resumed(d, what.access, n.left(g))
			}
		}
		if more := told - maxTold; more > 0 {
			k.log.Info(count(more, "more grant goes on", "more grants go on"), "event", "resumed", "omitted", more)
		}
	}, k.resume)
}

// resumable is a grant as the log speaks of it.
func (k *keeper) resumable(g gate.Grant) (door, grant) {
	return door{g.Source, g.Service}, grant{access: g.Access, knock: policy.Knock(g.Method), timeout: g.Timeout.Round(time.Second)}
}
