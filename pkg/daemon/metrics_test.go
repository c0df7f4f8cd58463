package daemon_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/pkg/policy"
)

// scrape returns the metrics of the daemon that listens on a socket.
func scrape(t *testing.T, path string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}}
	resp, err := client.Get("http://nftknockd/metrics")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The metrics say what happens, and what is wrong; where they cannot be served, the daemon
// works without them and tries again.
func TestMetrics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.sock")
	// A file is in the way.
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, fmt.Sprintf("[metrics]\nlisten = %q\n", "unix:"+path)+ssh)
	r.log.await(t, "the metrics cannot be served: ")
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "the metrics are served again")
	wants := func(lines ...string) {
		t.Helper()
		text := scrape(t, path)
		for _, line := range lines {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("no %s in\n%s", line, text)
			}
		}
	}
	wants(`nftknock_knocks_total{access="ssh",reason="",result="granted"} 1`, "nftknock_ready 1", "nftknock_accesses 1",
		`nftknock_packets_total{group="5"} 3`, `nftknock_condition{name="policy"} 0`, `nftknock_condition{name="metrics"} 0`,
		"nftknock_last_reload_success 1")
	bad := policy.Diagnostic{File: "test.toml", Severity: policy.SeverityError, Message: "bad"}
	if r.reload(fmt.Sprintf("[metrics]\nlisten = %q\n", "unix:"+path)+ssh, bad) == nil {
		t.Error("a bad policy was accepted")
	}
	wants(`nftknock_condition{name="policy"} 1`, "nftknock_last_reload_success 0", `nftknock_reloads_total{result="failed"} 1`)
}
