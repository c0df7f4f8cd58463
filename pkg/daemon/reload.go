package daemon

import (
	"context"
	"errors"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// errStopping is the error of requests that come when the daemon is stopping.
var errStopping = errors.New("the daemon is stopping")

// Reload has a running daemon read its policy again, and blocks until it is in force, or the
// reload has failed. The error says why the old policy remains in force; an event says so,
// too. It may be called from any goroutine: requests are carried out one after the other.
// Before the event Ready it waits for that, or for the end of Run. ctx ends the wait for the
// request to begin, and does not interrupt a reload that has begun.
func (d *Daemon) Reload(ctx context.Context, r control.Reload) (control.Reloaded, error) {
	done := make(chan reloadAnswer, 1)
	select {
	case d.reloads <- reloadRequest{r, done}: // has no buffer: supervise has the request, and answers it
	case <-d.stopping:
		return control.Reloaded{}, errStopping
	case <-ctx.Done():
		return control.Reloaded{}, ctx.Err()
	}
	a := <-done
	return a.reloaded, a.err
}

// reloadRequest is a request to reload, and the channel for its answer, which has room for
// one, so that supervise never waits for whoever asked.
type reloadRequest struct {
	control.Reload
	done chan<- reloadAnswer
}

type reloadAnswer struct {
	reloaded control.Reloaded
	err      error
}

// reload puts the changed policy into force, or keeps the old one and reports why.
func (d *Daemon) reload(ctx context.Context, r control.Reload) (control.Reloaded, error) {
	// For a service of Type=notify-reload, RELOADING=1 must come with the monotonic time,
	// and READY=1 ends the reload, whether it succeeded or not: see sd_notify(3). Without
	// READY=1, "systemctl reload" would wait until its timeout.
	d.config.Notify("RELOADING=1\n" + systemd.SdNotifyMonotonicUsec())
	before, left := d.plan.Policy, d.interfaces.left()
	err := d.applyPolicy(ctx, d.guardFor(r))
	if err != nil {
		d.events.Emit(event.ReloadFailed{Err: err})
		d.reloadFailed(err)
		d.config.Notify("READY=1")
		d.tellStatus()
		var invalid policy.Diagnostics
		return control.Reloaded{Invalid: errors.As(err, &invalid)}, err
	}
	d.filesInForce()
	d.announce(func(w event.Watch) event.Event { return event.Reloaded{Watch: w} })
	notes := d.tellOpened(before, left)
	if d.guard == nil {
		_ = d.noteConfirmed() // was reported
		d.keepInForce()
	} else {
		notes = append(notes, d.guard.text())
	}
	return control.Reloaded{Notes: notes}, nil
}

// reloadFailed notes that the policy in the files is not in force.
func (d *Daemon) reloadFailed(err error) {
	if errors.Is(err, errStopping) {
		return
	}
	text := "the policy in the files is not in force, an earlier one is: "
	if d.bad != nil {
		d.bad = err // what was wrong before may be mended
		text = "running the last policy that worked: "
	}
	d.conditions.set(conditionPolicy, text+brief(err).Error())
}

// applyPolicy loads the policy and puts it into force. It first makes all that can fail.
// The table comes last of these and changes in one transaction, so that on error the old
// policy is in force as a whole. ctx interrupts loading and opening the store. Unless g is
// nil, the policy is on trial.
//
// There are three plans in force, which differ during a reload. It replaces them in this order:
//
//	router.tablePlan   written by the keeper, which grants, repairs and narrows by it; read by
//	                   workers, to refuse before a token is spent
//	matcher.enginePlan made with its engine; each worker alone uses its own
//	Daemon.plan        of the goroutine of Run, and then of supervise: to compare and announce
//
// A decision of an old engine is held against the first, before its token is spent and before
// it is granted: it is refused if its access has changed.
func (d *Daemon) applyPolicy(ctx context.Context, g *guard) error {
	next, diags, err := d.loadPlan(ctx)
	if err != nil {
		return err
	}
	if err := restartOnly(d.plan.Policy, next.Policy); err != nil {
		return err
	}
	if err := d.putIntoForce(ctx, next, g); err != nil {
		return err
	}
	d.warn(diags)
	return nil
}

// putIntoForce puts a plan into force, as applyPolicy says.
func (d *Daemon) putIntoForce(ctx context.Context, next *plan.Plan, g *guard) error {
	if err := d.openStore(ctx, next); err != nil {
		return err
	}
	// Before the policy comes into force: if the daemon is killed then, the next one must know
	// that nobody has confirmed it.
	cancel, err := d.noteTrial(g)
	if err != nil {
		return err
	}
	if err := d.enforce(next, g); err != nil {
		_, undone := withinTime(func() (struct{}, error) { return struct{}{}, cancel() })
		return errors.Join(err, undone)
	}
	d.tryOut(g)
	return nil
}

// enforce puts a plan into force that needs no store but the one that is open.
func (d *Daemon) enforce(next *plan.Plan, g *guard) error {
	// An engine per worker: engines share nothing, not even the copies of the keys.
	matchers := make([]*matcher, len(d.workers))
	for i := range matchers {
		var err error
		if matchers[i], err = newMatcher(next); err != nil {
			return err
		}
	}
	var proves proving
	if g != nil {
		g.proves = g.proving(next)
		proves = g.proves
	}
	err := d.interfaces.change(next.Policy.NFTables.Interfaces, func(unguarded []string) error {
		return d.keeper.ask(applyPlan{next, unguarded, proves})
	})
	if err != nil {
		return err
	}
	// After the table, so that no new access is granted what the old table has no set for.
	// Decisions that the old engines make until then are checked against the new plan.
	for i, w := range d.workers {
		w.replace(matchers[i])
	}
	before := d.plan
	d.plan = next
	now := time.Now()
	d.policySince.Store(&now)
	d.config.SetLogLevel(next.Policy.Log.Level)
	d.reportVoid(before)
	return nil
}

// loadPlan calls Load, which may take seconds to derive keys from passphrases. When ctx is
// done, it returns errStopping and does not wait for Load.
func (d *Daemon) loadPlan(ctx context.Context) (*plan.Plan, policy.Diagnostics, error) {
	type loaded struct {
		plan  *plan.Plan
		diags policy.Diagnostics
	}
	done := make(chan loaded, 1) // has room, so that the goroutine ends if nobody receives
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

// restartOnly returns an error if the new policy has another value for a key that a running
// daemon cannot change without losing half-done knocks, grants, its control socket or the
// format of its log.
func restartOnly(before, after *policy.Policy) error {
	if keys := plan.NeedsRestart(before, after); len(keys) > 0 {
		return errors.New(keys[0] + " cannot change while running: restart the service")
	}
	return nil
}
