package daemon

import (
	"context"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
)

// Grant implements control.Handler: it lets a source in without a knock. It may be called from
// any goroutine while Run works after Ready, and blocks until the keeper has answered.
func (d *Daemon) Grant(ctx context.Context, g control.Grantee) (control.Granted, error) {
	c := grantByHand{wanted: g, done: new(control.Granted)}
	if p, ok := control.PeerOf(ctx); ok {
		c.by = &p
	}
	err := d.keeper.ask(c)
	return *c.done, err
}

// grantByHand makes grants that a command asks for, by the plan that the table was written
// for, and writes to done which. Whoever asked may read done once ask has returned.
type grantByHand struct {
	wanted control.Grantee
	by     *control.Peer // nil if not known
	done   *control.Granted
}

func (c grantByHand) carryOut(k *keeper) error {
	grants, err := k.plan().ByHand(c.wanted.Source, c.wanted.What, time.Now())
	if err != nil {
		return err
	}
	for _, g := range grants {
		if c.wanted.For != 0 {
			g.Timeout = c.wanted.For
		}
		if err := k.withTable(func() error { return k.gate.Grant(g) }); err != nil {
			return err
		}
		e := event.GrantedByHand{RunningGrant: keyOf(g).event(g.Access), Timeout: g.Timeout, UID: -1, PID: -1}
		if c.by != nil {
			e.UID, e.PID = c.by.UID, c.by.PID
		}
		logged := k.events.Emit(e)
		k.timers.start(keyOf(g), grantTimer{access: g.Access, timeout: g.Timeout, logged: logged}, g.Timeout)
		g.Remaining = g.Timeout
		c.done.Grants = append(c.done.Grants, listed([]gate.Grant{g})...)
	}
	return nil
}
