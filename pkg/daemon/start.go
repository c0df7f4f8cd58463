package daemon

import (
	"context"
	"errors"
	"net"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// listen opens the control socket of the policy, nil without one. It comes before all
// else, since a second daemon fails here and must not have changed the table by then. Any
// error but control.ErrRunning must not keep the daemon from hiding services.
func (d *Daemon) listen() (net.Listener, error) {
	path := d.config.Policy.Control.Socket
	if path == "" {
		return nil, nil
	}
	return control.Listen(path)
}

// serveControl serves the control socket until ctx is done. After an error, of the attempt to
// open it at the start or later, it reports that and opens the socket again.
func (d *Daemon) serveControl(ctx context.Context, socket net.Listener, err error) {
	told := ""
	for {
		if err == nil {
			if told != "" {
				d.events.Emit(event.ControlRecovered{})
				d.setCondition(conditionControl, "")
				told = ""
			}
			if err = control.Serve(ctx, socket, d); err == nil {
				return
			}
		}
		if told != err.Error() {
			told = err.Error()
			d.events.Emit(event.ControlFailed{Err: err})
			d.setCondition(conditionControl, told)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(controlPause):
		}
		socket, err = d.listen()
	}
}

// controlPause is the time between a failure of the control socket and the next attempt to
// open it.
const controlPause = 5 * time.Second

// hideServices writes the table, and returns the gate that owns it. If that fails for the
// policy in the files, which may be wrong in a way that only the kernel finds, it writes that
// of the last policy that worked. On error nothing in the kernel has changed.
func (d *Daemon) hideServices() (gate.Gate, error) {
	g, err := d.hideBy(d.config.Policy)
	if err == nil || d.bad != nil || d.config.FindLast == nil {
		return g, err
	}
	last, notFound := d.config.FindLast()
	if errors.Is(notFound, lastpolicy.ErrNone) {
		return nil, err
	}
	if notFound != nil {
		return nil, errors.Join(err, notFound)
	}
	g, notHidden := d.hideBy(last.Policy)
	if notHidden != nil {
		return nil, err // the reason is in the kernel or another process, and not in the policy
	}
	d.bad, d.last, d.config.Policy = err, last, last.Policy
	return g, nil
}

// hideBy writes the table of a policy.
func (d *Daemon) hideBy(p *policy.Policy) (gate.Gate, error) {
	next, err := plan.Outline(p)
	if err != nil {
		return nil, err
	}
	owner := map[policy.Owner]gate.OwnerMode{
		policy.OwnerAuto: gate.OwnerAuto, policy.OwnerOn: gate.OwnerOn, policy.OwnerOff: gate.OwnerOff,
	}[p.NFTables.Owner]
	g, err := d.config.OpenGate(gate.Config{Table: p.NFTables.Table, Owner: owner})
	if err != nil {
		return nil, err
	}
	err = d.interfaces.start(p.NFTables.Interfaces, func(unguarded []string) error {
		return writeTable(g, next, unguarded)
	})
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	d.plan = next
	return g, nil
}

// openAll opens the NFLOG groups and the store and puts a plan with keys into force. This may
// take long; the keeper repairs the table in the meantime. The error is errStopping if ctx
// is done first, and a *StartError otherwise.
func (d *Daemon) openAll(ctx context.Context) error {
	d.openWorkers()
	err := d.openStoreOrRetry(ctx, d.plan)
	if err == nil {
		err = d.startPolicy(ctx)
	}
	if err == nil {
		return nil
	}
	d.closeSources()
	if errors.Is(err, errStopping) {
		return err
	}
	return &StartError{err, hidesBy(d.plan.Policy)}
}

// openWorkers makes a worker for every NFLOG group of the policy, and opens those groups that
// can be opened. From here on, packets wait in the kernel's queue of the group until the
// workers run.
func (d *Daemon) openWorkers() {
	for i := range d.config.Policy.NFLog.Workers {
		group := d.config.Policy.NFLog.Group + uint16(i)
		source := newGroupSource(func() (nflog.Source, error) {
			return d.config.OpenSource(nflog.Config{Groups: []uint16{group}, CopyRange: copyRange})
		}, func(err error) { d.groupChanged(group, err) })
		source.open()
		d.workers = append(d.workers, &worker{group: group, source: source, route: d.router.route})
	}
}

// startPolicy puts the plan that a daemon starts with into force: that of the policy in the
// files, if it can be loaded as a whole. Otherwise it is that of the policy which the table
// was written for, without the accesses for which something is missing.
func (d *Daemon) startPolicy(ctx context.Context) error {
	if d.bad == nil {
		next, diags, err := d.loadPlan(ctx)
		if errors.Is(err, errStopping) {
			return err
		}
		if err == nil {
			err = restartOnly(d.plan.Policy, next.Policy)
		}
		if err == nil {
			d.warn(diags)
			return d.startWith(ctx, next)
		}
		d.bad = err
	}
	next, err := d.startPlan(ctx)
	if err != nil {
		return err
	}
	// What was wrong with the files is told with each of these accesses.
	if len(next.Void) > 0 && d.last == nil {
		d.bad = nil
	}
	return d.startWith(ctx, next)
}

// startPlan calls plan.Start, which may take seconds or wait for a disk that hangs. When ctx is
// done, it returns errStopping and does not wait.
func (d *Daemon) startPlan(ctx context.Context) (*plan.Plan, error) {
	type started struct {
		plan *plan.Plan
		err  error
	}
	done := make(chan started, 1) // has room, so that the goroutine ends if nobody receives
	go func() {
		p, err := plan.Start(d.config.Policy)
		done <- started{p, err}
	}()
	select {
	case s := <-done:
		return s.plan, s.err
	case <-ctx.Done():
		return nil, errStopping
	}
}

// startWith puts a plan into force, reports what is wrong with the policy in the files, and
// keeps the policy.
func (d *Daemon) startWith(ctx context.Context, next *plan.Plan) error {
	if err := d.putIntoForce(ctx, next, d.guard); err != nil {
		return err
	}
	d.remind()
	d.settleLastRun(ctx) // before that policy is replaced
	if d.guard != nil {
		return nil
	}
	if d.bad == nil {
		_ = d.noteConfirmed() // was reported
	}
	d.keepInForce()
	return nil
}

// copyRange is how many bytes of a packet the kernel copies: enough for the longest SPA
// packet, 1500 bytes, and its headers.
const copyRange = 2048
