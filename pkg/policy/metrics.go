package policy

import (
	"net/netip"
	"strings"
)

// Metrics says where the counters of the daemon can be read.
type Metrics struct {
	Listen string // "ADDRESS:PORT", "unix:/PATH", or empty for nowhere
}

func readMetrics(t *table, c *Metrics) {
	if t.text("listen", &c.Listen) && !isListen(c.Listen) {
		t.fail(t.valueAt("listen"), "bad listen "+quote(c.Listen),
			`want a loopback address and a port, "127.0.0.1:9798" or "[::1]:9798", or "unix:/run/nftknock/metrics.sock", or "" for none`)
	}
	t.finish()
}

// isListen accepts loopback addresses only: whoever reads the metrics learns which accesses
// there are and how often they are used, and they come without a password. A name would
// have to be resolved, which may fail at every start.
func isListen(s string) bool {
	if path, ok := strings.CutPrefix(s, "unix:"); ok || s == "" {
		return !ok || isSocket(path)
	}
	a, err := netip.ParseAddrPort(s)
	return err == nil && a.Addr().IsLoopback() && a.Port() != 0
}
