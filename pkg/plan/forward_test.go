package plan

import (
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

const forwardPolicy = `[[access]]
name = "inner"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/2222", "tcp/2223", "tcp/22"]
forward = ["tcp/2222 -> 10.0.0.5:22", "tcp/2222 -> [2001:db8::5]:22", "tcp/2223 -> 10.0.0.5:23"]
[[access]]
name = "asked"
knock = "spa"
key = "abcdefgh"
hmac_key = "abcdefgh"
open = ["tcp/22", "tcp/20000-20010"]
forward = ["10.0.0.0/24:22", "local:80"]
masquerade = true
[[access]]
name = "other"
sequence = ["udp/7301", "udp/7101", "udp/7201"]
open = ["tcp/10000-10005", "udp/30000", "tcp/65535"]
`

func forwardPlan(t *testing.T, text string) *Plan {
	t.Helper()
	p, diags := policy.Parse("test.toml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	plan, err := Outline(p)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func mustTarget(t *testing.T, s string) port.Target {
	t.Helper()
	to, err := port.ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// The ports to dial that are nobody's are those from 10000 on that no access opens.
func TestFreePorts(t *testing.T) {
	p := forwardPlan(t, forwardPolicy)
	want := "tcp/10006-19999,tcp/20011-65534,udp/10000-29999,udp/30001-65535"
	if got := port.Join(p.free); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	all := []port.Range{{Protocol: 6, First: 1, Last: 65535}, {Protocol: 17, First: 10000, Last: 65535}}
	if got := freePorts(all); got != nil {
		t.Errorf("%v, want none", got)
	}
}

// What a knock opens leads to the target of its address family.
func TestGrantsWithTargets(t *testing.T) {
	p := forwardPlan(t, forwardPolicy)
	for _, c := range []struct {
		name    string
		verdict knock.Verdict
		want    []string
	}{
		{"IPv4", knock.Verdict{Source: netip.MustParseAddr("192.0.2.1")},
			[]string{"tcp/2222 to 10.0.0.5:22", "tcp/2223 to 10.0.0.5:23", "tcp/22"}},
		{"IPv6, of which one port has no target", knock.Verdict{Source: netip.MustParseAddr("2001:db8:7::1")},
			[]string{"tcp/2222 to [2001:db8::5]:22", "tcp/22"}},
		{"asked for", knock.Verdict{Access: 1, Source: netip.MustParseAddr("192.0.2.1"), Request: &knock.Request{
			Allow: netip.MustParseAddr("192.0.2.1"), NAT: true, Forward: mustTarget(t, "10.0.0.7:22"), Open: []port.Range{port.Single(6, 40000)},
		}}, []string{"tcp/40000 to 10.0.0.7:22 masqueraded"}},
		{"a port of this host", knock.Verdict{Access: 1, Source: netip.MustParseAddr("192.0.2.1"), Request: &knock.Request{
			Allow: netip.MustParseAddr("192.0.2.1"), NAT: true, Forward: mustTarget(t, "local:80"), Open: []port.Range{port.Single(6, 40000)},
		}}, []string{"tcp/40000 to local:80"}},
		{"not asked for", knock.Verdict{Access: 1, Source: netip.MustParseAddr("192.0.2.1"), Request: &knock.Request{
			Allow: netip.MustParseAddr("192.0.2.1"), Open: []port.Range{port.Single(6, 22)},
		}}, []string{"tcp/22"}},
	} {
		d := p.Decide(&c.verdict)
		var got []string
		for _, g := range d.Grants() {
			if err := func() error { g.Timeout = time.Minute; return g.Validate() }(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			text := g.Service.String()
			if g.Forward.Port != 0 {
				text += " to " + g.Forward.String()
			}
			if g.Masquerade {
				text += " masqueraded"
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !d.Granted() {
			t.Errorf("%s: refused %q\n%s", c.name, d.Refused.Words, diff)
		}
	}
	if got := port.Join(p.Accesses[0].Open); got != "tcp/2222,tcp/2223,tcp/22" {
		t.Errorf("a decision has changed its access: %s", got)
	}
}

// A running grant is held against where its access leads now.
func TestCheckGrantWithTarget(t *testing.T) {
	p := forwardPlan(t, forwardPolicy)
	four, six := "192.0.2.1/32", "2001:db8:7::1/128"
	for _, c := range []struct {
		access, source, service, to string
		masquerade                  bool
		want                        string
	}{
		{"inner", four, "tcp/2222", "10.0.0.5:22", false, ""},
		{"inner", six, "tcp/2222", "[2001:db8::5]:22", false, ""},
		{"inner", four, "tcp/22", "", false, ""},
		{"inner", four, "tcp/2222", "", false, `access "inner" now forwards it`},
		{"inner", six, "tcp/2223", "", false, `access "inner" now forwards it`},
		{"inner", four, "tcp/2222", "10.0.0.6:22", false, `access "inner" no longer forwards it to 10.0.0.6:22`},
		{"inner", four, "tcp/22", "10.0.0.5:22", false, `access "inner" no longer forwards it to 10.0.0.5:22`},
		{"inner", four, "tcp/40000", "10.0.0.5:22", false, `access "inner" no longer forwards it to 10.0.0.5:22`},
		{"inner", four, "tcp/2222", "10.0.0.5:22", true, `access "inner" has a changed masquerade`},
		{"asked", four, "tcp/40000", "10.0.0.6:22", true, ""},
		{"asked", four, "tcp/20003", "10.0.0.6:22", true, ""},
		{"asked", four, "tcp/22", "local:80", false, ""},
		{"asked", four, "tcp/22", "", false, ""},
		{"asked", four, "tcp/22", "local:81", false, `access "asked" no longer forwards it to local:81`},
		{"asked", four, "tcp/40000", "10.0.1.6:22", true, `access "asked" no longer forwards it to 10.0.1.6:22`},
		{"asked", four, "tcp/10003", "10.0.0.6:22", true, `access "asked" no longer forwards it to 10.0.0.6:22`}, // now another access's
		{"asked", four, "tcp/40000", "10.0.0.6:22", false, `access "asked" has a changed masquerade`},
	} {
		service, err := port.ParseService(c.service)
		if err != nil {
			t.Fatal(err)
		}
		g := gate.Grant{Source: netip.MustParsePrefix(c.source), Service: service, Masquerade: c.masquerade,
			Timeout: 30 * time.Second, Remaining: 20 * time.Second, Access: c.access}
		if c.to != "" {
			g.Forward = mustTarget(t, c.to)
		}
		if r := p.CheckGrant(g, time.Now(), "by a reload"); r.Reason != c.want || len(r.Instead) > 0 {
			t.Errorf("%s to %s: %q, want %q; instead %v", c.service, c.to, r.Reason, c.want, r.Instead)
		}
		g.Remaining = time.Hour
		if r := p.CheckGrant(g, time.Now(), "by a reload"); c.want == "" {
			if len(r.Instead) != 1 || r.Instead[0].Timeout != 30*time.Second || r.Instead[0].Forward != g.Forward || r.Instead[0].Masquerade != g.Masquerade {
				t.Errorf("%s to %s for an hour: %+v", c.service, c.to, r)
			}
		}
	}
}

// A range of which a port is forwarded now is not opened at that port in its place.
func TestARangeIsNotNarrowedToAForwardedPort(t *testing.T) {
	p := forwardPlan(t, `[[access]]
name = "web"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/8001", "tcp/8002"]
forward = ["tcp/8001 -> 10.0.0.5:80"]
`)
	r := p.CheckGrant(gate.Grant{Source: netip.MustParsePrefix("192.0.2.1/32"), Service: port.Range{Protocol: 6, First: 8000, Last: 8010},
		Timeout: 30 * time.Second, Remaining: 20 * time.Second, Access: "web"}, time.Now(), "")
	if len(r.Instead) != 1 || r.Instead[0].Service != port.Single(6, 8002) {
		t.Errorf("%+v", r)
	}
}

func TestHostWarnings(t *testing.T) {
	p := forwardPlan(t, forwardPolicy)
	const name4, name6 = "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"
	for _, c := range []struct {
		four, six string
		want      int
	}{{"0\n", "0\n", 3}, {"0\n", "1\n", 2}, {"1\n", "0\n", 1}, {"1\n", "1\n", 0}} {
		sys := fstest.MapFS{name4: {Data: []byte(c.four)}, name6: {Data: []byte(c.six)}}
		if got := HostWarnings(p.Policy, Host{Sys: sys}); len(got) != c.want || got.HasErrors() {
			t.Errorf("%q, %q: %v", c.four, c.six, got)
		}
	}
	none := Host{Sys: fstest.MapFS{}}
	if got := HostWarnings(p.Policy, none); got != nil {
		t.Errorf("without the files: %v", got)
	}
	for address, want := range map[string]int{"10.0.0.5": 1, "10.0.0.77": 1, "10.0.2.1": 0, "2001:db8::5": 1} {
		none.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(address)}
		got := HostWarnings(p.Policy, none)
		if len(got) < want || want == 0 && len(got) > 0 || want > 0 && !strings.Contains(got[0].Message, "may forward to "+address) {
			t.Errorf("of a host with %s: %v", address, got)
		}
	}
}
