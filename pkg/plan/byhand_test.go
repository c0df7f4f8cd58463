package plan

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/policy"
)

const byHandPolicy = `
[[access]]
name = "once"
sequence = ["udp/7100", "udp/7200"]
open = ["tcp/22"]
single_use = true
[[access]]
name = "ssh"
source = ["198.51.100.1"]
sequence = ["udp/7300", "udp/7200"]
open = ["tcp/22", "tcp/8000-8010"]
timeout = "40s"
[[access]]
name = "net"
sequence = ["udp/7400", "udp/7200"]
open = ["tcp/25"]
prefix4 = 24
[[access]]
name = "late"
sequence = ["udp/7500", "udp/7200"]
open = ["tcp/26"]
expires = 2020-01-01
[[access]]
name = "off"
enabled = false
sequence = ["udp/7600", "udp/7200"]
open = ["tcp/27"]
`

func outlined(t *testing.T, text string) *Plan {
	t.Helper()
	p, diags := policy.Parse("test.toml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	worked, err := Outline(p)
	if err != nil {
		t.Fatal(err)
	}
	return worked
}

func TestByHand(t *testing.T) {
	p := outlined(t, byHandPolicy)
	for _, tt := range []struct{ source, what, want string }{
		{"192.0.2.1/32", "tcp/22", "192.0.2.1/32 tcp/22 ssh 40s"},
		{"2001:db8::1/128", "tcp/8000-8010", "2001:db8::1/128 tcp/8000-8010 ssh 40s"},
		{"192.0.2.1/32", "once", "192.0.2.1/32 tcp/22 once 30s once"},
		{"192.0.2.1/32", "ssh", "192.0.2.1/32 tcp/22 ssh 40s, 192.0.2.1/32 tcp/8000-8010 ssh 40s"},
		{"192.0.2.1/32", "tcp/25", "192.0.2.0/24 tcp/25 net 30s"},
		{"192.0.2.0/24", "net", "192.0.2.0/24 tcp/25 net 30s"},
		{"192.0.2.0/25", "net", `access "net" lets single prefixes of length /24 in`},
		{"192.0.2.0/24", "tcp/22", `access "ssh" lets single addresses in`},
		{"192.0.2.1/32", "tcp/8005", `tcp/8005 is not opened by itself: access "ssh" opens tcp/8000-8010`},
		{"192.0.2.1/32", "tcp/80", "tcp/80 is not hidden"},
		{"192.0.2.1/32", "late", `access "late" has expired`},
		{"192.0.2.1/32", "tcp/26", "tcp/26 is hidden, and no access that is in force opens it"},
		{"192.0.2.1/32", "off", `access "off" is disabled`},
		{"192.0.2.1/32", "nobody", `no access is called "nobody"`},
		{"192.0.2.1/32", "tcp/0", "tcp/0"},
	} {
		grants, err := p.ByHand(netip.MustParsePrefix(tt.source), tt.what, time.Now())
		var got []string
		for _, g := range grants {
			s := g.Source.String() + " " + g.Service.String() + " " + g.Access + " " + g.Timeout.String()
			if g.Once {
				s += " once"
			}
			got = append(got, s)
		}
		text := strings.Join(got, ", ")
		if err != nil {
			text = err.Error()
		}
		if err != nil && !strings.Contains(text, tt.want) || err == nil && text != tt.want {
			t.Errorf("%s %s: %s, want %s", tt.source, tt.what, text, tt.want)
		}
	}
}

// A reload or restart leaves a grant by hand its time and its source, for as long as its
// access would make such a grant.
func TestGrantsByHandAreChecked(t *testing.T) {
	p := outlined(t, byHandPolicy)
	grants, err := p.ByHand(netip.MustParsePrefix("192.0.2.1/32"), "tcp/22", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g := grants[0]
	g.Timeout, g.Remaining = time.Hour, time.Hour
	if r := p.CheckGrant(g, time.Now(), "by a reload"); r.Reason != "" {
		t.Errorf("ended: %s", r.Reason)
	}
	byKnock := g
	byKnock.Method = "shared"
	if r := p.CheckGrant(byKnock, time.Now(), "by a reload"); r.Reason == "" {
		t.Error("the same grant of a knock is left as it is")
	}
	without := outlined(t, strings.Replace(byHandPolicy, `name = "ssh"`, `name = "other"`, 1))
	if r := without.CheckGrant(g, time.Now(), "by a reload"); r.Reason == "" || len(r.Instead) != 0 {
		t.Errorf("without its access: %+v", r)
	}
}
