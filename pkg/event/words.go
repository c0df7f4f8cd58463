package event

import (
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// who writes a source as the log has it: an address, or a prefix.
func who(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// reason is the field of an error.
func reason(err error) slog.Attr { return slog.String("reason", err.Error()) }

// brief writes a duration without the zero units that String gives: 30s, 5m,
// 1h30m.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
