package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// access is the one that a verdict is about, as its plan has it; nil where the
// knock may have been meant for several.
func (d decision) access() *policy.Access {
	if d.verdict.Access == knock.NoAccess {
		return nil
	}
	return d.plan.Accesses[d.verdict.Access]
}

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

// opening is what the log says of a knock that is honoured, up to its source.
func opening(a *policy.Access) string {
	switch a.Knock {
	case policy.KnockEncrypted:
		return "decrypting knock sequence for "
	case policy.KnockTOTP:
		return "one-time code matched for "
	case policy.KnockSPA:
		return "decrypting SPA packet for "
	}
	return "port knock access sequence matched for "
}

// noun is what the log calls a knock.
func noun(a *policy.Access) string {
	switch {
	case a == nil:
		return "knock"
	case a.Knock == policy.KnockEncrypted:
		return "encrypted knock sequence"
	case a.Knock == policy.KnockTOTP:
		return "one-time code"
	case a.Knock == policy.KnockSPA:
		return "SPA packet"
	}
	return "port knock access sequence"
}

// reason says why the engine refused a knock, with what it knows besides.
func (d decision) reason() string {
	v, req := &d.verdict, d.verdict.Request
	words := v.Reason.String()
	if req == nil {
		return words
	}
	switch v.Reason {
	case knock.TooOld:
		return words + ": it was made " + brief(-req.Clock) + " before it came, and " + brief(d.access().Window) + " are allowed: do the clocks agree?"
	case knock.TooNew:
		return words + ": it was made " + brief(req.Clock) + " after it came, and " + brief(d.access().Window) + " are allowed: do the clocks agree?"
	case knock.OtherAddress:
		return words + ": " + req.Allow.String()
	case knock.NotOpen:
		return words + ": " + joined(req.Open)
	}
	return words
}

// refusal is the sentence about a knock that failed.
func (d decision) refusal(reason string) string {
	src, a := d.verdict.Source.String(), d.access()
	if d.verdict.Reason != knock.WrongOS {
		return noun(a) + " refused for " + src + ": " + reason
	}
	os := d.os()
	if os == "" {
		os = "unknown"
	}
	return "OS guess: " + os + " not accepted for " + src + ", required: " + osRequired(a)
}

// stray reports whether a verdict is about a packet that was most likely no
// part of a knock.
func (d decision) stray() bool {
	a := d.access()
	return d.verdict.Step < 2 && a != nil && a.Knock == policy.KnockShared
}

// fields are those that all events of a verdict have.
func (d decision) fields(event string) []any {
	fields := []any{"event", event, "src", d.verdict.Source}
	if a := d.access(); a != nil {
		fields = append(fields, "access", a.Name, "knock", a.Knock)
	}
	return fields
}

// outcome are the fields of what became of a knock that asks for a service of an
// access.
func (d decision) outcome(event string, a *policy.Access, service port.Range) []any {
	fields := []any{"event", event, "src", d.allow(), "access", a.Name, "knock", a.Knock,
		"open", service.String(), "timeout", d.timeout(a).String()}
	if d.allow() != d.verdict.Source {
		fields = append(fields, "by", d.verdict.Source)
	}
	if os := d.os(); os != "" {
		fields = append(fields, "os", os)
	}
	if user := d.user(); user != "" {
		fields = append(fields, "user", user)
	}
	return fields
}

// knock is the kind of knock, empty where that is not known.
func (d decision) knock() policy.Knock {
	if a := d.access(); a != nil {
		return a.Knock
	}
	return ""
}

// allow is whom the knock lets in.
func (d decision) allow() netip.Addr {
	if req := d.verdict.Request; req != nil {
		return req.Allow
	}
	return d.verdict.Source
}

// user is who knocked, as far as the knock says.
func (d decision) user() string {
	if req := d.verdict.Request; req != nil {
		return req.User
	}
	return ""
}

// open is what the knock opens.
func (d decision) open(a *policy.Access) []port.Range {
	if d.verdict.Request == nil || d.verdict.Request.Open == nil {
		return a.Open
	}
	return distinct(slices.Clone(d.verdict.Request.Open))
}

// timeout is how long it opens it: as long as the knock asks for, within what
// the access allows.
func (d decision) timeout(a *policy.Access) time.Duration {
	if d.verdict.Request == nil || d.verdict.Request.Timeout == 0 {
		return a.Timeout
	}
	return min(d.verdict.Request.Timeout, a.MaxTimeout)
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

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// joined writes services or elements, with commas between.
func joined[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, item := range list {
		words[i] = item.String()
	}
	return strings.Join(words, ",")
}
