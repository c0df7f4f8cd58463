package policy

import (
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// readWithoutEffect reads the section that only later versions use. Metrics that are
// missing make nothing less safe, so a warning is enough.
func readWithoutEffect(root *table) {
	metrics := root.section("metrics")
	metrics.ineffective("listen", `"127.0.0.1:9798", "unix:/run/nftknock/metrics.sock" or ""`, isListen)
	metrics.finish()
}

// ineffective checks a string with which nothing is done yet. It warns of any but an
// empty one.
func (t *table) ineffective(key, want string, ok func(string) bool) {
	var s string
	switch {
	case !t.text(key, &s):
	case !ok(s):
		t.fail(t.valueAt(key), "bad "+key+" "+quote(s), "want "+want)
	// No error: metrics that are missing open nothing.
	case s != "":
		t.warn(t.keyAt(key), key+" has no effect in this version", "")
	}
}

func isPath(s string) bool { return filepath.IsAbs(s) && !strings.ContainsRune(s, 0) }

// isSocket: sun_path of unix(7) holds 108 bytes with the NUL at its end.
func isSocket(s string) bool { return isPath(s) && len(s) < 108 }

func isListen(s string) bool {
	if path, ok := strings.CutPrefix(s, "unix:"); ok || s == "" {
		return !ok || isSocket(path)
	}
	// Only addresses: a name would have to be resolved, which may fail at every start.
	// IPv6 addresses stand in brackets, so the port is behind the last colon.
	host, port, ok := cutLast(s, ":")
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return false
	}
	if host == "" || host == "localhost" {
		return true
	}
	_, err = netip.ParseAddrPort(s)
	return err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
