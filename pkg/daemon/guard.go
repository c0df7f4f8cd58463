package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// Notes writes down that a policy is on trial, for the daemons that start after this one. Its
// methods may block.
type Notes interface {
	// Begin notes that the policy in the files is on trial; first says that no policy was
	// confirmed before it. cancel takes the note back, for a policy that does not come into
	// force after all.
	Begin(first bool) (cancel func() error, err error)
	// Confirm notes that the policy in the files, or another one, is confirmed.
	Confirm() error
}

// guard is the trial of a policy: the daemon goes back to the last confirmed policy when the
// time is over, unless a grant or a command confirms the policy before. It belongs to the
// goroutine of Run, and then of supervise.
type guard struct {
	base   *plan.Plan       // the last confirmed policy; nil for a first policy, which has none before it
	last   *lastpolicy.Copy // Daemon.last of base
	until  time.Time
	over   <-chan time.Time // receives when the time is over
	proves proving          // by which grants the policy on trial is confirmed

	failure string // of the last attempt to go back; empty if there was none
}

func newGuard(length time.Duration) *guard {
	return &guard{until: time.Now().Add(length), over: time.After(length)}
}

func (g *guard) first() bool { return g.base == nil }

// proving is a set of accesses of one plan, by their identity: decisions of engines that were
// made from another plan have other accesses, even if they are equal.
type proving map[*policy.Access]bool

// proving returns the accesses of a plan whose grants confirm it. These are the accesses that
// the trial has added or changed: that someone still uses another one proves nothing about
// them. If there are none, any access confirms the plan.
func (g *guard) proving(next *plan.Plan) proving {
	accesses := make(proving)
	for _, a := range next.Accesses {
		if g.base == nil || !g.base.Has(a) {
			accesses[a] = true
		}
	}
	if len(accesses) == 0 {
		for _, a := range next.Accesses {
			accesses[a] = true
		}
	}
	return accesses
}

// proof is a grant of an access that may confirm the policy on trial.
type proof struct {
	access *policy.Access
	source netip.Addr
}

// prove tells supervise of a grant that may confirm the policy on trial. It does not wait: the
// latest proof replaces one that was not taken yet.
func (k *keeper) prove(d plan.Decision) {
	if !k.proves[d.Access] {
		return
	}
	select {
	case <-k.proofs:
	default:
	}
	k.proofs <- proof{d.Access, d.Source} // has room: only the keeper sends
}

// guardFor returns the guard of a policy that is read now, nil for none. A reload during a
// guard that does not ask for one of its own is on trial, too, for the time that is left: it
// may be the reload of a program that knows nothing of the trial.
func (d *Daemon) guardFor(r control.Reload) *guard {
	now := d.guard
	if r.Guard == 0 {
		if now == nil {
			return nil
		}
		g := *now
		return &g
	}
	g := newGuard(r.Guard)
	g.base, g.last = d.plan, d.last
	if now != nil {
		g.base, g.last = now.base, now.last
	}
	return g
}

// errNoteSlow is the error of a note about a trial that is not written in time.
var errNoteSlow = fmt.Errorf("the state directory did not respond within %v: check the disk", openTimeout)

// withinTime calls what may wait for a disk, and waits for it no longer than openTimeout.
func withinTime[T any](do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1) // has room, so that the goroutine ends in any case
	go func() {
		value, err := do()
		done <- answer{value, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-time.After(openTimeout):
		var none T
		return none, errNoteSlow
	}
}

// noteTrial notes that the policy in the files is on trial, and returns what takes that back.
func (d *Daemon) noteTrial(g *guard) (cancel func() error, err error) {
	if g == nil || d.config.Notes == nil {
		return func() error { return nil }, nil
	}
	d.noted = true
	return withinTime(func() (func() error, error) { return d.config.Notes.Begin(g.first()) })
}

// noteConfirmed notes that the policy is confirmed.
func (d *Daemon) noteConfirmed() error {
	if !d.noted || d.config.Notes == nil {
		return nil
	}
	_, err := withinTime(func() (struct{}, error) { return struct{}{}, d.config.Notes.Confirm() })
	if err != nil {
		d.events.Emit(event.GuardNoteFailed{Err: err})
		return err
	}
	d.noted = false
	return nil
}

// tryOut says that the policy in force is on trial, unless g is nil.
func (d *Daemon) tryOut(g *guard) {
	d.guard = g
	if g == nil {
		return
	}
	d.outcome = outcome{}
	d.setCondition(conditionGuard, g.text())
	d.events.Emit(event.GuardBegun{Until: g.until, First: g.first()})
}

// text says what a trial means for the host.
func (g *guard) text() string {
	back := "the daemon goes back to the policy before it"
	if g.first() {
		back = "everything is undone and the daemon ends"
	}
	return "the policy is on trial: at " + g.until.UTC().Format(time.RFC3339) + " " + back +
		", unless a knock is granted or \"nftknockd confirm\" is run before"
}

// outcome is how the last trial ended: by is who confirmed the policy, undone when it was not
// confirmed. Both are zero during a trial and if there was none.
type outcome struct {
	by     string
	undone time.Time
}

// Confirm keeps the policy that is on trial. It may be called from any goroutine, and blocks as
// Reload does. The error says why there is nothing to confirm, or that the daemon could not
// note the confirmation for the next start.
func (d *Daemon) Confirm(ctx context.Context, _ control.Confirmation) (control.Confirmed, error) {
	done := make(chan confirmAnswer, 1)
	select {
	case d.confirms <- done: // has no buffer: supervise has the request, and answers it
	case <-d.stopping:
		return control.Confirmed{}, errStopping
	case <-ctx.Done():
		return control.Confirmed{}, ctx.Err()
	}
	a := <-done
	return a.confirmed, a.err
}

type confirmAnswer struct {
	confirmed control.Confirmed
	err       error
}

// confirmByCommand answers a Confirm.
func (d *Daemon) confirmByCommand() confirmAnswer {
	switch {
	case d.guard != nil:
		return confirmAnswer{err: d.confirm(event.GuardConfirmed{})}
	case !d.outcome.undone.IsZero():
		return confirmAnswer{err: errors.New("too late: the policy was undone at " + d.outcome.undone.UTC().Format(time.RFC3339) +
			`, and the one before it is in force; to try again, run "nftknockd reload --guard 60s"`)}
	case d.outcome.by != "":
		return confirmAnswer{confirmed: control.Confirmed{Before: d.outcome.by}}
	}
	return confirmAnswer{err: errors.New("there is nothing to confirm: no policy is on trial")}
}

// confirm ends the trial: the policy stays. The error says that this could not be noted.
func (d *Daemon) confirm(by event.GuardConfirmed) error {
	d.guard, d.outcome = nil, outcome{by: by.By()}
	d.setCondition(conditionGuard, "")
	d.events.Emit(by)
	d.keepInForce()
	if err := d.noteConfirmed(); err != nil {
		return fmt.Errorf("the policy stays in force, but a daemon that starts will not run it: %w", err)
	}
	return nil
}

// proven confirms the policy on trial by a grant, if the grant is one of this policy.
func (d *Daemon) proven(p proof) {
	if d.guard != nil && d.guard.proves[p.access] {
		_ = d.confirm(event.GuardConfirmed{Source: p.source, Access: p.access.Name}) // was reported
	}
}

// over receives when the time of the trial is over; it is nil without one.
func (d *Daemon) over() <-chan time.Time {
	if d.guard == nil {
		return nil
	}
	return d.guard.over
}

// undoRetry is the time between an attempt to undo a policy that failed and the next.
const undoRetry = time.Second

// timeOver undoes the policy on trial, or arranges for another attempt.
func (d *Daemon) timeOver() {
	// A knock that was granted before counts, although select took this channel.
	select {
	case p := <-d.keeper.proofs:
		d.proven(p)
	default:
	}
	if d.guard == nil {
		return
	}
	if err := d.undo(""); err != nil {
		d.guard.over = time.After(undoRetry)
	}
}

// undo goes back from the policy on trial to the last confirmed one, or removes the table if
// there is none. why is empty if nobody confirmed the policy in time.
func (d *Daemon) undo(why string) error {
	g := d.guard
	before, left := d.plan.Policy, d.interfaces.left()
	var err error
	if g.first() {
		err = d.keeper.ask(removeTable{})
	} else {
		err = d.enforce(g.base, nil)
	}
	if err != nil {
		if text := err.Error(); text != g.failure {
			g.failure = text
			d.events.Emit(event.GuardUndoFailed{Err: err})
			d.setCondition(conditionGuard, "the policy on trial cannot be undone: "+text)
		}
		return err
	}
	d.guard, d.outcome = nil, outcome{undone: time.Now()}
	d.setCondition(conditionGuard, "")
	d.events.Emit(event.GuardUndone{Why: why, First: g.first()})
	if g.first() {
		d.removed = true
		d.end()
		return nil
	}
	d.tellOpened(before, left)
	d.bad, d.last = errors.New("it was on trial, and was undone at "+d.outcome.undone.UTC().Format(time.RFC3339)), g.last
	d.setCondition(conditionPolicy, "the policy in the files is not in force: "+d.bad.Error()+"; correct it and reload")
	return nil
}

// undoAtEnd undoes a policy on trial when the daemon ends: without a daemon, nobody could
// confirm or undo it.
func (d *Daemon) undoAtEnd(why string) {
	if d.guard != nil {
		_ = d.undo(why) // was reported
	}
}

// beginFirst begins the trial of a first policy, before it hides anything.
func (d *Daemon) beginFirst() error {
	if d.config.Guard == 0 {
		return nil
	}
	g := newGuard(d.config.Guard)
	if _, err := d.noteTrial(g); err != nil {
		return err
	}
	d.guard = g
	return nil
}

// openInTime is openAll. If the policy is the first one, its trial lasts from the moment when
// services are hidden: errGuardOver if it is over before all is open.
func (d *Daemon) openInTime(ctx context.Context) error {
	if d.guard == nil {
		return d.openAll(ctx)
	}
	opening, cancel := context.WithDeadlineCause(ctx, d.guard.until, errGuardOver)
	defer cancel()
	err := d.openAll(opening)
	if err != nil && ctx.Err() == nil && opening.Err() != nil {
		return errGuardOver
	}
	return err
}

// ErrUndone is the error of Run if the first policy of a host was undone: the table is removed,
// and nothing is hidden.
var ErrUndone = errors.New("the policy was on trial and is undone: nothing is hidden")

// errGuardOver: a first policy was not in force when its trial was over.
var errGuardOver = errors.New("the daemon was not ready in time")

// startFailed undoes a first policy, so that it does not stay hidden what nobody can open, and
// returns the error that Run returns for a start that failed. This is nil if the daemon was
// told to stop.
func (d *Daemon) startFailed(err error) error {
	if errors.Is(err, errStopping) {
		d.undoAtEnd("the daemon was stopped before anybody confirmed it")
		return nil
	}
	if d.guard == nil {
		return err
	}
	cause := err
	if start := (*StartError)(nil); errors.As(err, &start) {
		cause = start.Err
	}
	d.undoAtEnd(cause.Error())
	if d.removed {
		return fmt.Errorf("%w: %w", ErrUndone, cause) // and not a StartError: nothing stays hidden
	}
	return err
}
