package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/logger"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// startChanged is start with another configuration of the daemon. In a bubble of synctest
// the caller must stop the daemon.
func startChanged(t *testing.T, text string, change func(*rig, *daemon.Config)) *rig {
	t.Helper()
	r := &rig{TB: t, source: nflog.NewFake(5), gate: newGate(t), next: text}
	p := parse(t, text)
	lines, _ := logger.New(&r.log, p.Log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := daemon.Config{
		Policy: p, Events: told(lines), Load: r.load,
		OpenSource: func(nflog.Config) (nflog.Source, error) { return r.source, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return r.gate, nil },
		OpenStore:  func(string) (spent.Spender, error) { return nullStore{}, nil },
		Notify:     func(s string) { fmt.Fprintln(&r.states, s) },
	}
	change(r, &c)
	r.daemon = daemon.New(c)
	go func() { done <- r.daemon.Run(ctx) }()
	r.stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.log.await(t, "ready: ")
	return r
}

// lastState is the last STATUS that the service manager got.
func (r *rig) lastState() string {
	lines := strings.Split(strings.TrimSpace(r.states.String()), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if text, ok := strings.CutPrefix(lines[i], "STATUS="); ok {
			return text
		}
	}
	return ""
}

func (r *rig) wantState(part string) {
	r.Helper()
	if got := r.lastState(); !strings.Contains(got, part) {
		r.Errorf("status %q, want %q", got, part)
	}
}

func (r *rig) wantTimes(n int, text string) {
	r.Helper()
	if got := strings.Count(r.log.String(), text); got != n {
		r.Errorf("%d times %q, want %d:\n%s", got, text, n, &r.log)
	}
}

func (r *rig) finish() {
	r.Helper()
	if err := r.stop(); err != nil {
		r.Errorf("ended with %v", err)
	}
}

// A group that another program has keeps services hidden and is tried again, and the service
// manager is told that the daemon runs.
func TestATakenGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			taken    atomic.Bool
			attempts atomic.Int64
		)
		taken.Store(true)
		r := startChanged(t, ssh, func(r *rig, c *daemon.Config) {
			c.OpenSource = func(nflog.Config) (nflog.Source, error) {
				attempts.Add(1)
				if taken.Load() {
					return nil, fmt.Errorf("nflog: group 5: %w by ulogd2", nflog.ErrGroupTaken)
				}
				return r.source, nil
			}
		})
		r.states.await(t, "READY=1")
		r.wantState("services hidden, no knock can be heard: nflog: group 5: the group is in use by ulogd2")
		if r.gate.Ruleset() == nil {
			t.Error("services are not hidden")
		}
		time.Sleep(time.Minute)
		r.wantTimes(1, "event=nflog_unavailable")
		if n := attempts.Load(); n < 12 || n > 30 {
			t.Errorf("%d attempts in a minute, want one every few seconds", n)
		}
		taken.Store(false)
		time.Sleep(10 * time.Second)
		r.wantTimes(1, "knocks of NFLOG group 5 are received again")
		r.wantState("1 access watched")
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 ")
		r.finish()
	})
}

// Of several groups those that can be opened are read.
func TestOneOfTwoGroupsIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startChanged(t, "[nflog]\nworkers = 2\n"+ssh, func(r *rig, c *daemon.Config) {
			c.OpenSource = func(n nflog.Config) (nflog.Source, error) {
				if n.Groups[0] == 6 {
					return nil, nflog.ErrGroupTaken
				}
				return r.source, nil
			}
		})
		r.wantState("services hidden, some knocks cannot be heard: ")
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 ")
		r.finish()
	})
}

// A group that cannot be read any more is opened again, not in a busy loop, and what it lost
// is still counted.
func TestAReadErrorOpensTheGroupAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			opened atomic.Int64
			source atomic.Pointer[nflog.Fake]
		)
		r := startChanged(t, ssh, func(_ *rig, c *daemon.Config) {
			c.OpenSource = func(nflog.Config) (nflog.Source, error) {
				opened.Add(1)
				fake := nflog.NewFake(5)
				source.Store(fake)
				return fake, nil
			}
		})
		source.Load().Fail(errors.New("the socket broke"))
		synctest.Wait()
		r.wantState("no knock can be heard: read nflog group: the socket broke")
		r.wantTimes(1, "event=nflog_unavailable")
		time.Sleep(2 * time.Second)
		r.wantState("1 access watched")
		r.source = source.Load()
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 ")
		// It fails as soon as it is open, for ten minutes.
		before := opened.Load()
		for range 600 {
			source.Load().Fail(errors.New("the socket broke"))
			time.Sleep(time.Second)
		}
		if n := opened.Load() - before; n < 100 || n > 200 {
			t.Errorf("opened %d times in ten minutes", n)
		}
		if n := strings.Count(r.log.String(), "event=nflog_unavailable"); n > 100 {
			t.Errorf("told %d times in ten minutes", n)
		}
		r.finish()
	})
}

// The control socket does not keep the daemon from hiding services, and is made once it can
// be.
func TestNoControlSocket(t *testing.T) {
	file := filepath.Join(t.TempDir(), "run")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(file, "control.sock")
	r := startChanged(t, ssh, func(_ *rig, c *daemon.Config) {
		c.Policy.Control.Socket = socket
		c.Load = func() (*plan.Plan, policy.Diagnostics) {
			p := planOf(t, ssh)
			p.Policy.Control.Socket = socket
			return p, nil
		}
	})
	r.log.await(t, "error: the control socket does not work: control socket "+socket+": not a directory")
	r.states.await(t, "READY=1")
	r.states.await(t, "STATUS=control socket "+socket)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "the control socket works again")
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	r.states.await(t, "STATUS=1 access watched")
	r.finish()
}

const webToo = `[[access]]
name = "web"
sequence = ["udp/8300", "udp/8100", "udp/8200"]
open = ["tcp/80"]
`

// With a policy that cannot be loaded, the last one that worked runs, and the log says so at
// the start and every hour, until a reload succeeds.
func TestTheLastPolicyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := policy.Diagnostics{
			// The consequence of the other, which comes first all the same.
			{File: "a.toml", Line: 2, Column: 1, Severity: policy.SeverityError, Message: "no sequence"},
			{File: "a.toml", Line: 3, Column: 1, Severity: policy.SeverityError, Message: `unknown key "sequenec"`, Code: policy.CodeUnknownKey},
		}
		var kept atomic.Pointer[policy.Policy]
		r := startChanged(t, ssh, func(r *rig, c *daemon.Config) {
			c.Bad, c.Last = wrong, &lastpolicy.Copy{Policy: c.Policy, Path: "/state/last-policy.toml", Since: time.Unix(0, 0)}
			c.Keep = func(p *policy.Policy) error { kept.Store(p); return nil }
			c.Load = func() (*plan.Plan, policy.Diagnostics) {
				if r.next == ssh {
					return nil, wrong
				}
				return planOf(r, r.next), nil
			}
		})
		r.log.await(t, `error: running the last policy that worked, of 1970-01-01T00:00:00Z, since the one in the files cannot be used: `+
			`a.toml:3:1: unknown key "sequenec" (and 1 more error: nftknockd check lists them); correct the files, then run "systemctl reload nftknockd"`)
		r.states.await(t, "READY=1")
		r.wantState("running the last policy that worked: a.toml:3:1")
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 ")
		time.Sleep(3*time.Hour + time.Minute)
		r.wantTimes(4, "event=last_policy")

		if err := r.reload(ssh); err == nil || !strings.Contains(err.Error(), "sequenec") {
			t.Errorf("reload of what is still wrong: %v", err)
		}
		// What was wrong is mended, and another thing is wrong.
		wrong = policy.Diagnostics{{File: "a.toml", Line: 9, Column: 1, Severity: policy.SeverityError, Message: "a new mistake"}}
		if err := r.reload(ssh); err == nil {
			t.Error("a reload of what is wrong succeeded")
		}
		r.wantState("running the last policy that worked: a.toml:9:1: a new mistake")
		time.Sleep(time.Hour)
		r.wantTimes(1, "cannot be used: a.toml:9:1: a new mistake; correct the files")
		if kept.Load() != nil {
			t.Error("a policy was kept that did not work")
		}
		if err := r.reload(ssh + webToo); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		r.wantState("2 accesses watched")
		if p := kept.Load(); p == nil || len(p.Accesses) != 2 {
			t.Errorf("kept %v, want the new one", p)
		}
		time.Sleep(3 * time.Hour)
		r.wantTimes(5, "event=last_policy")
		r.finish()
	})
}

// A policy is kept once it is in force, and only then.
func TestWhatWorkedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			times, accesses atomic.Int64 // how often one was kept, and how many the last has
			full            atomic.Bool
		)
		r := startChanged(t, ssh, func(_ *rig, c *daemon.Config) {
			c.Keep = func(p *policy.Policy) error {
				if full.Load() {
					return errFailing
				}
				times.Add(1)
				accesses.Store(int64(len(p.Accesses)))
				return nil
			}
		})
		synctest.Wait()
		r.gate.fail(errors.New("the kernel will not"))
		if r.reload(ssh+webToo) == nil {
			t.Error("reloaded")
		}
		r.gate.fail(nil)
		synctest.Wait()
		if n := times.Load(); n != 1 {
			t.Errorf("kept %d times, want the first alone", n)
		}
		r.wantState("the policy in the files is not in force, an earlier one is: the kernel will not")

		full.Store(true)
		if err := r.reload(ssh + webToo); err != nil {
			t.Error(err)
		}
		time.Sleep(5 * time.Minute)
		r.wantTimes(1, "error: no space left; if the policy cannot be loaded at the next start")
		r.wantState("no space left")
		full.Store(false)
		time.Sleep(2 * time.Minute)
		r.wantTimes(1, "the policy in force is kept as the last one that worked")
		r.wantState("2 accesses watched")
		if n := times.Load(); n != 2 || accesses.Load() != 2 {
			t.Errorf("kept %d times, want the second, too", n)
		}
		r.finish()
	})
}

// A table that the kernel does not take is as bad a policy as any.
func TestTheLastPolicyRunsIfTheTableIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		found error
		want  string
	}{
		"there is one":   {nil, ""},
		"there is none":  {lastpolicy.ErrNone, "table bad"},
		"it is damaged":  {errors.New("damaged"), "table bad\ndamaged"},
		"it fails, too ": {nil, "table bad"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, last := newGate(t), parse(t, ssh)
				if strings.HasPrefix(name, "it fails") {
					last.NFTables.Table = "bad"
				}
				bad := parse(t, ssh+webToo)
				bad.NFTables.Table = "bad"
				var log buffer
				lines, _ := logger.New(&log, policy.Log{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan error, 1)
				d := daemon.New(daemon.Config{
					Policy: bad, Events: told(lines),
					OpenGate: func(c gate.Config) (gate.Gate, error) {
						if c.Table == "bad" {
							return nil, errors.New("table bad")
						}
						return g, nil
					},
					OpenSource: func(nflog.Config) (nflog.Source, error) { return nflog.NewFake(5), nil },
					FindLast: func() (*lastpolicy.Copy, error) {
						return &lastpolicy.Copy{Policy: last}, c.found
					},
				})
				go func() { ended <- d.Run(ctx) }()
				synctest.Wait()
				if c.want != "" {
					if err := <-ended; err == nil || err.Error() != c.want {
						t.Errorf("ended with %v, want %q", err, c.want)
					}
					return
				}
				log.await(t, "since the one in the files cannot be used: table bad")
				log.await(t, "ready: ")
				if r := g.Ruleset(); r == nil || r.Table != "nftknock" {
					t.Errorf("the table is %v", r)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// An access whose key is missing stays hidden, all others can knock, and the key is read
// once it is there.
func TestAMissingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file, key := filepath.Join(dir, "nftknockd.toml"), filepath.Join(dir, "key")
		text := fmt.Sprintf("[control]\nsocket = \"\"\n%s[[access]]\nname = \"mbr\"\nknock = \"totp\"\nopen = [\"tcp/23\"]\nkey_file = %q\n", ssh, key)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		outline, diags := policy.Outline(file)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		var kept atomic.Int64
		r := startChanged(t, ssh, func(_ *rig, c *daemon.Config) {
			c.Policy = outline
			c.Load = func() (*plan.Plan, policy.Diagnostics) { return plan.Load(file) }
			c.Keep = func(*policy.Policy) error { kept.Add(1); return nil }
		})
		r.log.await(t, `error: no knock opens access "mbr", whose services stay hidden: key_file: cannot read it: no such file or directory; want a file that holds the key`)
		r.wantState("no knock opens access \"mbr\": key_file: cannot read it")
		r.wantTimes(0, "event=last_policy")
		if protected := fmt.Sprint(r.gate.Ruleset().Protected); !strings.Contains(protected, "tcp/23") || !strings.Contains(protected, "tcp/22") {
			t.Errorf("protected %v", protected)
		}
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 ")
		time.Sleep(time.Hour)
		r.wantTimes(1, "event=void")
		if err := r.reload(ssh); err == nil || !strings.Contains(err.Error(), "key_file") {
			t.Errorf("a reload without the key: %v", err)
		}
		r.knock(11, 7300, 7100)
		if err := os.WriteFile(key, []byte("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 20 { // the look at the files is in real time
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
		r.wantTimes(1, `access "mbr" can be used again [event=restored access=mbr]`)
		if err := r.reload(ssh); err != nil {
			t.Errorf("a reload with the key: %v", err)
		}
		r.wantState("2 accesses watched")
		if kept.Load() == 0 {
			t.Error("the policy was not kept")
		}
		r.finish()
	})
}

// A store that fails is a condition until it works: from the start on, or from a knock that
// it could not record.
func TestTheStateOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var store failingStore
		store.opening.Store(&errFailing)
		r := startChanged(t, strings.Replace(ssh, "30s\"", "30s\"\nlimit = 100", 1), func(_ *rig, c *daemon.Config) {
			c.OpenStore = func(string) (spent.Spender, error) {
				if err := store.opening.Load(); err != nil {
					return nil, *err
				}
				return &store, nil
			}
		})
		r.wantState("knocks that must be recorded are refused, because the store of spent tokens cannot be opened: no space left")
		store.opening.Store(nil)
		time.Sleep(2 * time.Minute)
		r.wantState("1 access watched")

		store.spending.Store(&errFailing)
		r.knock(10, 7300, 7100, 7200)
		time.Sleep(11 * time.Second)
		r.wantState("the store of spent tokens has failed: no space left")
		store.spending.Store(nil)
		r.knock(11, 7300, 7100, 7200)
		time.Sleep(11 * time.Second)
		r.wantState("1 access watched")
		r.finish()
	})
}

var errFailing = errors.New("no space left")

// failingStore is a store that fails with these errors.
type failingStore struct {
	nullStore
	opening, spending atomic.Pointer[error]
}

func (s *failingStore) Spend(context.Context, spent.Entry) error {
	if err := s.spending.Load(); err != nil {
		return *err
	}
	return nil
}
