package daemon

import (
	"context"
	"errors"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// errStopping answers what comes too late.
var errStopping = errors.New("the daemon is stopping")

// Reload has a running daemon read its policy again, and returns when it has
// done so. The error says why the old policy stays; the log says it too. It
// may be called from any goroutine; requests are taken one after the other.
func (d *Daemon) Reload(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case d.reloads <- done:
	case <-d.stopping:
		return errStopping
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-done
}

// reload takes up a changed policy, or keeps the old one and says why.
func (d *Daemon) reload(ctx context.Context) error {
	d.config.Notify("RELOADING=1\n" + systemd.SdNotifyMonotonicUsec())
	err := d.takeUp(ctx)
	if err != nil {
		d.events.Emit(event.ReloadFailed{Err: err})
		d.config.Notify("READY=1\nSTATUS=reload failed, the old policy stays")
		return err
	}
	d.watching(func(w event.Watch) event.Event { return event.Reloaded{Watch: w} })
	return nil
}

// takeUp loads the policy and goes over to it. It makes all that can fail first;
// the table is the last of it and changes in one transaction.
func (d *Daemon) takeUp(ctx context.Context) error {
	next, diags, err := d.load(ctx)
	if err != nil {
		return err
	}
	if err := restartOnly(d.plan.Policy, next.Policy); err != nil {
		return err
	}
	matchers := make([]*matcher, len(d.workers))
	for i := range matchers {
		if matchers[i], err = newMatcher(next); err != nil {
			return err
		}
	}
	if err := d.openStore(next); err != nil {
		return err
	}
	err = d.interfaces.adopt(next.Policy.NFTables.Interfaces, func(unguarded []string) error {
		return d.keeper.ask(applyPlan{next, unguarded})
	})
	if err != nil {
		return err
	}
	for i, w := range d.workers {
		w.replace(matchers[i])
	}
	d.plan = next
	d.config.SetLogLevel(next.Policy.Log.Level)
	d.warn(diags)
	return nil
}

// load calls Load, which may be long at making keys from passphrases, and does
// not wait for its end when ctx is done.
func (d *Daemon) load(ctx context.Context) (*plan.Plan, policy.Diagnostics, error) {
	type loaded struct {
		plan  *plan.Plan
		diags policy.Diagnostics
	}
	done := make(chan loaded, 1)
	go func() {
		p, diags := d.config.Load()
		done <- loaded{p, diags}
	}()
	select {
	case l := <-done:
		return l.plan, l.diags, l.diags.Err()
	case <-ctx.Done():
		return nil, nil, errStopping
	}
}

// restartOnly refuses changes that a running daemon cannot make without
// losing half-done knocks, grants, or whoever reads its log.
func restartOnly(now, then *policy.Policy) error {
	for _, key := range []struct {
		name      string
		different bool
	}{
		{"[nflog] group", now.NFLog.Group != then.NFLog.Group},
		{"[nflog] workers", now.NFLog.Workers != then.NFLog.Workers},
		{"[nftables] table", now.NFTables.Table != then.NFTables.Table},
		{"[nftables] owner", now.NFTables.Owner != then.NFTables.Owner},
		{"[nftables] label", now.NFTables.Label != then.NFTables.Label},
		{"[state] dir", now.State.Dir != then.State.Dir},
		{"[log] format", now.Log.Format != then.Log.Format},
		{"[control] socket", now.Control.Socket != then.Control.Socket},
	} {
		if key.different {
			return errors.New(key.name + " cannot change while running: restart the service")
		}
	}
	return nil
}
