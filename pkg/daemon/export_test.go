package daemon

import (
	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/plan"
)

// DecideAfterReload has a verdict of one plan carried out when the table follows
// another already.
func DecideAfterReload(events *event.Dispatcher, g gate.Gate, before, after *plan.Plan, v knock.Verdict) {
	r := newRouter(events)
	k := newKeeper(g, before, r)
	if err := (applyPlan{plan: after}).carryOut(k); err != nil {
		panic("daemon: " + err.Error())
	}
	r.route(before.Decide(&v))
	select {
	case d := <-r.admitted:
		k.admit(d)
	default: // it is refused
	}
}

// DecideBeforeReload has a verdict carried out by a router that does not know of
// another plan yet, whose table stands when it comes to the keeper.
func DecideBeforeReload(events *event.Dispatcher, g gate.Gate, before, after *plan.Plan, v knock.Verdict) {
	r := newRouter(events)
	k := newKeeper(g, before, r)
	r.route(before.Decide(&v))
	if err := (applyPlan{plan: after}).carryOut(k); err != nil {
		panic("daemon: " + err.Error())
	}
	k.admit(<-r.admitted)
}

// Conditions is what is wrong with a daemon now.
func (d *Daemon) Conditions() []control.Condition { return d.conditions.list() }
