package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nftknock/pkg/event"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/wording"
)

// setCondition sets or, with an empty text, clears a condition, and tells the service manager.
func (d *Daemon) setCondition(name, text string) {
	if text == "" {
		d.conditions.clear(name)
	} else {
		d.conditions.set(name, text)
	}
	d.tellStatus()
}

// tellStatus tells the service manager the status if it has changed.
func (d *Daemon) tellStatus() {
	text := d.status()
	if old := d.told.Swap(&text); old == nil || *old != text {
		d.config.Notify("STATUS=" + text)
	}
}

// status is the state of the daemon in one line, for the service manager: what is wrong, or
// how many accesses there are.
func (d *Daemon) status() string {
	var wrong []string
	for _, c := range d.conditions.list() {
		wrong = append(wrong, c.Text)
	}
	if len(wrong) == 0 {
		return wording.Count(len(d.keeper.plan().Accesses), "access", "accesses") + " watched"
	}
	// A line end would begin another variable of the message: see sd_notify(3).
	return strings.ReplaceAll(strings.Join(wrong, "; "), "\n", "; ")
}

// hidesBy says who hides the services of a policy.
func hidesBy(p *policy.Policy) event.Hides {
	return event.Hides{Elsewhere: p.NFTables.Mode == policy.ModeSet || p.NFTables.Mode == policy.ModeMark}
}

// remind reports that the policy in the files is not in force because it cannot be used, and
// does nothing otherwise.
func (d *Daemon) remind() {
	if d.bad == nil {
		return
	}
	e := event.LastPolicy{Err: brief(d.bad), Since: d.started}
	if d.last != nil {
		e.Path, e.Since = d.last.Path, d.last.Since
	}
	d.events.Emit(e)
	d.setCondition(conditionPolicy, "running the last policy that worked: "+brief(d.bad).Error())
}

// brief returns the first error of a policy that has several, and how many more there are. An
// unknown key goes before others: a misspelt one is missing under its right name, so that the
// other errors may be nothing but its consequences.
func brief(err error) error {
	var diags policy.Diagnostics
	if !errors.As(err, &diags) {
		return err
	}
	var first policy.Diagnostic
	n := 0
	for _, d := range diags {
		if d.Severity != policy.SeverityError {
			continue
		}
		if n++; n == 1 || d.Code == policy.CodeUnknownKey && first.Code != policy.CodeUnknownKey {
			first = d
		}
	}
	if n > 1 {
		return fmt.Errorf("%s (and %s: nftknockd check lists them)", first.Text(), wording.Count(n-1, "more error", "more errors"))
	}
	return errors.New(first.Text())
}

// filesInForce notes that the policy in the files is in force.
func (d *Daemon) filesInForce() {
	d.bad, d.last = nil, nil
	d.setCondition(conditionPolicy, "")
}

// keepInForce keeps the policy in force as the last one that worked: a daemon that cannot load
// its policy at the start runs that one. It is for a policy that is to stay, after it is in
// force. Only the goroutine of Run, and then that of supervise, may call it. It does not wait
// for the disk.
func (d *Daemon) keepInForce() {
	if d.last == nil { // otherwise it is kept already
		d.keeps.put(d.plan.Policy)
	}
}

// reportVoid reports which accesses of the plan in force no knock opens any more, and which
// work again, compared with another plan.
func (d *Daemon) reportVoid(before *plan.Plan) {
	was, is := reasons(before), reasons(d.plan)
	reported := 0
	for _, v := range d.plan.Void {
		if was[v.Name] == v.Reason.Error() {
			continue
		}
		if reported++; reported <= maxWarnings {
			d.events.Emit(event.AccessVoid{Access: v.Name, Hides: hidesBy(d.plan.Policy), Err: v.Reason})
		}
	}
	if reported > maxWarnings {
		d.events.Emit(event.AccessesVoidOmitted{Count: reported - maxWarnings})
	}
	for _, a := range d.plan.Accesses {
		if was[a.Name] != "" && is[a.Name] == "" {
			d.events.Emit(event.AccessRestored{Access: a.Name})
		}
	}
	text := ""
	if n := len(d.plan.Void); n > 0 {
		more := ""
		if n > 1 {
			more = " and " + wording.Count(n-1, "other", "others")
		}
		text = fmt.Sprintf("no knock opens access %q%s: %v", d.plan.Void[0].Name, more, d.plan.Void[0].Reason)
	}
	if text != "" || len(was) > 0 {
		d.setCondition(conditionAccesses, text)
	}
}

// reasons are why accesses of a plan are void, by name.
func reasons(p *plan.Plan) map[string]string {
	m := make(map[string]string, len(p.Void))
	for _, v := range p.Void {
		m[v.Name] = v.Reason.Error()
	}
	return m
}

// again is the answer of plan.Again for a plan.
type again struct {
	of   *plan.Plan
	next *plan.Plan // nil if nothing has changed
}

// lookAgain looks whether what was missing for the plan in force is there now, in another
// goroutine, since that may take seconds.
func (d *Daemon) lookAgain() {
	if len(d.plan.Void) == 0 || d.asked {
		return
	}
	d.asked = true
	of := d.plan
	go func() {
		next, err := of.Again()
		if err != nil {
			next = nil // of the plan in force, this is impossible
		}
		d.again <- again{of, next} // has room for one, and there is one at a time
	}()
}

// restore puts the plan of an answer into force, unless a reload has replaced the one it was
// made for. If it fails, lookAgain finds it again.
func (d *Daemon) restore(ctx context.Context, a again) {
	d.asked = false
	if a.next == nil || a.of != d.plan {
		return
	}
	if d.openStore(ctx, a.next) == nil {
		_ = d.enforce(a.next, d.guard) // of the same policy: it stays on trial if it is
	}
}
