package plan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/event"
	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
)

const accesses = `[[access]]
name = "shared"
sequence = ["tcp/7300", "tcp/7100", "udp/7200"]
open = ["tcp/22", "udp/1194"]
timeout = "30s"
require_os = "Linux|BSD"
limit = 3
prefix4 = 24
prefix6 = 64
[[access]]
name = "spa"
knock = "spa"
key = "0123456789abcdef"
allow_unauthenticated = true
open = ["tcp/22", "tcp/8000-8010"]
timeout = "30s"
max_timeout = "1m"
window = "2m"
single_use = true
[[access]]
name = "totp"
knock = "totp"
key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
open = ["udp/53"]
[[access]]
name = "off"
enabled = false
sequence = ["tcp/8300", "tcp/8100", "udp/8200"]
open = ["tcp/23"]
[[access]]
name = "free"
sequence = ["udp/9300", "udp/9100", "udp/9200"]
open = ["tcp/24"]
`

// Indexes of knock.Verdict.Access.
const shared, single, code, free = 0, 1, 2, 3

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, diags := policy.Parse("test.toml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// outline is a plan with the names of systems.
func outline(t testing.TB, text string) *Plan {
	t.Helper()
	p, err := Outline(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	p.systems = []string{"Linux 4.19 or newer"}
	return p
}

var (
	alice = netip.MustParseAddr("192.0.2.10")
	bob   = netip.MustParseAddr("2001:db8:1:2::b0b")
	now   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	token = spent.Token{1, 2, 3}
)

// asking is a verdict on an authenticated knock, with changes.
func asking(access int, reason knock.Reason, change ...func(*knock.Request)) knock.Verdict {
	r := &knock.Request{Allow: alice, Token: token, Forget: now.Add(time.Hour)}
	for _, f := range change {
		f(r)
	}
	return knock.Verdict{Time: now, Access: access, Source: alice, Reason: reason, Step: 1, Request: r}
}

// What is granted to whom, for how long, and what is spent before.
func TestDecisionsThatGrant(t *testing.T) {
	linux := p0f.Match{Confidence: p0f.Exact}
	for _, c := range []struct {
		name    string
		verdict knock.Verdict
		want    []string
	}{
		{"shared", knock.Verdict{Time: now, Access: shared, Source: alice, Step: 3, OS: linux}, []string{
			"spend no token, access shared, limit 3",
			"OS guess: Linux 4.19 or newer matched for 192.0.2.10",
			"port knock access sequence matched for 192.0.2.10",
			"granted 192.0.2.0/24 access to tcp/22 for 30s",
			"granted 192.0.2.0/24 access to udp/1194 for 30s",
		}},
		{"IPv6 prefix", knock.Verdict{Time: now, Access: shared, Source: bob, Step: 3, OS: linux}, []string{
			"spend no token, access shared, limit 3",
			"OS guess: Linux 4.19 or newer matched for 2001:db8:1:2::b0b",
			"port knock access sequence matched for 2001:db8:1:2::b0b",
			"granted 2001:db8:1:2::/64 access to tcp/22 for 30s",
			"granted 2001:db8:1:2::/64 access to udp/1194 for 30s",
		}},
		{"nothing to spend", knock.Verdict{Time: now, Access: free, Source: alice, Step: 3}, []string{
			"port knock access sequence matched for 192.0.2.10",
			"granted 192.0.2.10 access to tcp/24 for 30s",
		}},
		{"all of an access, without a timeout", asking(single, knock.None), []string{
			"spend 010203, access spa, limit 0",
			"decrypting SPA packet for 192.0.2.10",
			"granted 192.0.2.10 access to tcp/22 for 30s, once",
			"granted 192.0.2.10 access to tcp/8000-8010 for 30s, once",
		}},
		{"a port twice, for another, as a user, for less", asking(single, knock.None, func(r *knock.Request) {
			r.Allow, r.User, r.Timeout = bob, "mbr", 5*time.Second
			r.Open = []port.Range{port.Single(packet.TCP, 8001), port.Single(packet.TCP, 8001)}
		}), []string{
			"spend 010203, access spa, limit 0",
			"decrypting SPA packet for 192.0.2.10",
			"username mbr match",
			"granted 2001:db8:1:2::b0b access to tcp/8001 for 5s, once",
		}},
		{"longer than allowed", asking(single, knock.None, func(r *knock.Request) {
			r.Timeout, r.Open = time.Hour, []port.Range{port.Single(packet.TCP, 22)}
		}), []string{
			"spend 010203, access spa, limit 0",
			"decrypting SPA packet for 192.0.2.10",
			"granted 192.0.2.10 access to tcp/22 for 1m, once",
		}},
		{"one-time code", asking(code, knock.None), []string{
			"spend 010203, access totp, limit 0",
			"one-time code matched for 192.0.2.10",
			"granted 192.0.2.10 access to udp/53 for 30s",
		}},
	} {
		d := outline(t, accesses).Decide(&c.verdict)
		if !d.Granted() {
			t.Errorf("%s: refused: %v", c.name, d.Refused)
			continue
		}
		if diff := cmp.Diff(c.want, grantedText(&d)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// grantedText writes a decision that grants, a line per fact.
func grantedText(d *Decision) []string {
	var lines []string
	if e, any := d.ToSpend(); any {
		what := "no token"
		if e.Token != nil {
			what = fmt.Sprintf("%x", e.Token[:3])
		}
		lines = append(lines, fmt.Sprintf("spend %s, access %s, limit %d", what, e.Access, e.Limit))
	}
	grants := d.Grants()
	for _, e := range d.Successes(grants) {
		text := e.Line().Text
		if _, ok := e.(event.Granted); ok && grants[0].Once {
			text += ", once"
		}
		lines = append(lines, text)
	}
	return lines
}

// Every reason for which the log can refuse a knock, with what it says.
var refusals = []struct {
	verdict knock.Verdict
	store   error // of a decision that grants
	code    event.Code
	words   string
}{
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.OutOfOrder}, nil, event.CodeOutOfOrder, "sequence out of order"},
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.TooFast}, nil, event.CodeTooFast, "packets too close together"},
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.TooSlow}, nil, event.CodeTooSlow, "packets too far apart"},
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.Tripwire}, nil, event.CodeTripwire, "sent a packet to a tripwire port"},
	{knock.Verdict{Access: shared, Step: 3, Reason: knock.Scan}, nil, event.CodeScan, "looks like a port scan"},
	{knock.Verdict{Access: shared, Step: 3, Reason: knock.WrongOS}, nil, event.CodeWrongOS, "operating system does not match"},
	{knock.Verdict{Access: shared, Step: 3, Reason: knock.Expired}, nil, event.CodeExpired, "access has expired"},
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.Incomplete}, nil, event.CodeIncomplete, "sequence not completed"},
	{knock.Verdict{Access: shared, Step: 2, Reason: knock.Evicted}, nil, event.CodeEvicted, "too many unfinished knocks"},
	{knock.Verdict{Access: single, Step: 1, Reason: knock.Malformed}, nil, event.CodeMalformed, "malformed message"},
	{asking(single, knock.Late), nil, event.CodeLate, knock.Late.String()},
	{knock.Verdict{Access: knock.NoAccess, Step: 1, Reason: knock.NoKey}, nil, event.CodeNoKey, knock.NoKey.String()},
	{asking(code, knock.TooManyCodes), nil, event.CodeTooManyCodes, "too many wrong codes"},
	{asking(single, knock.WrongSource), nil, event.CodeWrongSource, "the access is not for this address"},
	{asking(single, knock.TooOld, func(r *knock.Request) { r.Clock = -5 * time.Minute }), nil, event.CodeTooOld, "5m"},
	{asking(single, knock.TooNew, func(r *knock.Request) { r.Clock = 3 * time.Minute }), nil, event.CodeTooNew, "3m"},
	{asking(single, knock.WrongUser), nil, event.CodeWrongUser, "the user may not knock here"},
	{asking(single, knock.OtherAddress, func(r *knock.Request) { r.Allow = bob }), nil, event.CodeOtherAddress, ": 2001:db8:1:2::b0b"},
	{asking(single, knock.NotOpen, func(r *knock.Request) { r.Open = []port.Range{port.Single(packet.TCP, 23)} }), nil, event.CodeNotOpen, ": tcp/23"},
	{asking(single, knock.Command), nil, event.CodeCommand, "asks for a command"},
	{asking(single, knock.NAT), nil, event.CodeNAT, "asks for a forwarded port"},
	{knock.Verdict{Access: single, Step: 1, Reason: knock.BadUser}, nil, event.CodeBadUser, "the user name is not UTF-8"},
	{asking(single, knock.None), spent.ErrSpent, event.CodeAlreadyUsed, "already used"},
	{asking(single, knock.None), spent.ErrLimit, event.CodeLimitReached, "the access has reached its limit"},
	{asking(single, knock.None), spent.ErrStale, event.CodePruned, "token is older than the pruned part of the store; check the system clock"},
}

func TestDecisionsThatRefuse(t *testing.T) {
	p := outline(t, accesses)
	seen := map[event.Code]bool{event.CodeChanged: true, event.CodeRepeated: true} // of the daemon
	reasons := make(map[knock.Reason]bool)
	for _, c := range refusals {
		c.verdict.Time, c.verdict.Source = now, alice
		d := p.Decide(&c.verdict)
		refused, ok := event.Event(d.Refusal()).(event.Refused)
		if c.store != nil {
			refused, ok = d.NotSpent(c.store).(event.Refused)
		}
		if !ok || d.Granted() != (c.store != nil) || refused.Code != c.code || !strings.Contains(refused.Reason, c.words) || refused.Step != c.verdict.Step {
			t.Errorf("%v, %v: %+v, want %s: %s", c.verdict.Reason, c.store, refused, c.code, c.words)
		}
		if refused.Authenticated != (c.verdict.Request != nil) || refused.Kind == "" != (c.verdict.Access == knock.NoAccess) {
			t.Errorf("%s: %+v", c.code, refused)
		}
		seen[c.code], reasons[c.verdict.Reason] = true, true
	}
	for r := knock.None; r <= knock.BadUser; r++ {
		if !reasons[r] {
			t.Errorf("the reason %q of the engine is not among them", r)
		}
	}
	for _, c := range event.Codes() {
		if !seen[c] {
			t.Errorf("the code %q is not among them", c)
		}
	}
}

// A failure of the store is no refusal: the event says what failed.
func TestAStoreThatFails(t *testing.T) {
	v := asking(single, knock.None)
	d := outline(t, accesses).Decide(&v)
	e, ok := d.NotSpent(fmt.Errorf("no space left on device")).(event.Unrecorded)
	if !ok || e.Err.Error() != "no space left on device" || e.Access != "spa" || !d.Granted() {
		t.Errorf("%+v", e)
	}
}

func TestBurn(t *testing.T) {
	for name, c := range map[string]struct {
		verdict knock.Verdict
		want    bool
	}{
		"authenticated": {asking(single, knock.WrongUser), true},
		"without end":   {asking(single, knock.WrongUser, func(r *knock.Request) { r.Forget = time.Time{} }), true},
		"out of date":   {asking(single, knock.TooOld, func(r *knock.Request) { r.Forget = now }), true},
		"no key":        {knock.Verdict{Time: now, Access: knock.NoAccess, Source: alice, Reason: knock.NoKey}, false},
		"shared":        {knock.Verdict{Time: now, Access: shared, Source: alice, Reason: knock.Scan}, false},
	} {
		d := outline(t, accesses).Decide(&c.verdict)
		e, any := d.ToBurn()
		if any != c.want || any && (*e.Token != token || e.Limit != 0 || e.Access != "spa") {
			t.Errorf("%s: %+v, %v", name, e, any)
		}
	}
}

// An access is the same after a reload if all that it says is, keys too.
func TestHas(t *testing.T) {
	before := outline(t, accesses)
	for name, c := range map[string]struct {
		after string
		want  bool
	}{
		"same":          {accesses, true},
		"moved":         {"# a comment\n" + accesses, true},
		"other timeout": {strings.ReplaceAll(accesses, "30s", "20s"), false},
		"other key":     {strings.Replace(accesses, "0123456789abcdef", "fedcba9876543210", 1), false},
		"renamed":       {strings.Replace(accesses, `"spa"`, `"spb"`, 1), false},
		"disabled":      {strings.Replace(accesses, "name = \"spa\"", "name = \"spa\"\nenabled = false", 1), false},
	} {
		after := outline(t, accesses)
		if c.after != accesses {
			after = outline(t, c.after)
		}
		if ok := after.Has(before.Accesses[single]); ok != c.want {
			t.Errorf("%s: %v, want %v", name, ok, c.want)
		}
	}
	d := Decision{Refused: Changed, Access: before.Accesses[single], Source: alice}
	if e := d.Refusal(); e.Code != event.CodeChanged || e.Reason != "the access was changed by a reload meanwhile" {
		t.Errorf("%+v", e)
	}
}
