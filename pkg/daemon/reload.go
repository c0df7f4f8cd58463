package daemon

import (
	"context"
	"errors"
	"slices"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"nftknock/pkg/knock"
)

// reload takes up a changed policy, or keeps the old one and says why. All
// that can fail is made first; the table is the last of it and changes in
// one transaction.
func (d *daemon) reload(ctx context.Context) {
	d.Notify("RELOADING=1\n" + systemd.SdNotifyMonotonicUsec())
	if err := d.tryReload(ctx); err != nil {
		d.Log.Error("reload failed, the old policy stays: "+err.Error(), "event", "reload", "reason", err.Error())
		d.Notify("READY=1\nSTATUS=reload failed, the old policy stays")
		return
	}
	d.ready("reloaded")
}

func (d *daemon) tryReload(ctx context.Context) error {
	p, err := d.Load()
	if err != nil {
		return err
	}
	plan, err := NewPlan(p)
	if err != nil {
		return err
	}
	if err := d.restartOnly(plan); err != nil {
		return err
	}
	next, relief, opened, err := d.staff(plan)
	if err != nil {
		return err
	}
	if err := d.keeper.apply(ctx, plan.Ruleset); err != nil {
		d.closeWorkers(opened)
		return err
	}
	d.closeWorkers(slices.DeleteFunc(d.workers, func(w *worker) bool { return slices.Contains(next, w) }))
	d.workers, d.Plan = next, plan
	for w, s := range relief {
		w.relieve(s)
	}
	for _, w := range opened {
		d.start(w)
	}
	if d.Level != nil {
		d.Level.Set(Level(p.Log.Level))
	}
	return nil
}

// staff finds the workers for a plan: those that have its groups already,
// with the shift that relieves theirs, and newly opened ones.
func (d *daemon) staff(plan *Plan) (all []*worker, relief map[*worker]*shift, opened []*worker, err error) {
	relief = make(map[*worker]*shift)
	for i := range plan.Policy.NFLog.Workers {
		group := plan.Policy.NFLog.Group + uint16(i)
		if i := slices.IndexFunc(d.workers, func(w *worker) bool { return w.group == group }); i >= 0 {
			engine, err := knock.New(plan.Engine)
			if err != nil {
				d.closeWorkers(opened)
				return nil, nil, nil, err
			}
			relief[d.workers[i]] = &shift{plan, engine}
			all = append(all, d.workers[i])
			continue
		}
		w, err := d.openWorker(group, plan)
		if err != nil {
			d.closeWorkers(opened)
			return nil, nil, nil, err
		}
		opened = append(opened, w)
		all = append(all, w)
	}
	return all, relief, opened, nil
}

// restartOnly refuses changes that a running daemon cannot make.
func (d *daemon) restartOnly(next *Plan) error {
	now, then := d.Plan.Policy, next.Policy
	switch {
	case now.NFTables.Table != then.NFTables.Table:
		return errors.New("[nftables] table cannot change while running: restart the service")
	case now.NFTables.Owner != then.NFTables.Owner:
		return errors.New("[nftables] owner cannot change while running: restart the service")
	case now.Log.Format != then.Log.Format:
		return errors.New("[log] format cannot change while running: restart the service")
	}
	return nil
}
