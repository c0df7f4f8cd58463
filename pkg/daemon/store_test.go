package daemon

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/replay"
)

// diary is a store and a gate that write down what is asked of them.
type diary struct {
	*gate.Fake
	events []string
	err    error // of the next Spend
	spent  map[replay.Token]bool
}

func (d *diary) Grant(g gate.Grant) error {
	d.events = append(d.events, "grant "+g.Service.String())
	return d.Fake.Grant(g)
}

func (d *diary) Spend(s replay.Spend) error {
	d.events = append(d.events, "spend")
	err := d.err
	d.err = nil
	switch {
	case err != nil:
		return err
	case d.spent[*s.Token]:
		return replay.ErrSpent
	}
	d.spent[*s.Token] = true
	return nil
}

func (d *diary) Prune(time.Time) (int, error) { return 0, nil }
func (d *diary) Close() error                 { return nil }

// keeping is a keeper of one access by SPA, and its diary and log.
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
	plan, err := NewPlan(p)
	if err != nil {
		t.Fatal(err)
	}
	fake, err := gate.NewFake(gate.Config{Table: gate.DefaultTable}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{Fake: fake, spent: make(map[replay.Token]bool)}
	log := new(strings.Builder)
	logger := slog.New(slog.NewTextHandler(log, nil))
	r := newRecorder(logger)
	r.use(d)
	k := newKeeper(d, logger, plan, r, nil)
	if err := k.apply(plan, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.doors.stop)
	return k, d, log
}

// act has a keeper decide, and its recorder do what there is to do.
func act(k *keeper, v knock.Verdict) {
	k.decide(decision{k.plan, v})
	for {
		select {
		case rec := <-k.recorder.records:
			k.recorded(k.recorder.do(rec))
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
	k, d, log := keeping(t, "")
	act(k, asking(knock.None))
	act(k, asking(knock.None))
	if want := []string{"spend", "grant tcp/22", "spend"}; !slices.Equal(d.events, want) {
		t.Errorf("%q, want %q", d.events, want)
	}
	if !strings.Contains(log.String(), "already used") {
		t.Errorf("the log says nothing of the second:\n%s", log)
	}
}

func TestRefusedTokensAreBurnt(t *testing.T) {
	for _, reason := range []knock.Reason{knock.WrongUser, knock.TooNew, knock.TooOld, knock.TooManyCodes, knock.Late} {
		k, d, _ := keeping(t, "")
		act(k, asking(reason))
		act(k, asking(knock.None))
		if want := []string{"spend", "spend"}; !slices.Equal(d.events, want) {
			t.Errorf("after %q: %q, want %q", reason, d.events, want)
		}
	}
}

// A store that fails lets nobody in, and a token that it failed to record is not
// good later either.
func TestStoreThatFails(t *testing.T) {
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
}

// The token of a refused knock that could not be recorded is not good later: an
// observer may have it.
func TestARefusedTokenThatIsNotOnDisk(t *testing.T) {
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
}

// Nor is that of a knock for which there was no room in the queue to the disk.
func TestATokenWithoutRoomInTheQueue(t *testing.T) {
	for _, reason := range []knock.Reason{knock.None, knock.WrongUser} {
		k, d, log := keeping(t, "")
		k.recorder.count["ssh"] = maxRecordsPerAccess
		act(k, asking(reason))
		k.recorder.count["ssh"] = 0
		act(k, asking(knock.None))
		if len(d.events) > 0 || !strings.Contains(log.String(), "already used") {
			t.Errorf("%q, %s", d.events, log)
		}
		if reason == knock.None && !strings.Contains(log.String(), "the disk is too slow: 1024 knocks wait to be recorded") {
			t.Errorf("the log does not say why:\n%s", log)
		}
	}
}

// Replays of a token that is on its way to the disk take no room in the queue.
func TestReplaysDoNotFillTheQueue(t *testing.T) {
	k, d, log := keeping(t, "")
	for range 3 {
		k.decide(decision{k.plan, asking(knock.None)})
	}
	if n := len(k.recorder.records); n != 1 || strings.Count(log.String(), "event=refused") != 2 {
		t.Errorf("%d records wait, want 1:\n%s", n, log)
	}
	act(k, asking(knock.WrongUser))
	if want := []string{"spend", "grant tcp/22"}; !slices.Equal(d.events, want) {
		t.Errorf("%q, want %q", d.events, want)
	}
}

func TestLostTokensAreForgottenWithTheirTime(t *testing.T) {
	r, now := newRecorder(slog.New(slog.DiscardHandler)), time.Now()
	lose := func(token int, expires time.Time) {
		r.lose(record{spend: replay.Spend{Token: &replay.Token{byte(token), byte(token >> 8)}, Expires: expires}})
	}
	for i := range maxLost {
		lose(i, now.Add(-time.Minute))
	}
	lose(maxLost, now.Add(time.Minute))
	lose(maxLost+1, time.Time{})
	for i := range maxLost {
		lose(maxLost+2+i, now.Add(time.Minute))
	}
	if len(r.lost) != maxLost {
		t.Errorf("%d tokens, want %d", len(r.lost), maxLost)
	}
	for _, token := range []replay.Token{{maxLost & 255, maxLost >> 8}, {(maxLost + 1) & 255, maxLost >> 8}} {
		if _, ok := r.lost[token]; !ok {
			t.Errorf("token %v is forgotten before its time", token[:2])
		}
	}
}

// A knock beyond the limit is spent, so that it is not good when the limit is
// raised.
func TestBeyondTheLimitIsSpent(t *testing.T) {
	k, d, log := keeping(t, "limit = 1\n")
	d.err = replay.ErrLimit
	act(k, asking(knock.None))
	if !d.spent[replay.Token{1}] || slices.Contains(d.events, "grant tcp/22") {
		t.Errorf("%q, want the token spent and nothing granted", d.events)
	}
	if !strings.Contains(log.String(), "reached its limit") {
		t.Errorf("the log gives another reason:\n%s", log)
	}
}

// What a knock asks for is bounded by what the access allows.
func TestTimeoutIsBounded(t *testing.T) {
	k, _, log := keeping(t, "max_timeout = \"1m\"\n")
	v := asking(knock.None)
	v.Request.Timeout = time.Hour
	act(k, v)
	if !strings.Contains(log.String(), "access to tcp/22 for 1m") {
		t.Errorf("want a minute:\n%s", log)
	}
}

// A store that is not there is asked for again.
func TestMissingStoreComesBack(t *testing.T) {
	there := &diary{spent: make(map[replay.Token]bool)}
	err := errors.New("damaged")
	m := &missingStore{err: err, tried: time.Now(), open: func() (Store, error) { return there, nil }}
	if got := m.Spend(replay.Spend{Token: &replay.Token{1}}); !errors.Is(got, err) {
		t.Errorf("%v, want %v", got, err)
	}
	m.tried = time.Now().Add(-retryStore)
	if got := m.Spend(replay.Spend{Token: &replay.Token{1}}); got != nil {
		t.Errorf("%v, want it spent", got)
	}
}
