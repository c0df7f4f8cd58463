package metrics_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/metrics"
)

// scrape returns the lines of our own metrics, without help and types.
func scrape(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) []string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := client.Get("http://nftknockd/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", resp.Status, err, text)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "nftknock_")
	})
}

// serve serves metrics at an address until the test ends, and returns how to dial them.
func serve(t *testing.T, m *metrics.Metrics, address string) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	l, err := metrics.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, l.Addr().Network(), l.Addr().String())
	}
}

func TestMetrics(t *testing.T) {
	state := metrics.State{
		Ready: true, Accesses: 3, Conditions: map[string]bool{"policy": true, "store": false},
		Workers: []metrics.Worker{{Group: 5, Packets: 7, Lost: 2}},
	}
	m := metrics.New(func() metrics.State { return state })
	at := time.Unix(1700000000, 500e6)
	failed := errors.New("no")
	for _, e := range []event.Event{
		event.Ready{},
		event.KnockMatched{Knock: event.Knock{Access: "ssh"}},
		event.Granted{Grant: event.Grant{Knock: event.Knock{Access: "ssh"}}},
		event.Granted{Grant: event.Grant{Knock: event.Knock{Access: "ssh"}}},
		event.Refused{Knock: event.Knock{Access: "ssh"}, Code: event.CodeTooSlow},
		event.Refused{Code: event.CodeNoKey},
		event.GrantFailed{Grant: event.Grant{Knock: event.Knock{Access: "ssh"}}, Err: failed},
		event.Unrecorded{Knock: event.Knock{Access: "ssh"}, Err: failed},
		event.Ended{}, event.EndedEarly{},
		event.Repaired{}, event.RepairFailed{Err: failed},
		event.Reloaded{}, event.ReloadFailed{Err: failed}, event.Overload{},
	} {
		m.Consume(event.Record{Event: e, Time: at})
	}
	want := []string{
		`nftknock_accesses 3`,
		`nftknock_condition{name="policy"} 1`,
		`nftknock_condition{name="store"} 0`,
		`nftknock_grants_ended_total 2`,
		`nftknock_knocks_total{access="",reason="no_key",result="refused"} 1`,
		`nftknock_knocks_total{access="ssh",reason="",result="granted"} 1`,
		`nftknock_knocks_total{access="ssh",reason="store",result="failed"} 1`,
		`nftknock_knocks_total{access="ssh",reason="table",result="failed"} 1`,
		`nftknock_knocks_total{access="ssh",reason="too_slow",result="refused"} 1`,
		`nftknock_last_reload_success 0`,
		`nftknock_last_reload_success_timestamp_seconds 1.7000000005e+09`,
		`nftknock_overloads_total 1`,
		`nftknock_packets_lost_total{group="5"} 2`,
		`nftknock_packets_total{group="5"} 7`,
		`nftknock_ready 1`,
		`nftknock_reloads_total{result="failed"} 1`,
		`nftknock_reloads_total{result="ok"} 1`,
		`nftknock_table_rebuilds_total{result="failed"} 1`,
		`nftknock_table_rebuilds_total{result="ok"} 1`,
	}
	for _, address := range []string{"127.0.0.1:0", "unix:" + filepath.Join(t.TempDir(), "run", "metrics.sock")} {
		if got := scrape(t, serve(t, m, address)); !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", address, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A second daemon does not take the address of the first.
func TestAddressIsTaken(t *testing.T) {
	m := metrics.New(func() metrics.State { return metrics.State{} })
	address := "unix:" + filepath.Join(t.TempDir(), "metrics.sock")
	serve(t, m, address)
	if l, err := metrics.Listen(address); err == nil {
		l.Close()
		t.Error("two listeners at one socket")
	} else if !strings.Contains(err.Error(), address) {
		t.Errorf("%v; want the address in it", err)
	}
}

// docs/metrics.md has every metric, and no other.
func TestDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	for _, name := range regexp.MustCompile("`(nftknock_[a-z_]+)`").FindAllStringSubmatch(string(page), -1) {
		documented[name[1]] = true
	}
	m := metrics.New(func() metrics.State {
		return metrics.State{Conditions: map[string]bool{"x": true}, Workers: []metrics.Worker{{}}}
	})
	m.Consume(event.Record{Event: event.KnockMatched{}})
	found := make(map[string]bool)
	for _, line := range scrape(t, serve(t, m, "127.0.0.1:0")) {
		found[line[:strings.IndexAny(line, "{ ")]] = true
	}
	if !maps.Equal(found, documented) {
		t.Errorf("metrics %v, documented %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(documented)))
	}
}
