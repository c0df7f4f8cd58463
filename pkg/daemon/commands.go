package daemon

import (
	"net/netip"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/port"
)

// A command is a change that another goroutine asks the keeper to make. Only the keeper
// uses the gate, and it carries out one command at a time.
type command interface {
	// carryOut runs in the keeper's goroutine. It may wait for the kernel, and for
	// nothing else.
	carryOut(*keeper) error
}

// request is a command, and the channel that gets its error. The channel has room for
// one error, so that the keeper never waits for whoever asked.
type request struct {
	command
	done chan<- error
}

// ask has the keeper carry out a command, waits for that, and returns the command's
// error. It returns errStopping if the keeper has ended. Any goroutine but the keeper's
// may call it: the keeper would wait for itself.
func (k *keeper) ask(c command) error {
	done := make(chan error, 1)
	select {
	case k.requests <- request{c, done}:
		// requests has no buffer, so the keeper has the command now. It cannot end
		// before it has answered.
		return <-done
	case <-k.stopped:
		return errStopping
	}
}

// applyPlan writes the table of a plan, and then ends or narrows the running grants that
// the plan does not allow. On error the old plan stays in force.
type applyPlan struct {
	plan      *plan.Plan
	unguarded []string // the interfaces whose packets pass
}

func (c applyPlan) carryOut(k *keeper) error {
	if err := k.writeTable(c.plan, c.unguarded); err != nil {
		return err
	}
	// The router must see the new plan before the workers have their new engines: a
	// decision of the new engine would otherwise be held against the old plan.
	k.router.tablePlan.Store(c.plan)
	k.narrowToPlan()
	return nil
}

// applyInterfaces writes the table of the current plan for other interfaces.
type applyInterfaces struct{ unguarded []string }

func (c applyInterfaces) carryOut(k *keeper) error { return k.writeTable(k.plan(), c.unguarded) }

// writeTable is the function of that name for the keeper's gate.
func (k *keeper) writeTable(p *plan.Plan, unguarded []string) error {
	err := writeTable(k.gate, p, unguarded)
	k.owned.Store(k.gate.Owned())
	if err == nil {
		k.tableIsRight()
	}
	return err
}

// writeTable writes the table of a plan, in which the packets of some interfaces pass.
func writeTable(g gate.Gate, p *plan.Plan, unguarded []string) error {
	// A shallow copy: other goroutines read the plan's ruleset.
	r := *p.Ruleset
	r.Unguarded = unguarded
	return g.Apply(&r)
}

// revokeGrants ends the grants of sources within a prefix to services, and writes to
// done what it did. Whoever asked may read done once ask has returned.
type revokeGrants struct {
	from     netip.Prefix
	services []port.Range
	done     *control.Revoked
}

func (c revokeGrants) carryOut(k *keeper) error {
	n, err := k.revoke(c.from, c.services)
	c.done.Grants, c.done.StillIn = n, k.stillIn(c.from, c.services)
	return err
}

// endConnections ends the connections of a listing.
type endConnections struct{ found *gate.Connections }

func (c endConnections) carryOut(k *keeper) error { return k.gate.End(c.found) }
