package daemon

import (
	"errors"
	"net/netip"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
)

// narrowing is the keeper's work of ending, shortening and narrowing the running grants
// that a plan does not allow as they are. Established connections continue.
//
// It is done in steps: one Withdraw may take the gate as long as listing all grants, and
// anyone who has seen a shared sequence can cause any number of grants.
type narrowing struct {
	listed  time.Time             // when the grants were listed; their Remaining counts from here
	todo    []restricted          // not dealt with yet
	running []gate.Grant          // what continues, or takes the place of another grant
	changed map[netip.Prefix]bool // sources of which a grant was ended or replaced
	endings []event.Event         // what was done, up to maxReported
	omitted int                   // how many more
	err     error                 // the last one
	whole   bool                  // the listing succeeded
}

// maxReported is how many grants get a line each when a restart resumes them, or when a
// change of the policy or a command ends them.
const maxReported = 100

// restricted is a running grant that the plan does not allow as it is.
type restricted struct {
	gate.Grant
	plan.Restriction
}

// narrowingStep is how long a step of narrowing may keep the keeper from other work.
const narrowingStep = 20 * time.Millisecond

// alwaysReady is a channel on which a receive never waits, since it is closed. In a
// select, nil stands for the opposite.
var alwaysReady = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// resume narrows the grants that an earlier run left in the kernel to the policy, and
// starts timers for those that continue.
func (k *keeper) resume() { k.narrow("since the last run") }

// narrowToPlan narrows the running grants to a plan that a reload brought.
func (k *keeper) narrowToPlan() { k.narrow("by a reload") }

// narrow begins to narrow the running grants to the plan, does the first step, and leaves
// the others to run. After a failure run calls it again. since says in events when an
// access of the policy was changed.
func (k *keeper) narrow(since string) {
	k.endNarrowing() // what it has left to do, the new one finds in the list below
	k.narrowDue, k.narrowSince = nil, since
	n := &narrowing{listed: time.Now(), changed: make(map[netip.Prefix]bool)}
	grants, err := k.gate.Grants()
	n.err, n.whole = err, err == nil
	for _, g := range grants {
		if r := k.plan().CheckGrant(g, n.listed, since); r.Reason != "" {
			n.todo = append(n.todo, restricted{g, r})
		} else {
			n.running = append(n.running, g)
		}
	}
	k.narrowing = n
	k.continueNarrowing()
}

// continueNarrowing does one step.
func (k *keeper) continueNarrowing() {
	n := k.narrowing
	for end := time.Now().Add(narrowingStep); len(n.todo) > 0; {
		k.replace(n, n.todo[0])
		n.todo = n.todo[1:]
		if time.Now().After(end) {
			break
		}
	}
	if len(n.todo) > 0 {
		k.moreToNarrow = alwaysReady
		return
	}
	k.endNarrowing()
}

// endNarrowing reports what the narrowing under way has done so far, sets the timers, and
// arranges for another attempt if something failed.
func (k *keeper) endNarrowing() {
	n := k.narrowing
	if n == nil {
		return
	}
	k.reportNarrowing()
	k.startTimers(n)
	k.narrowing, k.moreToNarrow = nil, nil
	if n.err == nil {
		return
	}
	k.narrowDue = time.After(repairPause)
	k.events.Emit(event.NarrowFailed{Err: n.err})
}

// reportNarrowing reports the endings that are not reported yet.
func (k *keeper) reportNarrowing() {
	n := k.narrowing
	if n == nil {
		return
	}
	for _, e := range n.endings {
		k.events.Emit(e)
	}
	if n.omitted > 0 {
		k.events.Emit(event.EndingsOmitted{Count: n.omitted})
	}
	n.endings, n.omitted = nil, 0
}

// replace ends a grant and makes the smaller ones that the plan allows instead, if any.
func (k *keeper) replace(n *narrowing, r restricted) {
	n.changed[r.Source] = true
	// Ended first, because Gate.Grant never shortens a grant. And this one alone: others
	// of the source, for a part of its ports, may be of an access that did not change.
	err := k.withTable(func() error { return k.gate.Withdraw(r.Grant) })
	if err != nil && !errors.Is(err, gate.ErrNoGrant) {
		n.running, n.err = append(n.running, r.Grant), err
		return
	}
	for _, smaller := range r.Instead {
		smaller.Timeout = min(smaller.Timeout, n.left(r.Grant))
		if smaller.Timeout < gate.MinTimeout {
			continue // the gate takes no such grant, and it would end within a second
		}
		// With the table put back if it is gone since then: the next narrowing
		// does not find the grant that was ended, so it cannot make the smaller one.
		if err := k.withTable(func() error { return k.gate.Grant(smaller) }); err != nil {
			n.err = err
			continue
		}
		// As if it had been listed with the others, for n.left.
		smaller.Remaining = smaller.Timeout + time.Since(n.listed)
		n.running = append(n.running, smaller)
	}
	n.report(r)
}

// report keeps the event about a grant that was replaced until the narrowing ends, or
// counts it.
func (n *narrowing) report(r restricted) {
	if len(n.endings) == maxReported {
		n.omitted++
		return
	}
	n.endings = append(n.endings, ending(r))
}

// ending is the event about a grant that the plan does not allow as it was.
func ending(r restricted) event.Event {
	g := keyOf(r.Grant).event(r.Access)
	if len(r.Instead) == 0 {
		return event.EndedEarly{RunningGrant: g, Reason: r.Reason}
	}
	if len(r.Instead) == 1 && r.Instead[0].Service == r.Service {
		return event.Shortened{RunningGrant: g, Left: r.Instead[0].Remaining, Reason: r.Reason}
	}
	narrowed := event.Narrowed{RunningGrant: g, Reason: r.Reason}
	for _, smaller := range r.Instead {
		narrowed.To = append(narrowed.To, smaller.Service)
	}
	return narrowed
}

// left is the time that a grant of the listing has left now.
func (n *narrowing) left(g gate.Grant) time.Duration { return g.Remaining - time.Since(n.listed) }

// startTimers replaces the timers of the sources whose grants a narrowing has changed, and
// starts those of grants without a timer, which an earlier run has made. The first
// listing that succeeds and is dealt with completely says which of these there are; until
// then, they are reported as resumed.
func (k *keeper) startTimers(n *narrowing) {
	logged := make(map[netip.Prefix]bool)
	for source := range n.changed {
		logged[source] = k.timers.removeSource(source)
	}
	resumed := 0
	for _, g := range n.running {
		key := keyOf(g)
		if !n.changed[g.Source] && k.timers.has(key) {
			continue
		}
		t := grantTimer{access: g.Access, timeout: g.Timeout.Round(time.Second)}
		t.logged = logged[g.Source] || !k.resumed && resumed < maxReported
		if !k.timers.start(key, t, n.left(g)) || k.resumed {
			continue // another grant covers it for longer, or it is not from an earlier run
		}
		if resumed++; resumed <= maxReported {
			k.events.Emit(event.Resumed{RunningGrant: key.event(g.Access), Remaining: n.left(g)})
		}
	}
	if more := resumed - maxReported; more > 0 {
		k.events.Emit(event.ResumedOmitted{Count: more})
	}
	k.resumed = k.resumed || n.whole && len(n.todo) == 0
}
