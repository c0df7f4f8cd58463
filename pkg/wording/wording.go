// Package wording formats numbers, durations and sources for people. All packages use it for
// messages and logs, so that a value looks the same everywhere.
package wording

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Count formats a number with its noun: "1 access", "2 accesses".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Duration formats a duration without zero units at its end: "30s", "5m" and "1h30m", for
// which String returns "5m0s" and "1h30m0s". time.ParseDuration parses the result.
func Duration(d time.Duration) string {
	s := d.String()
	// With the unit before it, since "10s" and "20m" end in a zero unit only by their letters.
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Time writes a moment in UTC, to the millisecond: "2026-01-02T15:04:05.678Z".
func Time(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Prefix formats a source of packets: an address, or a prefix of several addresses.
func Prefix(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
