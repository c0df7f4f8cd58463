package daemon_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/logger"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// Two accesses; a guard is about a change of web.
var (
	web80   = strings.NewReplacer("ssh", "web", "7", "8", "22", "80").Replace(ssh)
	bothOld = ssh + web80
	bothNew = ssh + strings.Replace(web80, "30s", "20s", 1)
)

// guarded puts a policy on trial.
func (r *rig) guarded(text string, guard time.Duration) []string {
	r.Helper()
	r.next, r.diags = text, nil
	done, err := r.daemon.Reload(context.Background(), control.Reload{Guard: guard})
	if err != nil {
		r.Fatal(err)
	}
	return done.Notes
}

func (r *rig) confirm() (control.Confirmed, error) {
	return r.daemon.Confirm(context.Background(), control.Confirmation{})
}

// timeouts returns the timeout of each running grant, by its source.
func (r *rig) timeouts() map[string]time.Duration {
	grants, err := r.gate.Grants()
	if err != nil {
		r.Fatal(err)
	}
	found := make(map[string]time.Duration)
	for _, g := range grants {
		found[g.Source.Addr().String()+" "+g.Service.String()] = g.Timeout
	}
	return found
}

func (r *rig) hides(service string) bool {
	return slices.ContainsFunc(r.gate.Ruleset().Protected, func(p port.Range) bool { return p.String() == service })
}

func TestAPolicyThatNobodyConfirmsIsUndone(t *testing.T) {
	r := start(t, bothOld)
	notes := r.guarded(ssh, time.Second)
	if !strings.Contains(strings.Join(notes, "\n"), "the policy is on trial: ") {
		t.Errorf("notes %q", notes)
	}
	r.log.await(t, "the policy on trial is undone: nobody confirmed it in time; the policy before it is in force again")
	r.knock(11, 8300, 8100, 8200)
	r.log.await(t, "granted 192.0.2.11 access to tcp/80 for 30s")
	if c := r.daemon.Conditions(); len(c) != 1 || c[0].Name != "policy" || !strings.Contains(c[0].Text, "not in force") {
		t.Errorf("conditions %+v", c)
	}
	if _, err := r.confirm(); err == nil || !strings.Contains(err.Error(), "too late: the policy was undone at ") {
		t.Errorf("a late confirm: %v", err)
	}
	// A reload without a guard is for good.
	if err := r.reload(bothNew); err != nil {
		t.Fatal(err)
	}
	if c := r.daemon.Conditions(); len(c) != 0 {
		t.Errorf("conditions after a reload %+v", c)
	}
	if _, err := r.confirm(); err != nil && !strings.Contains(err.Error(), "too late") {
		t.Errorf("confirm of nothing: %v", err)
	}
}

// Grants that the earlier policy does not allow end with the trial; the others stay.
func TestGrantsOfATrialKeepTheGuarantees(t *testing.T) {
	r := start(t, bothOld)
	r.guarded(ssh+strings.Replace(web80, `"web"`, `"other"`, 1)+strings.NewReplacer("ssh", "mail", "7", "9", "22", "25").Replace(ssh), 2*time.Second)
	// An access that is as before proves nothing about the changed ones.
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to tcp/22")
	r.log.await(t, "is undone")
	eventually(t, "the grant stays", func() bool { return r.timeouts()["192.0.2.10 tcp/22"] == 30*time.Second })
	if strings.Contains(r.log.String(), "confirmed by") {
		t.Errorf("an unchanged access confirmed the policy:\n%s", &r.log)
	}
	if r.hides("tcp/25") {
		t.Error("the table is that of the policy on trial")
	}
}

func TestAKnockConfirmsThePolicyOnTrial(t *testing.T) {
	for name, c := range map[string]struct {
		after string
		knock []uint16
	}{
		"of the access that changed":         {bothNew, []uint16{8300, 8100, 8200}},
		"of any access if none has changed":  {"[nftables]\nhide = \"reject\"\n" + bothOld, []uint16{7300, 7100, 7200}},
		"of any access if one was taken out": {ssh, []uint16{7300, 7100, 7200}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, bothOld)
			r.guarded(c.after, time.Second)
			r.knock(10, c.knock...)
			r.log.await(t, "the policy on trial is confirmed by a knock of 192.0.2.10")
			time.Sleep(1200 * time.Millisecond)
			if strings.Contains(r.log.String(), "undone") || len(r.daemon.Conditions()) != 0 {
				t.Errorf("undone although it was confirmed, %+v:\n%s", r.daemon.Conditions(), &r.log)
			}
			if done, err := r.confirm(); err != nil || done.Before != "a knock of 192.0.2.10" {
				t.Errorf("a confirm after it: %+v, %v", done, err)
			}
		})
	}
}

// A half-done knock of the policy before does not confirm, if its access has changed.
func TestAKnockForThePolicyBeforeConfirmsNothing(t *testing.T) {
	r := start(t, bothOld)
	r.guarded(ssh+strings.Replace(web80, "8200", "8400", 1), time.Second)
	r.knock(10, 8300, 8100, 8200)
	r.log.await(t, "is undone")
	if strings.Contains(r.log.String(), "confirmed by") {
		t.Error(&r.log)
	}
}

func TestACommandConfirmsThePolicyOnTrial(t *testing.T) {
	r := start(t, bothOld)
	if _, err := r.confirm(); err == nil || !strings.Contains(err.Error(), "no policy is on trial") {
		t.Errorf("nothing to confirm: %v", err)
	}
	r.guarded(bothNew, time.Second)
	if c := r.daemon.Conditions(); len(c) != 1 || c[0].Name != "guard" {
		t.Errorf("conditions %+v", c)
	}
	if done, err := r.confirm(); err != nil || done.Before != "" {
		t.Errorf("confirm: %+v, %v", done, err)
	}
	r.log.await(t, "the policy on trial is confirmed by command")
	time.Sleep(1200 * time.Millisecond)
	if strings.Contains(r.log.String(), "undone") || len(r.daemon.Conditions()) != 0 {
		t.Errorf("undone although it was confirmed:\n%s", &r.log)
	}
}

// The policy to go back to is the last confirmed one, whatever is reloaded meanwhile. A reload
// without a guard of its own is on trial, too.
func TestAReloadDuringAGuard(t *testing.T) {
	for name, guard := range map[string]time.Duration{"plain": 0, "with a guard": time.Second} {
		t.Run(name, func(t *testing.T) {
			r := start(t, bothOld)
			r.guarded(ssh, time.Second)
			if notes := r.guarded(bothNew, guard); len(notes) != 1 {
				t.Errorf("notes %q", notes)
			}
			// One that fails changes nothing about the trial.
			if err := r.reload("[nflog]\ngroup = 6\n" + ssh); err == nil {
				t.Error("the group was changed")
			}
			r.log.await(t, "is undone")
			r.knock(11, 8300, 8100, 8200)
			r.log.await(t, "granted 192.0.2.11 access to tcp/80 for 30s")
			if n := strings.Count(r.log.String(), "is undone"); n != 1 {
				t.Errorf("undone %d times", n)
			}
		})
	}
}

// A proof for a policy that another reload has replaced does not count.
func TestAProofIsForOnePolicy(t *testing.T) {
	r := start(t, bothOld)
	r.guarded(bothNew, time.Second)
	r.guarded(ssh+strings.Replace(web80, "30s", "10s", 1), 0)
	r.log.await(t, "is undone")
	r.knock(11, 8300, 8100, 8200)
	r.log.await(t, "granted 192.0.2.11 access to tcp/80 for 30s")
}

func TestABadPolicyWithAGuardChangesNothing(t *testing.T) {
	r := start(t, ssh)
	r.next, r.diags = ssh, policy.Diagnostics{{File: "test.toml", Severity: policy.SeverityError, Message: "this is wrong"}}
	if _, err := r.daemon.Reload(context.Background(), control.Reload{Guard: time.Second}); err == nil {
		t.Error("a bad policy came into force")
	}
	if c := r.daemon.Conditions(); slices.ContainsFunc(c, func(c control.Condition) bool { return c.Name == "guard" }) {
		t.Errorf("conditions %+v", c)
	}
	if strings.Contains(r.log.String(), "on trial") {
		t.Error(&r.log)
	}
}

// A policy that cannot be undone stays on trial until it can.
func TestAnUndoIsRetried(t *testing.T) {
	r := start(t, bothOld)
	r.guarded(ssh, time.Second)
	r.gate.fail(errors.New("the kernel will not"))
	r.log.await(t, "cannot be undone: the kernel will not; retrying every second")
	if c := r.daemon.Conditions(); len(c) != 1 || c[0].Name != "guard" || !strings.Contains(c[0].Text, "cannot be undone") {
		t.Errorf("conditions %+v", c)
	}
	time.Sleep(1500 * time.Millisecond)
	r.gate.fail(nil)
	r.log.await(t, "is undone")
	if n := strings.Count(r.log.String(), "cannot be undone"); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Without a daemon nobody could undo it.
func TestAStopDuringAGuardUndoes(t *testing.T) {
	r := start(t, bothOld)
	r.guarded(ssh, time.Minute)
	if r.hides("tcp/80") {
		t.Fatal("tcp/80 is still protected")
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if !r.hides("tcp/80") {
		t.Error("the table is that of the policy on trial")
	}
}

// notes records what is noted on disk.
type notes struct {
	mu   sync.Mutex
	said []string
	fail error
}

func (n *notes) say(what string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fail != nil {
		return n.fail
	}
	n.said = append(n.said, what)
	return nil
}

func (n *notes) failWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fail = err
}

func (n *notes) all() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.said, ", ")
}

func (n *notes) Begin(first bool) (func() error, error) {
	what := "trial"
	if first {
		what = "first trial"
	}
	return func() error { return n.say("cancelled") }, n.say(what)
}

func (n *notes) Confirm() error { return n.say("confirmed") }

// startNoted is start with a change of the daemon's configuration.
func startNoted(t *testing.T, text string, change func(*daemon.Config)) (r *rig, done <-chan error) {
	t.Helper()
	r = &rig{TB: t, source: nflog.NewFake(5), gate: newGate(t), next: text}
	p := parse(t, text)
	lines, _ := logger.New(&r.log, p.Log)
	c := daemon.Config{
		Policy: p, Events: told(lines), Load: r.load,
		OpenSource: func(nflog.Config) (nflog.Source, error) { return r.source, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return r.gate, nil },
	}
	change(&c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	r.daemon = daemon.New(c)
	go func() { ended <- r.daemon.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(cancel)
	return r, ended
}

// The note is on disk before the policy comes into force, and is gone when it is confirmed.
func TestATrialIsNoted(t *testing.T) {
	n := new(notes)
	r, _ := startNoted(t, bothOld, func(c *daemon.Config) { c.Notes, c.Noted = n, true })
	r.log.await(t, "ready: ")
	if n.all() != "confirmed" {
		t.Errorf("a note from before the start: %s", n.all())
	}
	n.failWith(errors.New("the disk is full"))
	r.next = bothNew
	if _, err := r.daemon.Reload(context.Background(), control.Reload{Guard: time.Minute}); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a trial that cannot be noted: %v", err)
	}
	n.failWith(nil)
	r.gate.fail(errors.New("the kernel will not"))
	if _, err := r.daemon.Reload(context.Background(), control.Reload{Guard: time.Minute}); err == nil {
		t.Error("a table was written")
	}
	r.gate.fail(nil)
	r.guarded(bothNew, time.Minute)
	n.failWith(errors.New("the disk is full"))
	if _, err := r.confirm(); err == nil || !strings.Contains(err.Error(), "stays in force, but a daemon that starts will not run it: the disk is full") {
		t.Errorf("a confirmation that cannot be noted: %v", err)
	}
	r.log.await(t, "a daemon that starts will not run it: the disk is full; correct that and reload")
	n.failWith(nil)
	if err := r.reload(bothNew); err != nil {
		t.Fatal(err)
	}
	if want := "confirmed, trial, cancelled, trial, confirmed"; n.all() != want {
		t.Errorf("noted %s, want %s", n.all(), want)
	}
}

// A first policy has none before it: all is undone, and the daemon ends well.
func TestAFirstPolicyThatNobodyConfirms(t *testing.T) {
	n := new(notes)
	r, ended := startNoted(t, ssh, func(c *daemon.Config) { c.Notes, c.Guard = n, time.Second })
	r.log.await(t, "ready: ")
	if r.gate.Ruleset() == nil {
		t.Error("nothing was hidden")
	}
	select {
	case err := <-ended:
		if !errors.Is(err, daemon.ErrUndone) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the daemon did not end")
	}
	if r.gate.Ruleset() != nil {
		t.Error("there is still a table")
	}
	r.log.await(t, "the table is removed, nothing is hidden, and the daemon ends")
	if strings.Contains(r.log.String(), "stay hidden") {
		t.Errorf("the log is wrong:\n%s", &r.log)
	}
	if n.all() != "first trial, first trial" {
		t.Errorf("noted %s", n.all())
	}
}

func TestAFirstPolicyThatIsConfirmedStays(t *testing.T) {
	n := new(notes)
	r, _ := startNoted(t, ssh, func(c *daemon.Config) { c.Notes, c.Guard = n, time.Second })
	r.log.await(t, "ready: ")
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "confirmed by a knock of 192.0.2.10")
	time.Sleep(1200 * time.Millisecond)
	if r.gate.Ruleset() == nil {
		t.Error("it was undone")
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if r.gate.Ruleset() == nil {
		t.Error("a stop has opened what was hidden")
	}
	if !strings.HasSuffix(n.all(), "confirmed") {
		t.Errorf("noted %s", n.all())
	}
}

// Whatever ends the first trial leaves nothing hidden.
func TestAFirstPolicyIsUndoneByAnyEnd(t *testing.T) {
	for name, taken := range map[string]error{"a stop": nil, "a group that is taken": errors.New("the group is taken")} {
		t.Run(name, func(t *testing.T) {
			r, ended := startNoted(t, ssh, func(c *daemon.Config) {
				c.Guard = time.Minute
				if taken != nil {
					c.Guard = time.Second
					c.OpenSource = func(nflog.Config) (nflog.Source, error) { return nil, taken }
				}
			})
			r.log.await(t, "ready: ")
			var err error
			if taken == nil {
				err = r.stop()
			} else if err = <-ended; errors.Is(err, daemon.ErrUndone) {
				err = nil
			}
			if err != nil || r.gate.Ruleset() != nil {
				t.Errorf("ended with %v and the table %v", err, r.gate.Ruleset())
			}
		})
	}
}

// The trial of a first policy begins when services are hidden, and not when all is ready.
func TestAFirstPolicyThatIsNotReadyInTime(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	r, ended := startNoted(t, ssh, func(c *daemon.Config) {
		c.Guard = time.Second
		load := c.Load
		c.Load = func() (*plan.Plan, policy.Diagnostics) { <-release; return load() }
	})
	select {
	case err := <-ended:
		if !errors.Is(err, daemon.ErrUndone) || !strings.Contains(err.Error(), "not ready in time") {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the daemon did not end")
	}
	if r.gate.Ruleset() != nil {
		t.Error("there is still a table")
	}
}
