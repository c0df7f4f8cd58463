package daemon

import (
	"net/netip"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/port"
)

// A command is what another goroutine asks the keeper to do. The keeper alone owns
// the gate, and does one thing at a time.
type command interface {
	// carryOut runs in the keeper's goroutine. It waits for nothing but the kernel.
	carryOut(*keeper) error
}

// request is a command and where its error goes.
type request struct {
	command
	done chan<- error
}

// ask has the keeper carry out a command, and gives its error: errStopping if the
// keeper has ended.
func (k *keeper) ask(c command) error {
	done := make(chan error, 1)
	select {
	case k.requests <- request{c, done}:
		return <-done
	case <-k.stopped:
		return errStopping
	}
}

// applyPlan brings the table to a plan, and then the running grants.
type applyPlan struct {
	plan      *plan.Plan
	unguarded []string // the interfaces whose packets pass
}

func (c applyPlan) carryOut(k *keeper) error {
	if err := k.apply(c.plan, c.unguarded); err != nil {
		return err
	}
	k.plan = c.plan
	k.router.current.Store(c.plan)
	k.settle()
	return nil
}

// applyInterfaces brings the table to the interfaces whose packets pass.
type applyInterfaces struct{ unguarded []string }

func (c applyInterfaces) carryOut(k *keeper) error { return k.apply(k.plan, c.unguarded) }

// apply writes the table of a plan.
func (k *keeper) apply(p *plan.Plan, unguarded []string) error {
	r := *p.Ruleset
	r.Unguarded = unguarded
	return k.gate.Apply(&r)
}

// revokeGrants ends the grants of sources within a prefix to services, and says in
// done what it did.
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

// endConnections ends the connections that a listing found.
type endConnections struct{ found *gate.Connections }

func (c endConnections) carryOut(k *keeper) error { return k.gate.End(c.found) }
