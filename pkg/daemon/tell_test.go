package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/logger"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// telling is a keeper of a shared access and one by SPA, and its log in the
// format of package logger.
func telling(t *testing.T) (*keeper, *strings.Builder) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nftknockd.toml")
	text := `[[access]]
name = "ssh"
open = ["tcp/22", "udp/1194"]
timeout = "1s"
sequence = ["tcp/7300", "tcp/7100", "tcp/7200"]
require_os = "linux"
[[access]]
name = "spa"
knock = "spa"
open = ["tcp/23"]
timeout = "1s"
key = "base64:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
allow_unauthenticated = true
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	worked, diags := plan.Load(path)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	fake, err := gate.NewFake(gate.Config{Table: gate.DefaultTable}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	log := new(strings.Builder)
	lines, _ := logger.New(log, policy.Log{})
	r := newRouter(event.NewDispatcher(nil, event.NewLog(lines)))
	r.spends.Use(newDiary(nil))
	go r.spends.Run(t.Context())
	k := newKeeper(fake, worked, r)
	if err := writeTable(k.gate, worked, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.timers.stop)
	return k, log
}

// sequence is the verdict on a whole shared sequence of the nth source.
func sequence(n int) knock.Verdict {
	return knock.Verdict{Time: time.Now(), Source: netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)}), Step: 3}
}

// A sequence that somebody has seen can be sent from any number of forged
// sources. That neither fills the log nor keeps the lines of keyed knocks out of
// it, and what was left out is counted.
func TestReplayedSequencesDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := telling(t)
		for n := range 1000 {
			act(k, sequence(n))
		}
		if n := strings.Count(log.String(), "\n"); n < 30*4 || n > 50*4 {
			t.Errorf("%d lines for 1000 knocks, want those of the first thirty and few more", n)
		}
		v := asking(knock.None)
		v.Access, v.Request.Open = 1, nil
		act(k, v)
		for _, want := range []string{"decrypting SPA packet for 192.0.2.1", "username mbr match", "granted 192.0.2.1 access to tcp/23 for 1s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q among the others", want)
			}
		}
		time.Sleep(250 * time.Millisecond) // one line has become free
		act(k, sequence(1000))
		if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); !strings.Contains(lines[len(lines)-2], "granted 198.51.3.232 access to tcp/22") ||
			!strings.Contains(lines[len(lines)-2], " omitted=") {
			t.Errorf("the last lines are\n%s\nwant the count of what was left out", strings.Join(lines[len(lines)-4:], "\n"))
		}
	})
}

// Twenty-five people who knock at once all see their lines, in the order of the
// article.
func TestHonestKnocksAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := telling(t)
		var want strings.Builder
		for n := range 25 {
			act(k, sequence(n))
			src := sequence(n).Source
			fmt.Fprintf(&want, "OS guess:  matched for %s\nport knock access sequence matched for %s\n", src, src)
			fmt.Fprintf(&want, "granted %s access to tcp/22 for 1s\ngranted %s access to udp/1194 for 1s\n", src, src)
		}
		var got strings.Builder
		for line := range strings.Lines(log.String()) {
			_, sentence, _ := strings.Cut(line, " ")
			sentence, _, _ = strings.Cut(sentence, " [")
			fmt.Fprintln(&got, sentence)
		}
		if got.String() != want.String() {
			t.Errorf("got\n%s\nwant\n%s", got.String(), want.String())
		}
	})
}

// failingGate cannot grant.
type failingGate struct{ gate.Gate }

func (failingGate) Grant(gate.Grant) error { return errors.New("the set is full") }

// Of a knock that is not let in, nothing is told but why.
func TestNothingIsMatchedWhenNothingIsGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := telling(t)
		k.gate = failingGate{k.gate}
		act(k, sequence(1))
		if strings.Contains(log.String(), "matched for") || strings.Count(log.String(), "cannot grant 198.51.0.1 access to ") != 2 {
			t.Errorf("the log says\n%s", log)
		}
	})
}

// The ends of grants that were told are told; the others' are limited.
func TestEndsAreToldLikeGrants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, log := telling(t)
		const knocks = 200
		for n := range knocks {
			act(k, sequence(n))
		}
		granted := strings.Count(log.String(), "event=granted")
		time.Sleep(time.Second)
		for range 2 * knocks {
			k.ended(<-k.timers.ends)
		}
		if n := strings.Count(log.String(), "event=ended"); n < granted || n > granted+60 || n > knocks {
			t.Errorf("%d ends told after %d grants that were told, want a few more", n, granted)
		}
	})
}
