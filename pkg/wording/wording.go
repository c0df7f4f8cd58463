// Package wording writes numbers, times and sources the way people write them. Messages
// and logs of all packages use it, so that the same value reads the same
// everywhere.
package wording

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Count writes a number with its noun: "1 access", "2 accesses".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Duration writes a duration without zero units at its end: "30s", "5m", "1h30m",
// where String gives "5m0s". time.ParseDuration reads it.
func Duration(d time.Duration) string {
	s := d.String()
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

// Source writes whom a grant is for: an address, or a prefix of several.
func Source(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}
