package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/packet"
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
	{"a range is granted port by port", grantsRange},
	{"a range is revoked where granted", revokesRange},
	{"a revoked grant is gone", revokes},
	{"bad grants are refused", refuses},
	{"bad revocations are refused", refusesRevocations},
	{"an IPv4 address inside IPv6 is IPv4", unmaps},
	{"comments are made to fit", comments},
	{"another ruleset keeps the grants", keepsGrants},
	{"bad rulesets change nothing", refusesRuleset},
	{"thousands of grants", thousands},
	{"a full set refuses all of a grant", full},
	{"a removed table is gone", removes},
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
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
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
	ssh := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, s.Grant(ssh), ErrNoTable)
	wantError(t, s.Revoke(ssh.Source, ssh.Service), ErrNoTable)
	_, err := s.Grants()
	wantError(t, err, ErrNoTable)
	ssh.Service = service("tcp/22-23")
	wantError(t, s.Grant(ssh), ErrNoTable)
	if s.Owned() {
		t.Error("owned before there is a table")
	}
}

func listed(t *testing.T, s subject) {
	applied(t, s)
	wantGrants(t, s)
	v6 := Grant{Source: addr("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute, Comment: "ssh shared"}
	udp := Grant{Source: addr("192.0.2.1"), Service: service("udp/53"), Timeout: defaultTimeout}
	tcp := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: 1500 * time.Millisecond, Comment: "a"}
	other := Grant{Source: addr("10.0.0.1"), Service: service("tcp/22"), Timeout: 24 * time.Hour, Comment: "b"}
	for _, g := range []Grant{v6, udp, tcp, other} {
		grant(t, s, g)
	}
	wantGrants(t, s, other, tcp, udp, v6)
}

func ends(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: MinTimeout}
	grant(t, s, g)
	wantGrants(t, s, g)
	s.pass(MinTimeout + 50*time.Millisecond)
	wantGrants(t, s)
	wantError(t, s.Revoke(g.Source, g.Service), ErrNoGrant)
	grant(t, s, g)
	wantGrants(t, s, g)
}

func extends(next time.Duration) func(*testing.T, subject) {
	return func(t *testing.T, s subject) {
		applied(t, s)
		g := Grant{Source: addr("2001:db8::1"), Service: service("tcp/22"), Timeout: MinTimeout, Comment: "first"}
		grant(t, s, g)
		s.pass(MinTimeout / 2)
		g.Timeout, g.Comment = next, "second"
		grant(t, s, g)
		s.pass(MinTimeout/2 + 50*time.Millisecond)
		wantGrants(t, s, g)
		s.pass(next)
		wantGrants(t, s)
	}
}

func neverShortens(t *testing.T, s subject) {
	applied(t, s)
	long := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Hour, Comment: "long"}
	grant(t, s, long)
	short := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22-23"), Timeout: time.Minute, Comment: "short"}
	grant(t, s, short)
	short.Service = service("tcp/23")
	wantGrants(t, s, long, short)
	long.Service = service("tcp/22")
	grant(t, s, Grant{Source: long.Source, Service: long.Service, Timeout: time.Minute, Comment: "short"})
	wantGrants(t, s, long, short)
}

func grantsRange(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("2001:db8::1"), Service: service("udp/1000-1999"), Timeout: time.Minute, Comment: "range"}
	grant(t, s, g)
	grant(t, s, g)
	var want []Grant
	for n := range 1000 {
		single := g
		single.Service = g.Service.single(n)
		want = append(want, single)
	}
	wantGrants(t, s, want...)
}

func revokesRange(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/20-25"), Timeout: time.Minute}
	other := Grant{Source: addr("192.0.2.2"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, s, g)
	grant(t, s, other)
	if err := s.Revoke(g.Source, service("tcp/21-30")); err != nil {
		t.Error(err)
	}
	g.Service = service("tcp/20")
	wantGrants(t, s, g, other)
	wantError(t, s.Revoke(g.Source, service("tcp/21-30")), ErrNoGrant)
	wantError(t, s.Revoke(g.Source, service("udp/20")), ErrNoGrant)
}

func revokes(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, s.Revoke(g.Source, g.Service), ErrNoGrant)
	grant(t, s, g)
	if err := s.Revoke(addr("::ffff:192.0.2.1"), g.Service); err != nil {
		t.Error(err)
	}
	wantGrants(t, s)
	wantError(t, s.Revoke(g.Source, g.Service), ErrNoGrant)
}

func refuses(t *testing.T, s subject) {
	applied(t, s)
	good := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	bad := map[string]func(*Grant){
		"no timeout":            func(g *Grant) { g.Timeout = 0 },
		"30 ns":                 func(g *Grant) { g.Timeout = 30 },
		"under a second":        func(g *Grant) { g.Timeout = MinTimeout - 1 },
		"negative timeout":      func(g *Grant) { g.Timeout = -time.Hour },
		"no source":             func(g *Grant) { g.Source = netip.Addr{} },
		"unspecified IPv4":      func(g *Grant) { g.Source = addr("0.0.0.0") },
		"unspecified IPv6":      func(g *Grant) { g.Source = addr("::") },
		"unspecified mapped":    func(g *Grant) { g.Source = addr("::ffff:0.0.0.0") },
		"multicast":             func(g *Grant) { g.Source = addr("ff02::1") },
		"zone":                  func(g *Grant) { g.Source = addr("fe80::1%eth0") },
		"icmp":                  func(g *Grant) { g.Service = Service{packet.ICMP, 1, 1} },
		"no service":            func(g *Grant) { g.Service = Service{} },
		"no port":               func(g *Grant) { g.Service = Service{Protocol: packet.TCP} },
		"ports the wrong way":   func(g *Grant) { g.Service = Service{packet.TCP, 23, 22} },
		"ports from zero":       func(g *Grant) { g.Service = Service{packet.TCP, 0, 22} },
		"protocol without port": func(g *Grant) { g.Service = Service{packet.Protocol(47), 1, 1} },
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
	if err := s.Revoke(addr("fe80::1%eth0"), service("tcp/22")); err == nil || errors.Is(err, ErrNoGrant) {
		t.Errorf("zone: %v", err)
	}
	if err := s.Revoke(addr("192.0.2.1"), Service{}); err == nil || errors.Is(err, ErrNoGrant) {
		t.Errorf("no service: %v", err)
	}
}

func unmaps(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("::ffff:192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, s, g)
	g.Source = addr("192.0.2.1")
	wantGrants(t, s, g)
}

func comments(t *testing.T, s subject) {
	tests := []struct{ in, want string }{
		{"", ""},
		{"ssh shared", "ssh shared"},
		{`say "ssh"`, "say 'ssh'"},
		{"a\nb\x00c\x1b[31m", "a b c [31m"},
		{strings.Repeat("x", 200), strings.Repeat("x", 128)},
		{"x" + strings.Repeat("ä", 100), "x" + strings.Repeat("ä", 63)},
		{"\xff" + strings.Repeat("x", 200), "\uFFFD" + strings.Repeat("x", 125)},
	}
	applied(t, s)
	for n, tt := range tests {
		source := netip.AddrFrom4([4]byte{10, 0, 0, byte(n + 1)})
		grant(t, s, Grant{Source: source, Service: service("tcp/22"), Timeout: time.Minute, Comment: tt.in})
		got := grants(t, s)[n].Comment
		if got != tt.want || !utf8.ValidString(got) {
			t.Errorf("comment %q became %q, want %q", tt.in, got, tt.want)
		}
	}
}

func keepsGrants(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute, Comment: "kept"}
	v6 := Grant{Source: addr("2001:db8::1"), Service: service("tcp/22"), Timeout: time.Minute, Comment: "kept"}
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
		source := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		grant(t, s, Grant{Source: source, Service: service("tcp/22"), Timeout: time.Hour, Comment: fmt.Sprint(n)})
	}
	apply(t, s, &Ruleset{Protected: services("tcp/22", "udp/53")})
	list := grants(t, s)
	if len(list) != count {
		t.Fatalf("%d grants, want %d", len(list), count)
	}
	if want := addr("10.0.19.135"); list[count-1].Source != want || list[count-1].Comment != "4999" {
		t.Errorf("last: %+v", list[count-1])
	}
}

func full(t *testing.T, s subject) {
	applied(t, s)
	// In parts, since without root a transaction cannot be as big as it likes.
	const part = 4096
	for first := 0; first < maxGrants; first += part {
		ports := Service{packet.TCP, uint16(max(first, 1)), uint16(first + part - 1)}
		grant(t, s, Grant{Source: addr("2001:db8::1"), Service: ports, Timeout: time.Hour})
	}
	one := Grant{Source: addr("2001:db8::2"), Service: service("tcp/22-23"), Timeout: time.Hour}
	err := s.Grant(one)
	if err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("set of grants is full: error %v", err)
	}
	if n := len(grants(t, s)); n != maxGrants-1 {
		t.Errorf("%d grants, want %d", n, maxGrants-1)
	}
	one.Service = service("tcp/22")
	grant(t, s, one)
	// What is granted can be renewed all the same, and IPv4 has its own set.
	grant(t, s, one)
	one.Source = addr("192.0.2.1")
	grant(t, s, one)
}

func removes(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
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
	g := Grant{Source: addr("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	wantError(t, s.Apply(&Ruleset{}), os.ErrClosed)
	wantError(t, s.Grant(g), os.ErrClosed)
	wantError(t, s.Revoke(g.Source, g.Service), os.ErrClosed)
	_, err := s.Grants()
	wantError(t, err, os.ErrClosed)
	wantError(t, s.Remove(), os.ErrClosed)
	if s.Owned() {
		t.Error("owned after Close")
	}
}
