package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
)

// keeper is the one goroutine that owns the gate. It carries out decisions,
// says when a grant has ended, and applies rulesets between the two.
type keeper struct {
	gate      gate.Gate
	log       *slog.Logger
	decisions <-chan decision
	orders    chan order
	ends      chan door

	stopped chan struct{}

	running map[door]*running
	refused limiter
}

// door is what one element of the granted sets opens.
type door struct {
	source  netip.Addr
	service gate.Service
}

// running is a grant the kernel has a timer for, and our own timer for the
// line in the log: the kernel tells nobody when an element expires.
type running struct {
	access  string
	timeout time.Duration
	until   time.Time
	timer   *time.Timer
}

// order asks the keeper to make the table say something else.
type order struct {
	ruleset *gate.Ruleset
	done    chan<- error
}

func newKeeper(g gate.Gate, log *slog.Logger, decisions <-chan decision) *keeper {
	return &keeper{
		gate:      g,
		log:       log,
		decisions: decisions,
		orders:    make(chan order),
		ends:      make(chan door),
		stopped:   make(chan struct{}),
		running:   make(map[door]*running),
		refused:   limiter{limit: rate.NewLimiter(5, 20)},
	}
}

// run works until there are no more decisions to come.
func (k *keeper) run() error {
	defer close(k.stopped)
	for {
		select {
		case d, ok := <-k.decisions:
			if !ok {
				return nil
			}
			k.decide(d)
		case d := <-k.ends:
			k.ended(d)
		case o := <-k.orders:
			o.done <- k.gate.Apply(o.ruleset)
		}
	}
}

// apply has the keeper's goroutine apply a ruleset.
func (k *keeper) apply(ctx context.Context, r *gate.Ruleset) error {
	done := make(chan error, 1)
	select {
	case k.orders <- order{r, done}:
		return <-done
	case <-k.stopped:
		return ctx.Err()
	}
}

// decide acts on a verdict.
func (k *keeper) decide(d decision) {
	a := d.plan.Accesses[d.verdict.Access]
	if !d.verdict.Granted() {
		k.refuse(d, a)
		return
	}
	src := d.verdict.Source
	if a.RequireOS != nil {
		k.log.Info("OS guess: "+d.os()+" matched for "+src.String(),
			"event", "os", "src", src, "access", a.Name, "os", d.os(), "os_required", osRequired(a))
	}
	k.log.Info("port knock access sequence matched for "+src.String(),
		"event", "matched", "src", src, "access", a.Name, "knock", a.Knock)
	for _, service := range a.Open {
		k.grant(door{src, service}, a, d.os())
	}
}

func (k *keeper) grant(d door, a *policy.Access, os string) {
	err := k.gate.Grant(gate.Grant{
		Source:  d.source,
		Service: d.service,
		Timeout: a.Timeout,
		Comment: a.Name + " " + string(a.Knock),
	})
	fields := []any{"event", "granted", "src", d.source, "access", a.Name, "knock", a.Knock,
		"open", d.service.String(), "timeout", a.Timeout.String()}
	if os != "" {
		fields = append(fields, "os", os)
	}
	if err != nil {
		fields[1] = "error"
		k.log.Error("cannot grant "+d.source.String()+" access to "+d.service.String()+": "+err.Error(), fields...)
		return
	}
	k.log.Info("granted "+d.source.String()+" access to "+d.service.String()+" for "+brief(a.Timeout), fields...)
	k.watch(d, a.Name, a.Timeout, a.Timeout)
}

// refuse says why a knock failed, as long as strangers do not make it say so
// too often. A single stray packet is no knock.
func (k *keeper) refuse(d decision, a *policy.Access) {
	v := d.verdict
	level := slog.LevelInfo
	if v.Step < 2 {
		level = slog.LevelDebug
	}
	if !k.log.Enabled(context.Background(), level) {
		return
	}
	ok, omitted := k.refused.allow(time.Now())
	if !ok {
		return
	}
	fields := []any{"event", "refused", "src", v.Source, "access", a.Name, "knock", a.Knock,
		"reason", v.Reason.String(), "step", v.Step}
	if a.RequireOS != nil {
		fields = append(fields, "os", d.os(), "os_required", osRequired(a))
	}
	if omitted > 0 {
		fields = append(fields, "omitted", omitted)
	}
	k.log.Log(context.Background(), level, refusal(d, a), fields...)
}

// watch sets the timer for the line that tells of a grant's end.
func (k *keeper) watch(d door, access string, timeout, remaining time.Duration) {
	if old := k.running[d]; old != nil {
		if time.Until(old.until) > remaining {
			return // the gate never shortens a grant
		}
		old.timer.Stop()
	}
	k.running[d] = &running{
		access:  access,
		timeout: timeout,
		until:   time.Now().Add(remaining),
		timer:   time.AfterFunc(remaining, func() { k.ring(d) }),
	}
}

// ring tells the keeper's goroutine that a timer has run out.
func (k *keeper) ring(d door) {
	select {
	case k.ends <- d:
	case <-k.stopped:
	}
}

func (k *keeper) ended(d door) {
	r := k.running[d]
	if r == nil || time.Now().Before(r.until) {
		return // extended while the message was on its way
	}
	delete(k.running, d)
	k.log.Info("access of "+d.source.String()+" to "+d.service.String()+" ended, "+brief(r.timeout)+" timeout exceeded",
		"event", "ended", "src", d.source, "access", r.access, "open", d.service.String(), "timeout", r.timeout.String())
}

// resume takes up the grants that an earlier run left in the kernel.
func (k *keeper) resume(grants []gate.Grant) {
	for _, g := range grants {
		d := door{g.Source, g.Service}
		access, _ := cutComment(g.Comment)
		k.watch(d, access, g.Timeout, g.Remaining)
		k.log.Info("access of "+d.source.String()+" to "+d.service.String()+" goes on for "+brief(g.Remaining.Round(time.Second)),
			"event", "resumed", "src", d.source, "access", access, "open", d.service.String())
	}
}
