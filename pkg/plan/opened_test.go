package plan

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const webPolicy = `
[nftables]
interfaces = ["eth0", "eth1"]
[[access]]
name = "ssh"
sequence = ["udp/7100", "udp/7200"]
open = ["tcp/22"]
[[access]]
name = "web"
sequence = ["udp/7300", "udp/7200"]
open = ["tcp/8000-8010", "udp/53"]
`

func TestOpenedBy(t *testing.T) {
	const (
		hidden  = " is no longer hidden: this table lets everyone reach it"
		guarded = " is no longer guarded: whoever comes through it reaches all services"
	)
	web := webPolicy[strings.LastIndex(webPolicy, "[[access]]"):]
	for name, tt := range map[string]struct {
		old, new string
		want     []string
	}{
		"nothing":     {"8000", "8000", nil},
		"more":        {`"udp/53"`, `"udp/53", "tcp/80"`, nil},
		"removed":     {web, "", []string{"tcp/8000-8010" + hidden, "udp/53" + hidden}},
		"part":        {"tcp/8000-8010", "tcp/8003-8005", []string{"tcp/8000-8002" + hidden, "tcp/8006-8010" + hidden}},
		"split":       {`"tcp/8000-8010"`, `"tcp/8000-8004", "tcp/8005-8010"`, nil},
		"moved":       {`"udp/53"`, `"tcp/53"`, []string{"udp/53" + hidden}},
		"disabled":    {`name = "web"`, "name = \"web\"\nenabled = false", nil},
		"expired":     {`name = "web"`, "name = \"web\"\nexpires = 2020-01-01", nil},
		"protected":   {web, "[[access]]\nname = \"other\"\nsequence = [\"udp/7300\", \"udp/7200\"]\nopen = [\"udp/53\"]\n", []string{"tcp/8000-8010" + hidden}},
		"interface":   {`"eth0", "eth1"`, `"eth0"`, []string{"interface eth1" + guarded}},
		"all guarded": {`"eth0", "eth1"`, ``, nil},
		"table":       {"[nftables]", "[nftables]\ntable = \"door\"", []string{"table inet nftknock of the policy before is removed when the daemon starts, and the grants in it end"}},
	} {
		before := outlined(t, webPolicy)
		after := outlined(t, strings.Replace(webPolicy, tt.old, tt.new, 1))
		if diff := cmp.Diff(tt.want, OpenedBy(before.Policy, after.Policy).Notes()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	all := outlined(t, strings.Replace(webPolicy, `"eth0", "eth1"`, "", 1))
	want := []string{"all interfaces were guarded, now only eth0, eth1: whoever comes through another reaches all services"}
	if diff := cmp.Diff(want, OpenedBy(all.Policy, outlined(t, webPolicy).Policy).Notes()); diff != "" {
		t.Errorf("all interfaces (-want +got):\n%s", diff)
	}
}

// A date that passes, and enabled = false, are no decisions to show a service to everyone.
func TestWhatIsNotOpenedStaysHidden(t *testing.T) {
	for _, line := range []string{"enabled = false", "expires = 2020-01-01", "expires = " + time.Now().Add(time.Hour).Format(time.RFC3339)} {
		p := outlined(t, strings.Replace(webPolicy, `name = "web"`, "name = \"web\"\n"+line, 1))
		var hidden []string
		for _, s := range p.Ruleset.Protected {
			hidden = append(hidden, s.String())
		}
		if diff := cmp.Diff([]string{"tcp/22", "tcp/8000-8010", "udp/53"}, hidden); diff != "" {
			t.Errorf("%s (-want +got):\n%s", line, diff)
		}
	}
	p := outlined(t, "[nftables]\nprotect = [\"tcp/8080\"]\n")
	if got := p.Ruleset.Protected; len(got) != 1 || got[0].String() != "tcp/8080" || len(p.Accesses) != 0 {
		t.Errorf("protect alone hides %v", got)
	}
}
