package daemon

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// tell says what a knock showed and what it opened, in the order in which that
// was found: what was sealed is opened first, and a shared sequence is one only
// when all of it is right. It reports false where nothing was said, since the like
// has been said too often.
func (k *keeper) tell(d decision, a *policy.Access, granted []port.Range) bool {
	omitted, ok := k.granted.of(a.Knock).allow(time.Now(), nil)
	if !ok {
		return false
	}
	src := d.verdict.Source
	if a.Knock != policy.KnockShared {
		k.matched(src, a)
	}
	if a.RequireOS != nil {
		k.log.Info("OS guess: "+d.os()+" matched for "+src.String(),
			"event", "os", "src", src, "access", a.Name, "os", d.os(), "os_required", osRequired(a))
	}
	if user := d.user(); user != "" {
		k.log.Info("username "+user+" match", "event", "user", "src", src, "access", a.Name, "user", user)
	}
	if a.Knock == policy.KnockShared {
		k.matched(src, a)
	}
	for _, service := range granted {
		k.log.Info("granted "+who(grantee(d.allow(), a))+" access to "+service.String()+" for "+brief(d.timeout(a)),
			append(d.outcome("granted", a, service), omitted...)...)
		omitted = nil
	}
	return true
}

func (k *keeper) matched(src netip.Addr, a *policy.Access) {
	k.log.Info(opening(a)+src.String(), "event", "matched", "src", src, "access", a.Name, "knock", a.Knock)
}

// notGranted says that the gate could not let a knocker in.
func (k *keeper) notGranted(d decision, a *policy.Access, service port.Range, err error) {
	fields, ok := k.failed.of(a.Knock).allow(time.Now(), d.outcome("error", a, service))
	if !ok {
		return
	}
	k.log.Error("cannot grant "+who(grantee(d.allow(), a))+" access to "+service.String()+": "+err.Error(), fields...)
}

// unrecorded says that a knock is not honoured because it could not be recorded.
func (k *keeper) unrecorded(d decision, err error) {
	fields, ok := k.failed.of(d.knock()).allow(time.Now(), append(d.fields("error"), "reason", err.Error()))
	if !ok {
		return
	}
	k.log.Error("cannot record the knock of "+d.verdict.Source.String()+", so it opens nothing: "+err.Error(), fields...)
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
	fields, ok := k.refused.of(d.knock()).allow(time.Now(), fields)
	if !ok {
		return
	}
	k.log.Log(context.Background(), level, d.refusal(reason), fields...)
}

// resumed says that a grant of an earlier run goes on.
func (k *keeper) resumed(d door, access string, remaining time.Duration) {
	k.log.Info("access of "+d.who()+" to "+d.service.String()+" goes on for "+brief(remaining.Round(time.Second)),
		"event", "resumed", "src", d.who(), "access", access, "open", d.service.String())
}

// ended says that a grant is over. Of one that was never told of, that too is
// told only now and then.
func (k *keeper) ended(d door) {
	g, ok := k.doors.close(d)
	if !ok {
		return // extended while the message was on its way
	}
	fields := []any{"event", "ended", "src", d.who(), "access", g.access, "open", d.service.String(), "timeout", g.timeout.String()}
	if !g.told {
		if fields, ok = k.over.of(g.knock).allow(time.Now(), fields); !ok {
			return
		}
	}
	k.log.Info("access of "+d.who()+" to "+d.service.String()+" ended, "+brief(g.timeout)+" timeout exceeded", fields...)
}

// maxTold is how many grants the log names that go on over a restart, or that a
// change of the policy ends.
const maxTold = 100

// endings are grants that a change of the policy ended or shortened.
type endings []ending

type ending struct {
	door
	access, reason string
	left           time.Duration // of a grant that was only shortened
	to             []port.Range  // of one that was narrowed
}

// add takes one more.
func (list *endings) add(g gate.Grant, o objection) {
	e := ending{door: door{g.Source, g.Service}, access: g.Access, reason: o.reason}
	if len(o.instead) == 1 && o.instead[0].Service == g.Service {
		e.left = o.instead[0].Remaining
	} else {
		for _, less := range o.instead {
			e.to = append(e.to, less.Service)
		}
	}
	*list = append(*list, e)
}

// tellEndings says what a change of the policy ended.
func (k *keeper) tellEndings(list endings) {
	more := len(list) - maxTold
	if more > 0 {
		list = list[:maxTold]
	}
	for _, e := range list {
		event, became := "ended", "ended"
		switch {
		case e.left > 0:
			event, became = "shortened", "shortened to "+brief(e.left)
		case e.to != nil:
			event, became = "narrowed", "narrowed to "+joined(e.to)
		}
		k.log.Info("access of "+e.who()+" to "+e.service.String()+" "+became+": "+e.reason,
			"event", event, "src", e.who(), "access", e.access, "open", e.service.String(), "reason", e.reason)
	}
	if more > 0 {
		k.log.Info(count(more, "more grant", "more grants")+" ended or shortened by the policy", "event", "ended", "omitted", more)
	}
}
