package daemon

import (
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
)

// access is the one that a verdict is about, as its plan has it.
func (d decision) access() *policy.Access { return d.plan.Accesses[d.verdict.Access] }

// os names the system a verdict speaks of, or is empty where none was told.
func (d decision) os() string {
	m := d.verdict.OS
	if m.Confidence == p0f.None {
		return ""
	}
	return d.plan.labels[m.Label].String()
}

// osRequired is the requirement as the administrator wrote it.
func osRequired(a *policy.Access) string {
	return strings.TrimPrefix(a.RequireOS.String(), "(?i)")
}

// refusal says why a knock failed.
func refusal(d decision, a *policy.Access, reason string) string {
	src := d.verdict.Source.String()
	if d.verdict.Reason != knock.WrongOS {
		return "port knock access sequence refused for " + src + ": " + reason
	}
	os := d.os()
	if os == "" {
		os = "unknown"
	}
	return "OS guess: " + os + " not accepted for " + src + ", required: " + osRequired(a)
}

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

// cutComment splits an element's comment into access and method.
func cutComment(s string) (access, method string) {
	access, method, _ = strings.Cut(s, " ")
	return access, method
}

// limiter keeps strangers from filling the log.
type limiter struct {
	limit   *rate.Limiter
	omitted int
}

// allow reports whether a line may be written at a time, and if so how many
// were not since the last.
func (l *limiter) allow(at time.Time) (ok bool, omitted int) {
	if !l.limit.AllowN(at, 1) {
		l.omitted++
		return false, 0
	}
	omitted, l.omitted = l.omitted, 0
	return true, omitted
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// services writes what an access opens.
func services(list []gate.Service) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = s.String()
	}
	return strings.Join(words, ",")
}
