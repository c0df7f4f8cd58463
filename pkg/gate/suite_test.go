package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns/netnstest"
)

// subject is a Gate under test, and how time passes for it.
type subject struct {
	Gate
	pass func(time.Duration)
}

// TestGate holds Kernel and Fake to the same behaviour.
func TestGate(t *testing.T) {
	makers := map[string]func(*testing.T) subject{
		"kernel": func(t *testing.T) subject {
			// The kernel's clock is the one that cannot be injected.
			return subject{open(t, netnstest.New(t), Config{}), time.Sleep}
		},
		"fake": func(t *testing.T) subject {
			c := &clock{now: time.Unix(1e9, 0)}
			f, err := NewFake(Config{}, c.Now)
			if err != nil {
				t.Fatal(err)
			}
			return subject{f, c.pass}
		},
	}
	for name, newSubject := range makers {
		for _, tt := range behaviours {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				tt.check(t, newSubject(t))
			})
		}
	}
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var behaviours = []struct {
	name  string
	check func(*testing.T, subject)
}{
	{"without a table nothing is granted", withoutTable},
	{"grants are listed in order", listed},
	{"a grant ends by itself", ends},
	{"the same grant again starts its time anew", extends(MinTimeout)},
	{"a longer grant again starts its time anew", extends(2 * MinTimeout)},
	{"a grant never shortens", neverShortens},
	{"a range is one grant", grantsRange},
	{"sources and services are revoked as far as they reach", revokesWithin},
	{"one grant is withdrawn alone", withdrawsOne},
	{"a grant lasts until it ends or is revoked", lasts},
	{"a prefix is granted as a whole", grantsPrefix},
	{"a prefix may begin with no host's address", grantsLowPrefix},
	{"what the ruleset does not open is not granted", needsRoom},
	{"an access has its quota", keepsQuota},
	{"grants of an earlier ruleset stay", keepsLeftover},
	{"a revoked grant is gone", revokes},
	{"bad grants are refused", refuses},
	{"bad revocations are refused", refusesRevocations},
	{"an IPv4 address inside IPv6 is IPv4", unmaps},
	{"comments are made to fit", comments},
	{"a grant leads to a target", leadsToTarget},
	{"a grant leads to another target", changesTarget},
	{"what leads to a target needs a map", needsMap},
	{"bad targets are refused", refusesTargets},
	{"grants with targets of an earlier ruleset stay until they are withdrawn", keepsTargets},
	{"another ruleset keeps the grants", keepsGrants},
	{"bad rulesets change nothing", refusesRuleset},
	{"thousands of grants", thousands},
	{"a full set refuses all of a grant", full},
	{"a removed table is gone", removes},
	{"grants can be surveyed from another goroutine", surveys},
	{"a closed gate does nothing", closed},
}

func applied(t *testing.T, s subject) subject {
	t.Helper()
	apply(t, s, &Ruleset{Protected: services("tcp/22"), Group: 5})
	return s
}

// wantGrants compares but for what changes with time.
func wantGrants(t *testing.T, g Gate, want ...Grant) {
	t.Helper()
	got := grants(t, g)
	for _, g := range got {
		if g.Remaining <= 0 || g.Remaining > g.Timeout {
			t.Errorf("%v left of %v", g.Remaining, g.Timeout)
		}
	}
	opts := cmp.Options{
		cmpopts.IgnoreFields(Grant{}, "Remaining"),
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("grants want (-), got (+):\n%s", diff)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func withoutTable(t *testing.T, s subject) {
	ssh := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, s.Grant(ssh), ErrNoTable)
	wantError(t, revoke(s, ssh.Source, ssh.Service), ErrNoTable)
	_, err := s.Grants()
	wantError(t, err, ErrNoTable)
	if s.Owned() {
		t.Error("owned before there is a table")
	}
}

func listed(t *testing.T, s subject) {
	applied(t, s)
	wantGrants(t, s)
	v6 := Grant{Source: from("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute, Access: "ssh", Method: "shared"}
	udp := Grant{Source: from("192.0.2.1"), Service: service("udp/53"), Timeout: defaultTimeout}
	tcp := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: 1500 * time.Millisecond, Access: "a"}
	other := Grant{Source: from("10.0.0.1"), Service: service("tcp/22"), Timeout: 24 * time.Hour, Access: "b"}
	for _, g := range []Grant{v6, udp, tcp, other} {
		grant(t, s, g)
	}
	wantGrants(t, s, other, tcp, udp, v6)
}

func ends(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: MinTimeout}
	grant(t, s, g)
	wantGrants(t, s, g)
	s.pass(MinTimeout + 50*time.Millisecond)
	wantGrants(t, s)
	wantError(t, revoke(s, g.Source, g.Service), ErrNoGrant)
	grant(t, s, g)
	wantGrants(t, s, g)
}

func extends(next time.Duration) func(*testing.T, subject) {
	return func(t *testing.T, s subject) {
		applied(t, s)
		g := Grant{Source: from("2001:db8::1"), Service: service("tcp/22"), Timeout: MinTimeout, Access: "first"}
		grant(t, s, g)
		s.pass(MinTimeout / 2)
		g.Timeout, g.Access = next, "second"
		grant(t, s, g)
		s.pass(MinTimeout/2 + 50*time.Millisecond)
		wantGrants(t, s, g)
		s.pass(next)
		wantGrants(t, s)
	}
}

func neverShortens(t *testing.T, s subject) {
	applied(t, s)
	long := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Hour, Access: "long"}
	grant(t, s, long)
	short := long
	short.Timeout, short.Access = time.Minute, "short"
	grant(t, s, short)
	wantGrants(t, s, long)
}

func grantsRange(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Protected: services("udp/1000-1999"), Openings: openings("udp/1000-1999")})
	g := Grant{Source: from("2001:db8::1"), Service: service("udp/1000-1999"), Timeout: time.Minute, Access: "range"}
	grant(t, s, g)
	grant(t, s, g)
	single := g
	single.Service = service("udp/1001")
	grant(t, s, single)
	wantGrants(t, s, g, single)
}

func revokesWithin(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: openings("tcp/20-25")})
	all := Grant{Source: from("192.0.2.1"), Service: service("tcp/20-25"), Timeout: time.Minute}
	one := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	other := Grant{Source: from("192.0.2.2"), Service: service("tcp/22"), Timeout: time.Minute}
	v6 := Grant{Source: from("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute}
	for _, g := range []Grant{all, one, other, v6} {
		grant(t, s, g)
	}
	wantError(t, revoke(s, one.Source, service("tcp/23-25")), ErrNoGrant)
	wantError(t, revoke(s, one.Source, service("udp/22")), ErrNoGrant)
	if err := revoke(s, one.Source, one.Service); err != nil {
		t.Error(err)
	}
	wantGrants(t, s, all, other, v6)
	if err := revoke(s, prefix("192.0.2.0/24"), service("tcp/1-100")); err != nil {
		t.Error(err)
	}
	wantGrants(t, s, v6)
}

// withdrawsOne ends grants that others lie within, or stand beside, and no other.
func lasts(t *testing.T, s subject) {
	ssh := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: MinTimeout}
	if _, err := s.Lasts(ssh); !errors.Is(err, ErrNoTable) {
		t.Errorf("without a table: %v", err)
	}
	apply(t, s, &Ruleset{Openings: []Opening{{Service: service("tcp/20-25")}, {Service: service("tcp/22"), Bits4: 24, Once: true}}})
	want := func(g Grant, want bool) {
		t.Helper()
		if got, err := s.Lasts(g); got != want || err != nil {
			t.Errorf("%v of %v lasts: %v, %v, want %v", g.Service, g.Source, got, err, want)
		}
	}
	six := Grant{Source: from("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute}
	wide := Grant{Source: from("192.0.2.1"), Service: service("tcp/20-25"), Timeout: time.Minute}
	once := Grant{Source: prefix("192.0.2.0/24"), Service: service("tcp/22"), Once: true, Timeout: time.Minute}
	unopened := Grant{Source: from("192.0.2.1"), Service: service("tcp/30-35"), Once: true, Timeout: time.Minute}
	all := []Grant{ssh, six, wide, once}
	for i, g := range all {
		want(g, false)
		grant(t, s, g)
		for j, other := range all {
			want(other, j <= i)
		}
	}
	want(unopened, false)
	if err := s.Withdraw(once); err != nil {
		t.Fatal(err)
	}
	want(once, false)
	want(wide, true)
	s.pass(MinTimeout + 100*time.Millisecond)
	want(ssh, false)
	want(six, true)
	if _, err := s.Lasts(Grant{}); err == nil {
		t.Error("a bad grant: no error")
	}
}

func withdrawsOne(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: []Opening{
		{Service: service("tcp/20-25")}, {Service: service("tcp/20-25"), Bits4: 24}, {Service: service("tcp/20-25"), Once: true},
	}})
	all := Grant{Source: from("192.0.2.1"), Service: service("tcp/20-25"), Timeout: time.Minute, Access: "a"}
	one := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	twin := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Once: true, Timeout: time.Minute}
	network := Grant{Source: prefix("192.0.2.0/24"), Service: service("tcp/22"), Timeout: time.Minute}
	for _, g := range []Grant{all, one, twin, network} {
		grant(t, s, g)
	}
	left := grants(t, s)
	for _, g := range []Grant{all, network, twin} {
		if err := s.Withdraw(g); err != nil {
			t.Errorf("withdraw %v of %v: %v", g.Service, g.Source, err)
		}
		wantError(t, s.Withdraw(g), ErrNoGrant)
		left = slices.DeleteFunc(left, func(l Grant) bool { return l.element() == g.element() })
		if got := grants(t, s); len(got) != len(left) {
			t.Fatalf("%d grants after %v of %v, want %d", len(got), g.Service, g.Source, len(left))
		}
	}
	ended, err := s.Revoke(one.Source, one.Service)
	if err != nil || len(ended) != 1 || ended[0].element() != one.element() || ended[0].Remaining <= 0 || ended[0].Remaining > time.Minute {
		t.Errorf("revoked %+v, %v", ended, err)
	}
	wantGrants(t, s)
	if err := s.Withdraw(Grant{Source: from("192.0.2.1")}); err == nil || errors.Is(err, ErrNoGrant) {
		t.Errorf("no service: %v", err)
	}
}

func grantsPrefix(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: []Opening{{Service: service("tcp/20-25"), Bits4: 24, Bits6: 64}}})
	g := Grant{Source: prefix("192.0.2.1/24"), Service: service("tcp/20-25"), Timeout: time.Minute, Access: "a", Method: "m"}
	v6 := Grant{Source: prefix("2001:db8::1/64"), Service: service("tcp/20"), Timeout: time.Minute}
	mapped := Grant{Source: prefix("::ffff:198.51.100.7/120"), Service: service("tcp/20"), Timeout: time.Minute}
	for _, g := range []Grant{g, v6, mapped} {
		grant(t, s, g)
	}
	g.Source, v6.Source, mapped.Source = prefix("192.0.2.0/24"), prefix("2001:db8::/64"), prefix("198.51.100.0/24")
	wantGrants(t, s, g, mapped, v6)
	if err := revoke(s, from("192.0.2.1"), g.Service); !errors.Is(err, ErrNoGrant) {
		t.Errorf("a prefix was revoked for one of its addresses: %v", err)
	}
	if err := revoke(s, g.Source, g.Service); err != nil {
		t.Error(err)
	}
	wantGrants(t, s, mapped, v6)
}

// The first address of a short prefix is often the unspecified one.
func grantsLowPrefix(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: []Opening{{Service: service("tcp/22"), Bits4: 4, Bits6: 2}}})
	v4 := Grant{Source: prefix("11.0.0.77/4"), Service: service("tcp/22"), Timeout: time.Minute}
	v6 := Grant{Source: prefix("2001:db8::1/2"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, s, v4)
	grant(t, s, v6)
	v4.Source, v6.Source = prefix("0.0.0.0/4"), prefix("::/2")
	wantGrants(t, s, v4, v6)
	if err := revoke(s, v4.Source, v4.Service); err != nil {
		t.Error(err)
	}
	wantGrants(t, s, v6)
}

func needsRoom(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: []Opening{{Service: service("tcp/20-25"), Bits4: 24}}})
	for name, g := range map[string]Grant{
		"another range":           {Source: prefix("192.0.2.0/24"), Service: service("tcp/20-24")},
		"another prefix":          {Source: prefix("192.0.2.0/25"), Service: service("tcp/20")},
		"a range for one address": {Source: from("192.0.2.1"), Service: service("tcp/20-25")},
		"single use":              {Source: from("192.0.2.1"), Service: service("tcp/20"), Once: true},
		"a prefix over UDP":       {Source: prefix("192.0.2.0/24"), Service: service("udp/20")},
	} {
		g.Timeout = time.Minute
		if err := s.Grant(g); !errors.Is(err, ErrNoRoom) {
			t.Errorf("%s: %v, want ErrNoRoom", name, err)
		}
	}
	wantGrants(t, s)
}

func keepsQuota(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Quotas: map[string]int{"a": 2}})
	give := func(access, source string, timeout time.Duration) error {
		return s.Grant(Grant{Source: from(source), Service: service("tcp/22"), Timeout: timeout, Access: access})
	}
	for n, g := range []struct {
		access, source string
		want           error
	}{
		{"a", "10.0.0.1", nil}, {"a", "10.0.0.2", nil}, {"a", "10.0.0.3", ErrQuota},
		{"a", "10.0.0.2", nil}, // again
		{"b", "10.0.0.3", nil}, {"a", "2001:db8::1", nil}, {"a", "2001:db8::2", nil}, {"a", "2001:db8::3", ErrQuota},
	} {
		if err := give(g.access, g.source, MinTimeout); !errors.Is(err, g.want) {
			t.Errorf("%d: %v, want %v", n, err, g.want)
		}
	}
	s.pass(MinTimeout + 50*time.Millisecond)
	if err := give("a", "10.0.0.3", time.Minute); err != nil {
		t.Errorf("after the first two ended: %v", err)
	}
	if err := revoke(s, from("10.0.0.3"), service("tcp/22")); err != nil {
		t.Error(err)
	}
	for _, source := range []string{"10.0.0.4", "10.0.0.5"} {
		if err := give("a", source, time.Minute); err != nil {
			t.Errorf("after one was revoked: %v", err)
		}
	}
}

func keepsLeftover(t *testing.T, s subject) {
	apply(t, s, &Ruleset{Openings: []Opening{{Service: service("tcp/20-25"), Bits4: 24, Once: true}}})
	g := Grant{Source: prefix("192.0.2.0/24"), Service: service("tcp/20-25"), Once: true, Timeout: time.Minute}
	grant(t, s, g)
	for range 2 {
		apply(t, s, &Ruleset{})
		wantGrants(t, s, g)
		wantError(t, s.Grant(g), ErrNoRoom)
	}
	if err := revoke(s, g.Source, g.Service); err != nil {
		t.Error(err)
	}
	apply(t, s, &Ruleset{})
	wantGrants(t, s)
}

func revokes(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, revoke(s, g.Source, g.Service), ErrNoGrant)
	grant(t, s, g)
	if err := revoke(s, from("::ffff:192.0.2.1"), g.Service); err != nil {
		t.Error(err)
	}
	wantGrants(t, s)
	wantError(t, revoke(s, g.Source, g.Service), ErrNoGrant)
}

func refuses(t *testing.T, s subject) {
	applied(t, s)
	good := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	bad := map[string]func(*Grant){
		"no timeout":            func(g *Grant) { g.Timeout = 0 },
		"30 ns":                 func(g *Grant) { g.Timeout = 30 },
		"under a second":        func(g *Grant) { g.Timeout = MinTimeout - 1 },
		"negative timeout":      func(g *Grant) { g.Timeout = -time.Hour },
		"no source":             func(g *Grant) { g.Source = netip.Prefix{} },
		"everybody":             func(g *Grant) { g.Source = prefix("0.0.0.0/0") },
		"everybody, IPv6":       func(g *Grant) { g.Source = prefix("::/0") },
		"unspecified IPv4":      func(g *Grant) { g.Source = from("0.0.0.0") },
		"unspecified IPv6":      func(g *Grant) { g.Source = from("::") },
		"unspecified mapped":    func(g *Grant) { g.Source = from("::ffff:0.0.0.0") },
		"multicast":             func(g *Grant) { g.Source = from("ff02::1") },
		"icmp":                  func(g *Grant) { g.Service = port.Single(packet.ICMP, 1) },
		"no service":            func(g *Grant) { g.Service = port.Range{} },
		"no port":               func(g *Grant) { g.Service = port.Range{Protocol: packet.TCP} },
		"ports the wrong way":   func(g *Grant) { g.Service = port.Range{Protocol: packet.TCP, First: 23, Last: 22} },
		"ports from zero":       func(g *Grant) { g.Service = port.Range{Protocol: packet.TCP, First: 0, Last: 22} },
		"protocol without port": func(g *Grant) { g.Service = port.Single(packet.Protocol(47), 1) },
	}
	for name, spoil := range bad {
		g := good
		spoil(&g)
		if s.Grant(g) == nil {
			t.Errorf("%s: granted %+v", name, g)
		}
	}
	wantGrants(t, s)
}

func refusesRevocations(t *testing.T, s subject) {
	applied(t, s)
	if err := revoke(s, netip.Prefix{}, service("tcp/22")); err == nil || errors.Is(err, ErrNoGrant) {
		t.Errorf("no source: %v", err)
	}
	if err := revoke(s, from("192.0.2.1"), port.Range{}); err == nil || errors.Is(err, ErrNoGrant) {
		t.Errorf("no service: %v", err)
	}
}

func unmaps(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("::ffff:192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, s, g)
	g.Source = from("192.0.2.1")
	wantGrants(t, s, g)
}

func comments(t *testing.T, s subject) {
	tests := []struct{ access, method, wantAccess, wantMethod string }{
		{"", "", "", ""},
		{"ssh", "shared", "ssh", "shared"},
		{"say", `"ssh" twice`, "say", "'ssh' twice"},
		{"a b", "c", "a_b", "c"},
		{"a", "b\x00c\x1b[31m", "a", "b c [31m"},
		{"a", strings.Repeat("x", 200), "a", strings.Repeat("x", 126)},
		{"a", "x" + strings.Repeat("ä", 100), "a", "x" + strings.Repeat("ä", 62)},
		{"a", "\xff" + strings.Repeat("x", 200), "a", "\uFFFD" + strings.Repeat("x", 123)},
	}
	applied(t, s)
	for n, tt := range tests {
		source := Host(netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)}))
		grant(t, s, Grant{Source: source, Service: service("tcp/22"), Timeout: time.Minute, Access: tt.access, Method: tt.method})
		got := grants(t, s)[n]
		if got.Access != tt.wantAccess || got.Method != tt.wantMethod || !utf8.ValidString(got.Method) {
			t.Errorf("%q by %q became %q by %q, want %q by %q", tt.access, tt.method, got.Access, got.Method, tt.wantAccess, tt.wantMethod)
		}
	}
}

func keepsGrants(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute, Access: "kept"}
	v6 := Grant{Source: from("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute, Access: "kept"}
	grant(t, s, g)
	grant(t, s, v6)
	s.pass(20 * time.Millisecond)
	for _, tt := range rulesets() {
		apply(t, s, &tt.ruleset)
		wantGrants(t, s, g, v6)
	}
	if left := grants(t, s)[0].Remaining; left > time.Minute-20*time.Millisecond {
		t.Errorf("%v left: the time began anew", left)
	}
}

func refusesRuleset(t *testing.T, s subject) {
	wantNoTable := func() {
		t.Helper()
		_, err := s.Grants()
		wantError(t, err, ErrNoTable)
	}
	if s.Apply(&Ruleset{Table: "other"}) == nil {
		t.Error("applied the ruleset of another table")
	}
	wantNoTable()
	if s.Apply(&Ruleset{Workers: -1}) == nil {
		t.Error("applied a bad ruleset")
	}
	wantNoTable()
}

func thousands(t *testing.T, s subject) {
	applied(t, s)
	const count = 5000
	for n := range count {
		grant(t, s, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Hour, Access: fmt.Sprint(n)})
	}
	apply(t, s, &Ruleset{Protected: services("tcp/22", "udp/53")})
	list := grants(t, s)
	if len(list) != count {
		t.Fatalf("%d grants, want %d", len(list), count)
	}
	if want := nth(4999); list[count-1].Source != want || list[count-1].Access != "4999" {
		t.Errorf("last: %+v", list[count-1])
	}
}

// nth is a source.
func nth(n int) netip.Prefix {
	return Host(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
}

func full(t *testing.T, s subject) {
	applied(t, s)
	one := Grant{Service: service("tcp/22"), Timeout: time.Hour}
	for n := range MaxGrants {
		one.Source = nth(n)
		grant(t, s, one)
	}
	more := one
	more.Source = nth(MaxGrants)
	if err := s.Grant(more); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("set of grants is full: error %v", err)
	}
	// What is granted can be renewed all the same, and IPv6 and UDP have sets
	// of their own.
	one.Timeout *= 2
	grant(t, s, one)
	more.Service = service("udp/22")
	grant(t, s, more)
	more.Source, more.Service = from("2001:db8::1"), one.Service
	grant(t, s, more)
}

func removes(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, s, g)
	for range 2 {
		if err := s.Remove(); err != nil {
			t.Error(err)
		}
		wantError(t, s.Grant(g), ErrNoTable)
	}
	applied(t, s)
	wantGrants(t, s)
}

func closed(t *testing.T, s subject) {
	applied(t, s)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, s.Apply(&Ruleset{}), os.ErrClosed)
	wantError(t, s.Grant(g), os.ErrClosed)
	wantError(t, revoke(s, g.Source, g.Service), os.ErrClosed)
	_, err := s.Grants()
	wantError(t, err, os.ErrClosed)
	wantError(t, s.End(&Connections{}), os.ErrClosed)
	wantError(t, s.Remove(), os.ErrClosed)
	if s.Owned() {
		t.Error("owned after Close")
	}
}
