package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
)

// keeper is the one goroutine that owns the gate. It carries out decisions,
// says when a grant has ended, repairs the table, and applies plans between
// the three.
type keeper struct {
	gate      gate.Gate
	recorder  *recorder
	log       *slog.Logger
	plan      *Plan // what the table says
	decisions <-chan decision
	orders    chan order
	doors     doors
	stopped   chan struct{}

	changes <-chan struct{}  // by other processes
	repairs *rate.Limiter    // against a process that changes it back each time
	again   <-chan time.Time // when to try another repair
	failure string           // of the last repair

	refused, failed limiter // what strangers can cause
}

// order asks the keeper to make the table say something else.
type order struct {
	plan *Plan
	done chan<- error
}

func newKeeper(g gate.Gate, log *slog.Logger, plan *Plan, r *recorder, decisions <-chan decision) *keeper {
	return &keeper{
		gate:      g,
		recorder:  r,
		log:       log,
		plan:      plan,
		decisions: decisions,
		orders:    make(chan order),
		doors:     newDoors(),
		stopped:   make(chan struct{}),
		changes:   g.Changes(),
		repairs:   rate.NewLimiter(10, 20),
		refused:   limiter{limit: rate.NewLimiter(5, 20)},
		failed:    limiter{limit: rate.NewLimiter(5, 20)},
	}
}

// run works until there are no more decisions to come and the last of them is
// recorded. Nothing in it waits for a log, a disk or a listing of what others
// write.
func (k *keeper) run() error {
	defer k.doors.stop()
	defer k.recorder.leave()
	var tooLate <-chan time.Time
	for {
		select {
		case d, ok := <-k.decisions:
			if !ok {
				k.decisions, tooLate = nil, time.After(diskPatience)
				k.recorder.finish()
				continue
			}
			k.decide(d)
		case a, ok := <-k.recorder.answers:
			if !ok {
				return nil
			}
			k.recorded(a)
		case <-tooLate:
			k.log.Error("the disk does not answer: knocks that wait to be recorded are dropped", "event", "error")
			return nil
		case d := <-k.doors.ends:
			k.ended(d)
		case o := <-k.orders:
			o.done <- k.apply(o.plan)
		case <-k.changes:
			k.repair()
		case <-k.again:
			k.repair()
		}
	}
}

// diskPatience is how long the end waits for the disk.
const diskPatience = time.Second

// adopt has the keeper's goroutine bring the table to another plan.
func (k *keeper) adopt(p *Plan) error {
	done := make(chan error, 1)
	k.orders <- order{p, done}
	return <-done
}

func (k *keeper) apply(p *Plan) error {
	if err := k.gate.Apply(p.Ruleset); err != nil {
		return err
	}
	k.plan = p
	return nil
}

// decide acts on a verdict, or has it recorded first: it is on disk before
// anything is open.
func (k *keeper) decide(d decision) {
	v := &d.verdict
	if !v.Granted() {
		k.discard(d, d.reason())
		return
	}
	a, ok := k.current(d)
	if !ok {
		k.discard(d, changedMeanwhile)
		return
	}
	spend, any := toSpend(a, v)
	if !any {
		k.admit(d, a)
		return
	}
	if err := k.recorder.submit(record{d, a, spend}); err != nil {
		k.notRecorded(d, err)
	}
}

// changedMeanwhile is the reason for refusing a knock whose access is not what it
// was when the knock began.
const changedMeanwhile = "the access was changed by a reload meanwhile"

// recorded acts on a verdict that the store has answered.
func (k *keeper) recorded(r answer) {
	switch a, ok := k.current(r.decision); {
	case r.access == nil: // refused already
		if r.err != nil && !isRefusal(r.err) {
			k.unrecorded(r.decision, r.err)
		}
	case r.err != nil:
		k.notRecorded(r.decision, r.err)
	case !ok:
		k.refuse(r.decision, changedMeanwhile)
	default:
		k.admit(r.decision, a)
	}
}

// notRecorded refuses a knock that may not be honoured, or cannot be recorded.
func (k *keeper) notRecorded(d decision, err error) {
	if isRefusal(err) {
		k.refuse(d, refusalOf(err))
		return
	}
	k.unrecorded(d, err)
}

// admit lets a knocker in.
func (k *keeper) admit(d decision, a *policy.Access) {
	k.tell(d, a)
	for _, service := range d.open(a) {
		k.grant(door{d.allow(), service}, a, d)
	}
}

// discard refuses a knock for good.
func (k *keeper) discard(d decision, reason string) {
	if spend, any := toBurn(&d.verdict); any {
		// Without room its token is remembered as lost, which does as well.
		_ = k.recorder.submit(record{d, nil, spend})
	}
	k.refuse(d, reason)
}

// tell says what a knock showed, before it is let in: what was sealed is opened
// first, and a shared sequence is one only when all of it is right.
func (k *keeper) tell(d decision, a *policy.Access) {
	src := d.verdict.Source
	matched := func() {
		k.log.Info(opening(a)+src.String(), "event", "matched", "src", src, "access", a.Name, "knock", a.Knock)
	}
	if a.Knock != policy.KnockShared {
		matched()
	}
	if a.RequireOS != nil {
		k.log.Info("OS guess: "+d.os()+" matched for "+src.String(),
			"event", "os", "src", src, "access", a.Name, "os", d.os(), "os_required", osRequired(a))
	}
	if user := d.user(); user != "" {
		k.log.Info("username "+user+" match", "event", "user", "src", src, "access", a.Name, "user", user)
	}
	if a.Knock == policy.KnockShared {
		matched()
	}
}

// unrecorded says that a knock is not honoured because it could not be recorded.
func (k *keeper) unrecorded(d decision, err error) {
	fields, ok := k.failed.allow(time.Now(), append(d.fields("error"), "reason", err.Error()))
	if !ok {
		return
	}
	k.log.Error("cannot record the knock of "+d.verdict.Source.String()+", so it opens nothing: "+err.Error(), fields...)
}

// current is the access of a decision as the plan has it that the table
// follows: a reload may have come in between.
func (k *keeper) current(d decision) (a *policy.Access, ok bool) {
	if d.plan == k.plan {
		return d.access(), true
	}
	i := slices.IndexFunc(k.plan.Accesses, d.access().Equal)
	if i < 0 {
		return nil, false
	}
	return k.plan.Accesses[i], true
}

func (k *keeper) grant(to door, a *policy.Access, d decision) {
	timeout := d.timeout(a)
	g := gate.Grant{
		Source:  to.source,
		Service: to.service,
		Timeout: timeout,
		Comment: a.Name + " " + string(a.Knock),
	}
	err := k.gate.Grant(g)
	if errors.Is(err, gate.ErrNoTable) {
		k.putBack()
		err = k.gate.Grant(g)
	}
	fields := []any{"event", "granted", "src", to.source, "access", a.Name, "knock", a.Knock,
		"open", to.service.String(), "timeout", timeout.String()}
	if to.source != d.verdict.Source {
		fields = append(fields, "by", d.verdict.Source)
	}
	if os := d.os(); os != "" {
		fields = append(fields, "os", os)
	}
	if user := d.user(); user != "" {
		fields = append(fields, "user", user)
	}
	if err != nil {
		fields, ok := k.failed.allow(time.Now(), fields)
		if !ok {
			return
		}
		fields[1] = "error"
		k.log.Error("cannot grant "+to.source.String()+" access to "+to.service.String()+": "+err.Error(), fields...)
		return
	}
	k.log.Info("granted "+to.source.String()+" access to "+to.service.String()+" for "+brief(timeout), fields...)
	k.doors.open(to, a.Name, timeout, timeout)
}

// refuse says why a knock failed, as long as strangers do not make it say so
// too often. A single stray packet is no knock.
func (k *keeper) refuse(d decision, reason string) {
	level := slog.LevelInfo
	if d.stray() {
		level = slog.LevelDebug
	}
	if !k.log.Enabled(context.Background(), level) {
		return
	}
	fields := append(d.fields("refused"), "reason", reason, "step", d.verdict.Step)
	if a := d.access(); a != nil && a.RequireOS != nil {
		fields = append(fields, "os", d.os(), "os_required", osRequired(a))
	}
	if req := d.verdict.Request; req != nil {
		fields = append(fields, "user", req.User, "clock_difference_s", req.Clock.Seconds())
	}
	fields, ok := k.refused.allow(time.Now(), fields)
	if !ok {
		return
	}
	k.log.Log(context.Background(), level, d.refusal(reason), fields...)
}

// resume takes up the grants that an earlier run left in the kernel.
func (k *keeper) resume() {
	grants, err := k.gate.Grants()
	if err != nil {
		// The table stands; what runs in it matters to the log alone.
		k.log.Warn("cannot list running grants: "+err.Error(), "event", "error")
	}
	for _, g := range grants {
		access, _ := cutComment(g.Comment)
		d := door{g.Source, k.plan.service(access, g.Service)}
		if !k.doors.open(d, access, g.Timeout, g.Remaining) {
			continue // another port of the same service
		}
		k.log.Info("access of "+d.source.String()+" to "+d.service.String()+" goes on for "+brief(g.Remaining.Round(time.Second)),
			"event", "resumed", "src", d.source, "access", access, "open", d.service.String())
	}
}

func (k *keeper) ended(d door) {
	r, ok := k.doors.close(d)
	if !ok {
		return // extended while the message was on its way
	}
	k.log.Info("access of "+d.source.String()+" to "+d.service.String()+" ended, "+brief(r.timeout)+" timeout exceeded",
		"event", "ended", "src", d.source, "access", r.access, "open", d.service.String(), "timeout", r.timeout.String())
}
