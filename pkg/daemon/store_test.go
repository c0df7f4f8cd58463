package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
)

// diary is a store and a gate that write down what is asked of them.
type diary struct {
	*gate.Fake
	stuck chan struct{} // Spends wait until it is closed

	mu     sync.Mutex
	events []string
	err    error // of the next Spend
	spent  map[spent.Token]bool
}

func newDiary(g *gate.Fake) *diary {
	d := &diary{Fake: g, stuck: make(chan struct{}), spent: make(map[spent.Token]bool)}
	close(d.stuck)
	return d
}

func (d *diary) Grant(g gate.Grant) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, "grant "+g.Service.String())
	return d.Fake.Grant(g)
}

func (d *diary) Spend(_ context.Context, e spent.Entry) error {
	<-d.stuck
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, "spend")
	err := d.err
	d.err = nil
	switch {
	case err != nil:
		return err
	case e.Token == nil:
		return nil
	case d.spent[*e.Token]:
		return spent.ErrSpent
	}
	d.spent[*e.Token] = true
	return nil
}

func (d *diary) Prune(time.Time) (int, error) { return 0, nil }
func (d *diary) Close() error                 { return nil }

// keeping is a keeper of one access by SPA, and its diary and log. It is called in
// a bubble of synctest, as act is.
func keeping(t *testing.T, lines string) (*keeper, *diary, *strings.Builder) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nftknockd.toml")
	text := "[[access]]\nname = \"ssh\"\nknock = \"spa\"\nopen = [\"tcp/22\", \"udp/1194\"]\ntimeout = \"30s\"\n" +
		"key = \"base64:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"\nallow_unauthenticated = true\n" + lines
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := policy.Load(path)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	worked, err := plan.New(p)
	if err != nil {
		t.Fatal(err)
	}
	fake, err := gate.NewFake(gate.Config{Table: gate.DefaultTable}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	d := newDiary(fake)
	log := new(strings.Builder)
	r := newRouter(event.NewDispatcher(nil, event.NewLog(slog.New(slog.NewTextHandler(log, nil)))))
	r.spends.Use(d)
	go r.spends.Run(t.Context())
	k := newKeeper(d, worked, r)
	if err := writeTable(k.gate, worked, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.timers.stop)
	return k, d, log
}

// act has a verdict carried out, and the queue to the disk do what there is to do.
func act(k *keeper, v knock.Verdict) {
	k.router.route(k.plan().Decide(&v))
	settle(k)
}

// settle gives a keeper all that is on its way to it: synctest.Wait returns when all
// goroutines wait, those of the queue for more entries or for somebody to take their
// answer.
func settle(k *keeper) {
	for {
		synctest.Wait()
		select {
		case d := <-k.router.admitted:
			k.admit(d)
		case a := <-k.router.spends.Answers():
			k.recorded(a)
		default:
			return
		}
	}
}

// asking is a verdict on a packet that asks for tcp/22.
func asking(reason knock.Reason) knock.Verdict {
	src := netip.MustParseAddr("192.0.2.1")
	ssh, _ := port.ParseKnock("tcp/22")
	return knock.Verdict{Time: time.Now(), Source: src, Reason: reason, Step: 1, Request: &knock.Request{
		Allow: src, Open: []port.Range{ssh}, User: "mbr", Token: [32]byte{1}, Forget: time.Now().Add(time.Hour),
	}}
}

func TestSpentBeforeGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "")
		act(k, asking(knock.None))
		act(k, asking(knock.None))
		if want := []string{"spend", "grant tcp/22", "spend"}; !slices.Equal(d.events, want) {
			t.Errorf("%q, want %q", d.events, want)
		}
		if !strings.Contains(log.String(), "already used") {
			t.Errorf("the log says nothing of the second:\n%s", log)
		}
	})
}

func TestRefusedTokensAreBurnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reason := range []knock.Reason{knock.WrongUser, knock.TooNew, knock.TooOld, knock.TooManyCodes, knock.Late} {
			k, d, _ := keeping(t, "")
			act(k, asking(reason))
			act(k, asking(knock.None))
			if want := []string{"spend", "spend"}; !slices.Equal(d.events, want) {
				t.Errorf("after %q: %q, want %q", reason, d.events, want)
			}
		}
	})
}

// A clock that is ahead by more than the longest window makes a good knock too old. Whoever
// saw it cannot use it when the clock is set right.
func TestATokenRefusedWhileTheClockIsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "")
		ahead := asking(knock.TooOld)
		ahead.Time = time.Now().Add(2 * knock.MaxWindow)
		act(k, ahead)
		act(k, asking(knock.None))
		if want := []string{"spend", "spend"}; !slices.Equal(d.events, want) || !strings.Contains(log.String(), "already used") {
			t.Errorf("%q, want %q\n%s", d.events, want, log)
		}
	})
}

// A store that fails lets nobody in, and a token that it failed to record is not
// good later either.
func TestStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "")
		d.err = errors.New("no space left on device")
		act(k, asking(knock.None))
		act(k, asking(knock.None))
		if want := []string{"spend"}; !slices.Equal(d.events, want) {
			t.Errorf("%q, want %q", d.events, want)
		}
		for _, words := range []string{"so it opens nothing: no space left on device", "already used"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("no %q in the log:\n%s", words, log)
			}
		}
	})
}

// The token of a refused knock that could not be recorded is not good later: an
// observer may have it.
func TestARefusedTokenThatIsNotOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "")
		d.err = errors.New("no space left on device")
		act(k, asking(knock.WrongUser))
		act(k, asking(knock.None))
		if want := []string{"spend"}; !slices.Equal(d.events, want) {
			t.Errorf("%q, want %q", d.events, want)
		}
		if !strings.Contains(log.String(), "already used") {
			t.Errorf("the log says nothing of the second:\n%s", log)
		}
		if !strings.Contains(log.String(), "event=refused_unrecorded") || strings.Contains(log.String(), "event=unrecorded") {
			t.Errorf("the log gives the disk as the cause of the refusal:\n%s", log)
		}
	})
}

// slowClose is a diary whose Close takes longer than the keeper waits.
type slowClose struct{ *diary }

func (s slowClose) Close() error { time.Sleep(3 * diskTimeout); return nil }

// The log says which knocks the daemon drops at its end, and none if only the store is slow
// to close.
func TestWhatADiskThatIsSlowAtTheEndCosts(t *testing.T) {
	for name, c := range map[string]struct {
		knocks int
		want   string
	}{
		"nothing": {0, "the replay store is not closed; no knock waits"},
		"knocks":  {2, "dropping 2 knocks not recorded yet"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, d, log := keeping(t, "")
				k.router.spends.Use(slowClose{d})
				d.stuck = make(chan struct{})
				for n := range c.knocks {
					v := asking(knock.None)
					v.Request.Token[0] += byte(n)
					k.router.route(k.plan().Decide(&v))
				}
				k.router.finish()
				if err := k.run(); err != nil || !strings.Contains(log.String(), c.want) {
					t.Errorf("%v, want %q in\n%s", err, c.want, log)
				}
				close(d.stuck)
				for range k.router.spends.Answers() { // until the queue has ended, as the bubble wants
				}
				k.timers = newTimers() // run has stopped the others, and keeping stops these
			})
		})
	}
}

// Nor is that of a knock for which there was no room in the queue to the disk.
func TestATokenWithoutRoomInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, reason := range []knock.Reason{knock.None, knock.WrongUser} {
			k, d, log := keeping(t, "")
			d.stuck = make(chan struct{})
			var full error
			for full == nil {
				full = k.router.spends.Submit(spent.Entry{Access: "ssh", Limit: 1}, plan.Decision{})
			}
			act(k, asking(reason))
			synctest.Wait()
			close(d.stuck)
			for range 1024 {
				<-k.router.spends.Answers()
			}
			d.events = nil
			act(k, asking(knock.None))
			if len(d.events) > 0 || !strings.Contains(log.String(), "already used") {
				t.Errorf("%q, %s", d.events, log)
			}
			if reason == knock.None && !strings.Contains(log.String(), "the disk is too slow: 1024 knocks wait to be recorded") {
				t.Errorf("the log does not say why:\n%s", log)
			}
		}
	})
}

// Replays of a token that is on its way to the disk take no room in the queue.
func TestReplaysDoNotFillTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "")
		d.stuck = make(chan struct{})
		for range 3 {
			v := asking(knock.None)
			k.router.route(k.plan().Decide(&v))
		}
		if strings.Count(log.String(), "event=refused") != 2 {
			t.Errorf("want the second and third refused:\n%s", log)
		}
		v := asking(knock.WrongUser)
		k.router.route(k.plan().Decide(&v))
		close(d.stuck)
		settle(k)
		if want := []string{"spend", "grant tcp/22"}; !slices.Equal(d.events, want) {
			t.Errorf("%q, want %q", d.events, want)
		}
	})
}

// A knock beyond the limit is spent, so that it is not good when the limit is
// raised.
func TestBeyondTheLimitIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, d, log := keeping(t, "limit = 1\n")
		d.err = spent.ErrLimit
		act(k, asking(knock.None))
		if !d.spent[spent.Token{1}] || slices.Contains(d.events, "grant tcp/22") {
			t.Errorf("%q, want the token spent and nothing granted", d.events)
		}
		if !strings.Contains(log.String(), "reached its limit") {
			t.Errorf("the log gives another reason:\n%s", log)
		}
	})
}

// What a knock asks for is bounded by what the access allows.
func TestTimeoutIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, _, log := keeping(t, "max_timeout = \"1m\"\n")
		v := asking(knock.None)
		v.Request.Timeout = time.Hour
		act(k, v)
		if !strings.Contains(log.String(), "access to tcp/22 for 1m") {
			t.Errorf("want a minute:\n%s", log)
		}
	})
}
