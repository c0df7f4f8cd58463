package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/logger"
	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
)

const ssh = `[[access]]
name = "ssh"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/22"]
timeout = "30s"
`

// datagram is an IPv4 UDP packet from 192.0.2.host.
func datagram(host byte, port uint16) []byte {
	return []byte{
		0x45, 0, 0, 28, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, host, 203, 0, 113, 1,
		0x9c, 0x40, byte(port >> 8), byte(port), 0, 8, 0, 0,
	}
}

// parse reads a policy without a control socket.
func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, diags := policy.Parse("test.toml", []byte("[control]\nsocket = \"\"\n"+text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

func planOf(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := plan.New(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// buffer is a log that one goroutine writes and another reads.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await polls until the buffer holds text after the given offset.
func (b *buffer) await(t testing.TB, text string) {
	t.Helper()
	for range 2000 {
		if strings.Contains(b.String(), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %q in\n%s", text, b)
}

// eventually polls until something holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("not in 10 s: %s", what)
}

// brokenGate is a Fake whose Apply, Repair and Grant can be made to fail.
type brokenGate struct {
	*gate.Fake
	mu     sync.Mutex
	broken error
	once   map[string]error // of the next "list", "revoke" or "revoke SERVICE", or why "flush" follows it
	slow   atomic.Int64     // how long a Revoke or Withdraw takes
	// revoked counts the calls of Revoke and Withdraw that succeeded.
	revoked atomic.Int64
	closed  bool
}

// failOnce has one call fail.
func (g *brokenGate) failOnce(what string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.once = map[string]error{what: err}
}

func (g *brokenGate) failureOf(what string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.once[what]
	delete(g.once, what)
	return err
}

func (g *brokenGate) Grants() ([]gate.Grant, error) {
	if err := g.failureOf("list"); err != nil {
		return nil, err
	}
	return g.Fake.Grants()
}

func (g *brokenGate) Revoke(source netip.Prefix, s port.Range) (ended []gate.Grant, err error) {
	err = g.ending(s, func() (err error) {
		ended, err = g.Fake.Revoke(source, s)
		return err
	})
	return ended, err
}

func (g *brokenGate) Withdraw(grant gate.Grant) error {
	return g.ending(grant.Service, func() error { return g.Fake.Withdraw(grant) })
}

func (g *brokenGate) ending(s port.Range, end func() error) error {
	if err := g.failureOf("revoke"); err != nil {
		return err
	}
	if err := g.failureOf("revoke " + s.String()); err != nil {
		return err
	}
	time.Sleep(time.Duration(g.slow.Load()))
	err := end()
	if err == nil {
		g.revoked.Add(1)
	}
	if g.failureOf("flush") != nil {
		g.Flush()
	}
	return err
}

func (g *brokenGate) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.broken = err
}

func (g *brokenGate) failure() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}

func (g *brokenGate) Apply(r *gate.Ruleset) error {
	if err := g.failure(); err != nil {
		return err
	}
	return g.Fake.Apply(r)
}

func (g *brokenGate) Repair() (bool, error) {
	if err := g.failure(); err != nil {
		return false, err
	}
	return g.Fake.Repair()
}

func (g *brokenGate) Grant(what gate.Grant) error {
	if err := g.failure(); err != nil {
		return err
	}
	return g.Fake.Grant(what)
}

func (g *brokenGate) Close() error {
	g.closed = true
	return g.Fake.Close()
}

// rig is a daemon on fakes.
type rig struct {
	testing.TB
	log, states buffer
	source      *nflog.Fake
	gate        *brokenGate
	daemon      *daemon.Daemon
	next        string // for the next reload
	diags       policy.Diagnostics
	stop        func() error
}

// newGate makes a gate without a table.
func newGate(t testing.TB) *brokenGate {
	t.Helper()
	fake, err := gate.NewFake(gate.Config{Table: "nftknock"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &brokenGate{Fake: fake}
}

// told has the events of a daemon written to a log.
func told(lines *slog.Logger) *event.Dispatcher {
	return event.NewDispatcher(nil, event.NewLog(lines))
}

func start(t *testing.T, text string) *rig {
	t.Helper()
	return startOn(t, newGate(t), text)
}

func startOn(t *testing.T, g *brokenGate, text string) *rig {
	t.Helper()
	return startWith(t, g, nil, text)
}

func startWith(t *testing.T, g *brokenGate, store spent.Spender, text string) *rig {
	t.Helper()
	r := &rig{TB: t, source: nflog.NewFake(5), gate: g, next: text}
	p := parse(t, text)
	lines, level := logger.New(&r.log, p.Log)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	r.daemon = daemon.New(daemon.Config{
		Policy: p, Events: told(lines),
		SetLogLevel: func(l policy.LogLevel) { level.Set(logger.Level(l)) },
		Load:        r.load,
		OpenSource:  func(nflog.Config) (nflog.Source, error) { return r.source, nil },
		OpenGate:    func(gate.Config) (gate.Gate, error) { return r.gate, nil },
		OpenStore:   func(string) (spent.Spender, error) { return store, nil },
		Notify:      func(s string) { fmt.Fprintln(&r.states, s) },
	})
	go func() { done <- r.daemon.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = r.stop() })
	r.log.await(t, "ready: ")
	return r
}

func (r *rig) knock(host byte, ports ...uint16) {
	for _, port := range ports {
		r.source.Log(nflog.Record{Group: 5, Time: time.Now(), Payload: datagram(host, port)})
	}
}

func (r *rig) load() (*plan.Plan, policy.Diagnostics) {
	if r.diags.HasErrors() {
		return nil, r.diags
	}
	return planOf(r, r.next), r.diags
}

// reload takes up a policy, with these diagnostics about it.
func (r *rig) reload(text string, diags ...policy.Diagnostic) error {
	r.Helper()
	r.next, r.diags = text, diags
	_, err := r.daemon.Reload(context.Background(), control.Reload{})
	return err
}

func TestAKnockIsGrantedAndLogged(t *testing.T) {
	for format, want := range map[string][]string{
		"text": {
			"port knock access sequence matched for 192.0.2.10 [event=matched src=192.0.2.10 access=ssh knock=shared]\n",
			"granted 192.0.2.10 access to tcp/22 for 30s [event=granted src=192.0.2.10 access=ssh knock=shared open=tcp/22 timeout=30s]\n",
		},
		"json": {
			`"msg":"port knock access sequence matched for 192.0.2.10","event":"matched","src":"192.0.2.10"`,
			`"msg":"granted 192.0.2.10 access to tcp/22 for 30s","event":"granted"`,
		},
	} {
		t.Run(format, func(t *testing.T) {
			r := start(t, "[log]\nformat = \""+format+"\"\n"+ssh)
			r.knock(10, 7300, 7100, 7200)
			for _, line := range want {
				r.log.await(t, line)
			}
			grants, err := r.gate.Grants()
			if err != nil || len(grants) != 1 || grants[0].Source != netip.MustParsePrefix("192.0.2.10/32") || grants[0].Timeout != 30*time.Second {
				t.Errorf("grants %+v, %v", grants, err)
			}
			if err := r.stop(); err != nil {
				t.Errorf("stopped with %v", err)
			}
			for _, state := range []string{"READY=1", "STOPPING=1"} {
				r.states.await(t, state)
			}
		})
	}
}

func TestRefusalsAreLoggedNotTooOften(t *testing.T) {
	r := start(t, ssh)
	for host := range byte(100) {
		r.knock(host, 7300, 7100, 7101) // 7101: a tripwire beside a knock port
	}
	r.log.await(t, "port knock access sequence refused for 192.0.2.0: sent a packet to a tripwire port")
	r.knock(200, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.200 ")
	if n := strings.Count(r.log.String(), "refused for"); n < 20 || n > 40 {
		t.Errorf("%d refusals logged of 100, want the first twenty and few more", n)
	}
	if err := r.stop(); err != nil || !strings.Contains(r.log.String(), " about refused knocks left out") {
		t.Errorf("%v, want the others counted at the end", err)
	}
}

func TestReloadThatFailsKeepsTheOldPolicy(t *testing.T) {
	r := start(t, ssh)
	r.knock(10, 7300)
	fails := func(why, text string, diags ...policy.Diagnostic) {
		t.Helper()
		if err := r.reload(text, diags...); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("reload: %v, want %q", err, why)
		}
		r.log.await(t, "error: reload failed, the old policy remains in force: "+why)
		r.states.await(t, "STATUS=the policy in the files is not in force, an earlier one is: "+strings.Replace(why, " error:", "", 1))
	}
	fails("test.toml:3:1: error: this is wrong", ssh,
		policy.Diagnostic{File: "test.toml", Line: 3, Column: 1, Severity: policy.SeverityError, Message: "this is wrong"})
	r.gate.fail(errors.New("the kernel will not"))
	fails("the kernel will not", strings.Replace(ssh, "7200", "9000", 1))
	r.gate.fail(nil)
	for key, change := range map[string]string{
		"group":   "[nflog]\ngroup = 6\n",
		"workers": "[nflog]\nworkers = 2\n",
		"table":   "[nftables]\ntable = \"other\"\n",
		"owner":   "[nftables]\nowner = \"off\"\n",
		"label":   "[nftables]\nlabel = 101\n",
		"format":  "[log]\nformat = \"json\"\n",
	} {
		if err := r.reload(change + ssh); err == nil || !strings.Contains(err.Error(), key+" cannot change while running: restart the service") {
			t.Errorf("%s: %v", key, err)
		}
	}
	r.knock(10, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 ")
}

func TestReloadThatSucceedsKeepsHalfDoneKnocks(t *testing.T) {
	r := start(t, ssh)
	r.knock(10, 7300, 7100)
	err := r.reload(ssh+strings.NewReplacer("ssh", "web", "7", "8", "22", "80").Replace(ssh),
		policy.Diagnostic{File: "test.toml", Line: 7, Column: 2, Severity: policy.SeverityWarning, Message: "weak", Hint: "make it strong"})
	if err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "reloaded: table inet nftknock, NFLOG group 5, 2 accesses")
	r.log.await(t, "warn: test.toml:7:2: weak; make it strong [event=policy ")
	r.knock(10, 7200)
	r.log.await(t, "granted 192.0.2.10 access to tcp/22 for 30s")
	r.knock(11, 8300, 8100, 8200)
	r.log.await(t, "granted 192.0.2.11 access to tcp/80 for 30s")
}

// A knock that was completed under a policy that a reload has replaced counts
// if its access has stayed what it was, and only then.
func TestADecisionMeetsTheNewPolicy(t *testing.T) {
	for name, c := range map[string]struct{ after, want string }{
		"same":    {"[log]\nlevel = \"debug\"\n" + ssh, "granted 192.0.2.10 access to tcp/22 for 30s"},
		"changed": {strings.Replace(ssh, "30s", "5s", 1), "refused for 192.0.2.10: the access was changed by a reload meanwhile"},
		"gone":    {strings.Replace(ssh, `"ssh"`, `"other"`, 1), "refused for 192.0.2.10: the access was changed by a reload meanwhile"},
	} {
		for moment, decide := range map[string]func(*event.Dispatcher, gate.Gate, *plan.Plan, *plan.Plan, knock.Verdict){
			"after": daemon.DecideAfterReload, "before": daemon.DecideBeforeReload,
		} {
			t.Run(name+" "+moment, func(t *testing.T) {
				var log buffer
				lines, _ := logger.New(&log, policy.Log{})
				before, after := planOf(t, ssh), planOf(t, c.after)
				g := newGate(t)
				if err := g.Apply(before.Ruleset); err != nil {
					t.Fatal(err)
				}
				decide(told(lines), g, before, after, knock.Verdict{Source: netip.MustParseAddr("192.0.2.10"), Step: 3})
				log.await(t, c.want)
			})
		}
	}
}

func TestATableThatOthersTookAwayIsPutBack(t *testing.T) {
	r := start(t, ssh)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 ")
	r.gate.Flush()
	r.log.await(t, "warn: table inet nftknock was changed by another process and is restored")
	if list, err := r.gate.Grants(); err != nil || len(list) != 1 {
		t.Errorf("grants %+v, %v; want the running one", list, err)
	}

	// While that is impossible the log says so once, and tries go on.
	r.gate.fail(errors.New("the kernel will not"))
	r.gate.Flush()
	r.log.await(t, "error: services may be open to everyone: cannot restore table inet nftknock, which another process changed: the kernel will not")
	r.knock(11, 7300, 7100, 7200)
	r.log.await(t, "error: cannot grant 192.0.2.11 access to tcp/22: the kernel will not")
	r.gate.fail(nil)
	for range 2000 {
		if r.gate.Ruleset() != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.knock(12, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.12 ")
	if n := strings.Count(r.log.String(), "services may be open"); n != 1 {
		t.Errorf("said %d times that services may be open, want once", n)
	}
}

// A process that takes the table away again and again does not keep the
// daemon from its work, nor fill the log.
func TestRepairsAreBounded(t *testing.T) {
	r := start(t, ssh)
	for range 200 {
		r.gate.Flush()
		time.Sleep(time.Millisecond)
	}
	for range 2000 {
		if r.gate.Ruleset() != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if r.gate.Ruleset() == nil {
		t.Error("in the end the table does not exist")
	}
	if n := strings.Count(r.log.String(), "is restored"); n < 20 || n > 22 {
		t.Errorf("said %d times of 200 flushes, want the first twenty and hardly more", n)
	}
}

const ranges = `[[access]]
name = "web"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/8000-8010", "udp/53"]
timeout = "2s"
`

// After a restart a range is one door again, as it was before, and a knock
// that renews it leaves no line of an end that did not come.
func TestRangesAfterARestart(t *testing.T) {
	g := newGate(t)
	p := planOf(t, ranges)
	if err := g.Apply(p.Ruleset); err != nil {
		t.Fatal(err)
	}
	src := netip.MustParseAddr("192.0.2.10")
	for _, s := range p.Accesses[0].Open {
		if err := g.Grant(gate.Grant{Source: gate.Host(src), Service: s, Timeout: time.Second, Access: "web", Method: "shared"}); err != nil {
			t.Fatal(err)
		}
	}
	r := startOn(t, g, ranges)
	r.log.await(t, "access of 192.0.2.10 to tcp/8000-8010 continues for 1s")
	r.log.await(t, "access of 192.0.2.10 to udp/53 continues for 1s")
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to tcp/8000-8010 for 2s")
	r.log.await(t, "access of 192.0.2.10 to tcp/8000-8010 ended, 2s timeout exceeded")
	r.log.await(t, "access of 192.0.2.10 to udp/53 ended, 2s timeout exceeded")
	if n := strings.Count(r.log.String(), " ended, "); n != 2 {
		t.Errorf("%d lines of an end, want 2:\n%s", n, &r.log)
	}
	if n := strings.Count(r.log.String(), " continues "); n != 2 {
		t.Errorf("%d lines of what continues, want 2:\n%s", n, &r.log)
	}
}

// Two accesses that open the same port are one door.
func TestTheLongerOfTwoGrantsEnds(t *testing.T) {
	r := start(t, strings.Replace(ssh, "30s", "1s", 1)+`[[access]]
name = "wide"
sequence = ["udp/8300", "udp/8100", "udp/8200"]
open = ["tcp/20-30"]
timeout = "2s"
`)
	r.knock(10, 7300, 7100, 7200, 8300, 8100, 8200, 7300, 7100, 7200)
	r.log.await(t, "access of 192.0.2.10 to tcp/20-30 ended, 2s timeout exceeded")
	if strings.Contains(r.log.String(), "to tcp/22 ended") {
		t.Errorf("tcp/22 is said to have ended while it was open:\n%s", &r.log)
	}
}

func TestWhatCannotBeginChangesNothing(t *testing.T) {
	g := newGate(t)
	g.fail(errors.New("no table"))
	c := daemon.Config{
		Policy:     parse(t, ssh),
		OpenSource: func(nflog.Config) (nflog.Source, error) { t.Error("nflog was opened"); return nil, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return g, nil },
	}
	if err := daemon.New(c).Run(context.Background()); err == nil || err.Error() != "no table" {
		t.Errorf("bad table: %v", err)
	}
	if !g.closed {
		t.Error("the gate was left open")
	}
	c.OpenGate = func(gate.Config) (gate.Gate, error) { t.Error("the gate was opened"); return g, nil }
	c.Policy.Control.Socket = filepath.Join(t.TempDir(), "control.sock")
	other, err := control.Listen(c.Policy.Control.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := daemon.New(c).Run(context.Background()); !errors.Is(err, control.ErrRunning) {
		t.Errorf("a second daemon: %v", err)
	}
	c.Policy = parse(t, ssh+"enabled = false\n")
	if err := daemon.New(c).Run(context.Background()); !errors.Is(err, plan.ErrNothing) {
		t.Errorf("nothing to do: %v", err)
	}
}

// The table is written before all else, and nothing else that fails ends the daemon.
func TestHiddenBeforeAllElse(t *testing.T) {
	broken := errors.New("broken")
	for _, failing := range []string{"", "nflog", "store", "keys"} {
		t.Run(failing, func(t *testing.T) {
			g, source := newGate(t), nflog.NewFake(5)
			var (
				mu    sync.Mutex
				steps []string
				log   buffer
			)
			step := func(name string) error {
				mu.Lock()
				defer mu.Unlock()
				if g.Ruleset() == nil {
					t.Errorf("%s: services are not hidden yet", name)
				}
				steps = append(steps, name)
				if name == failing {
					return broken
				}
				return nil
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			text := ssh + "limit = 1\n"
			lines, _ := logger.New(&log, policy.Log{})
			ended := make(chan error, 1)
			d := daemon.New(daemon.Config{
				Policy:     parse(t, text),
				Events:     told(lines),
				OpenGate:   func(gate.Config) (gate.Gate, error) { return g, nil },
				OpenSource: func(nflog.Config) (nflog.Source, error) { return source, step("nflog") },
				OpenStore:  func(string) (spent.Spender, error) { return nullStore{}, step("store") },
				Load: func() (*plan.Plan, policy.Diagnostics) {
					if err := step("keys"); err != nil {
						return nil, policy.Diagnostics{{Severity: policy.SeverityError, Message: err.Error()}}
					}
					return planOf(t, text), nil
				},
			})
			go func() { ended <- d.Run(ctx) }()
			log.await(t, "ready: ")
			if failing != "" {
				log.await(t, "broken")
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("ended with %v", err)
			}
			if g.Ruleset() == nil || !g.closed {
				t.Errorf("table %v, closed %v; want the table to stay and the gate closed", g.Ruleset(), g.closed)
			}
			if want := []string{"nflog", "store", "keys"}; !slices.Equal(steps[:3], want) {
				t.Errorf("steps %q, want %q", steps, want)
			}
		})
	}
}

// nullStore is a store that takes everything.
type nullStore struct{}

func (nullStore) Spend(context.Context, spent.Entry) error { return nil }
func (nullStore) Prune(time.Time) (int, error)             { return 0, nil }
func (nullStore) Close() error                             { return nil }

// While keys are made, the table is repaired, and the daemon ends when it is to.
func TestKeptWhileKeysAreMade(t *testing.T) {
	g := newGate(t)
	never, source := make(chan struct{}), nflog.NewFake(5)
	defer close(never)
	loading := make(chan struct{})
	d := daemon.New(daemon.Config{
		Policy:     parse(t, ssh),
		OpenGate:   func(gate.Config) (gate.Gate, error) { return g, nil },
		OpenSource: func(nflog.Config) (nflog.Source, error) { return source, nil },
		Load: func() (*plan.Plan, policy.Diagnostics) {
			close(loading)
			<-never
			return nil, nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	<-loading
	source.Log(nflog.Record{Group: 5, Time: time.Now(), Payload: datagram(10, 7300)}) // waits for the keys
	g.Flush()
	eventually(t, "the table is put back", func() bool { return g.Ruleset() != nil })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestPlan(t *testing.T) {
	if _, err := plan.New(parse(t, ssh+"enabled = false\n")); err == nil {
		t.Error("a plan with nothing to do")
	}
	p := planOf(t, ssh)
	logged := make(map[port.Range]bool)
	for _, s := range p.Ruleset.KnockPorts {
		if logged[s] {
			t.Errorf("%v is logged twice", s)
		}
		logged[s] = true
	}
	for _, e := range append(p.Engine.Tripwires, p.Accesses[0].Sequence...) {
		if !logged[e] {
			t.Errorf("%v is not logged", e)
		}
	}
	if len(p.Engine.Tripwires) != 256 {
		t.Errorf("%d tripwires, want 256", len(p.Engine.Tripwires))
	}
}

// The way of a packet from its bytes to the verdict allocates nothing.
func TestPacketPathAllocatesNothing(t *testing.T) {
	engine, err := knock.New(planOf(t, ssh).Engine)
	if err != nil {
		t.Fatal(err)
	}
	var (
		p  packet.Packet
		at = time.Now()
		n  int
	)
	handle := func() {
		for _, port := range []uint16{7300, 7100, 7200, 7101} {
			n++
			if err := packet.Decode(datagram10[port], &p); err != nil {
				t.Fatal(err)
			}
			engine.Handle(at.Add(time.Duration(n)*time.Millisecond), &p)
		}
	}
	handle()
	if allocs := testing.AllocsPerRun(1000, handle); allocs != 0 {
		t.Errorf("%v allocations in four packets, want none", allocs)
	}
}

var datagram10 = map[uint16][]byte{
	7300: datagram(10, 7300), 7100: datagram(10, 7100), 7200: datagram(10, 7200), 7101: datagram(10, 7101),
}

// A reload that is asked for during the start is answered when the start fails: here, since
// the kernel takes the table of the policy without keys, and no other after that.
func TestNoReloadWaitsForADaemonThatCannotStart(t *testing.T) {
	loading, fail := make(chan struct{}), make(chan struct{})
	g := newGate(t)
	d := daemon.New(daemon.Config{
		Policy: parse(t, ssh),
		Load: func() (*plan.Plan, policy.Diagnostics) {
			close(loading)
			<-fail
			return planOf(t, ssh), nil
		},
		OpenSource: func(nflog.Config) (nflog.Source, error) { return nflog.NewFake(5), nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return g, nil },
	})
	ended, reloaded := make(chan error, 1), make(chan error, 1)
	go func() { ended <- d.Run(t.Context()) }()
	<-loading
	go func() {
		_, err := d.Reload(context.Background(), control.Reload{})
		reloaded <- err
	}()
	g.fail(errors.New("the kernel will not"))
	close(fail)
	if start := (*daemon.StartError)(nil); !errors.As(<-ended, &start) {
		t.Error("the daemon has started")
	}
	select {
	case err := <-reloaded:
		if err == nil {
			t.Error("reloaded")
		}
	case <-time.After(10 * time.Second):
		t.Error("the reload waits for a daemon that has ended")
	}
}

func TestWarningsAreBounded(t *testing.T) {
	r := start(t, ssh)
	diags := make([]policy.Diagnostic, 150)
	for i := range diags {
		diags[i] = policy.Diagnostic{File: "test.toml", Severity: policy.SeverityWarning, Message: "weak"}
	}
	if err := r.reload(ssh, diags...); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "and 50 more warnings: nftknockd check lists them")
	if n := strings.Count(r.log.String(), ": weak"); n != 100 {
		t.Errorf("%d warnings, want 100", n)
	}
}
