//go:build interop

package doctor

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/hostrules"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// run runs a command line in a host.
func run(t testing.TB, host *netns.NS, line string) {
	t.Helper()
	netnstest.Do(t, host, func() error {
		if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, out)
		}
		return nil
	})
}

// load reads the ruleset of a new host with some rules of nft.
func load(t testing.TB, rules string) *hostrules.Ruleset {
	t.Helper()
	host := netnstest.New(t)
	run(t, host, "nft -f - <<'END'\n"+rules+"\nEND")
	var r *hostrules.Ruleset
	netnstest.Do(t, host, func() (err error) {
		r, err = hostrules.Read(context.Background())
		return err
	})
	return r
}

// lines writes findings, one per line.
func lines(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

var (
	outside = Way{Table: "nftknock", Interfaces: []Interface{{Name: "eth0", Index: 2, V4: true, V6: true}, {Name: "eth1", Index: 3, V4: true}}}
)

func input(policy, rules string) string {
	return "table inet filter {\n chain input {\n type filter hook input priority 0; policy " + policy + ";\n" + rules + "\n}\n}"
}

func TestInteropLaterDrops(t *testing.T) {
	for _, tt := range []struct {
		name     string
		rules    string
		services []port.Range
		want     string
	}{
		{"ok nothing", "", []port.Range{ssh}, ""},
		{"bad policy", input("drop", "tcp dport 80 accept"), []port.Range{ssh, dns},
			"error: the policy of chain inet filter input drops granted packets to tcp/22, udp/53 on eth0, eth1\n"},
		{"ok accepted", input("drop", "tcp dport 22 accept"), []port.Range{ssh}, ""},
		{"bad one of two services", input("drop", "tcp dport 22 accept"), []port.Range{ssh, dns},
			"error: the policy of chain inet filter input drops granted packets to udp/53 on eth0, eth1\n"},
		{"bad a part of a range", input("drop", "tcp dport 8002-8005 accept"), []port.Range{{Protocol: packet.TCP, First: 8000, Last: 8010}},
			"error: the policy of chain inet filter input drops granted packets to tcp/8000-8001, tcp/8006-8010 on eth0, eth1\n"},
		{"bad on one interface", input("drop", "iifname eth1 tcp dport 22 accept"), []port.Range{ssh},
			"error: the policy of chain inet filter input drops granted packets to tcp/22 on eth0\n"},
		{"bad over IPv6", "table ip6 f { chain i { type filter hook input priority 0; tcp dport 22 drop; }; }", []port.Range{ssh},
			"error: rule handle 2 of chain ip6 f i (meta l4proto tcp dport 22 drop) drops IPv6 granted packets to tcp/22 on eth0\n"},
		{"perhaps by source", input("drop", "ip saddr 10.0.0.0/8 tcp dport 22 accept\n ip6 saddr fd00::/8 tcp dport 22 accept"), []port.Range{ssh},
			"warning: the policy of chain inet filter input may drop granted packets to tcp/22 on eth0, eth1\n"},
		{"ok a drop before our chain is another finding", "table inet f { chain p { type filter hook prerouting priority -300; tcp dport 22 drop; }; }", []port.Range{ssh}, ""},
		{"bad between our chain and input", "table inet f { chain p { type filter hook prerouting priority -149; tcp dport 22 drop; }; }", []port.Range{ssh},
			"error: rule handle 2 of chain inet f p (meta l4proto tcp dport 22 drop) drops granted packets to tcp/22 on eth0, eth1\n"},
		{"ok our own table", "table inet nftknock { chain p { type filter hook prerouting priority -150; tcp dport 22 drop; }; }", []port.Range{ssh}, ""},
		{"bad a table of our name of another family", "table ip nftknock { chain p { type filter hook prerouting priority -140; tcp dport 22 drop; }; }", []port.Range{ssh},
			"error: rule handle 2 of chain ip nftknock p (meta l4proto tcp dport 22 drop) drops IPv4 granted packets to tcp/22 on eth0, eth1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := lines(LaterDrops(t.Context(), load(t, tt.rules), tt.services, outside))
			got = strings.ReplaceAll(got, "meta nfproto ipv6 ", "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInteropEarlierDrops(t *testing.T) {
	knocks := []port.Range{port.Single(packet.UDP, 62201), port.Echo, {Protocol: packet.TCP, First: 10000, Last: 22799}}
	for _, tt := range []struct {
		name  string
		rules string
		want  string
	}{
		{"ok nothing", "", ""},
		{"bad raw", "table inet f { chain p { type filter hook prerouting priority raw; udp dport 62201 drop; }; }",
			"error: rule handle 2 of chain inet f p (meta l4proto udp dport 62201 drop) drops packets to udp/62201 on eth0, eth1 before nftknock sees them (it looks at prerouting, priority -150)\n"},
		{"bad echo requests", "table inet f { chain p { type filter hook prerouting priority raw; icmp type echo-request drop; icmpv6 type echo-request drop; }; }",
			"error: rule handle 2 of chain inet f p (meta l4proto icmp icmp type 8 drop) drops IPv4 packets to icmp on eth0, eth1 before nftknock sees them (it looks at prerouting, priority -150)\n" +
				"error: rule handle 3 of chain inet f p (meta l4proto ipv6-icmp icmp type 128 drop) drops IPv6 packets to icmp on eth0 before nftknock sees them (it looks at prerouting, priority -150)\n"},
		{"bad a part of many ports", "table inet f { chain p { type filter hook prerouting priority -151; tcp dport 10100-10200 drop; }; }",
			"error: rule handle 2 of chain inet f p (meta l4proto tcp dport >= 10100 dport <= 10200 drop) drops packets to tcp/10100-10200 on eth0, eth1 before nftknock sees them (it looks at prerouting, priority -150)\n"},
		{"ok behind our chain", "table inet f { chain p { type filter hook prerouting priority -149; udp dport 62201 drop; }; }", ""},
		{"ok at input", input("drop", ""), ""},
		{"perhaps", "table inet f { chain p { type filter hook prerouting priority raw; udp dport 62201 limit rate over 1/second drop; }; }",
			"warning: rule handle 2 of chain inet f p (meta l4proto udp dport 62201 limit drop) may drop packets to udp/62201 on eth0, eth1 before nftknock sees them (it looks at prerouting, priority -150)\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := lines(EarlierDrops(t.Context(), load(t, tt.rules), knocks, outside))
			got = strings.ReplaceAll(strings.ReplaceAll(got, "meta nfproto ipv4 ", ""), "meta nfproto ipv6 ", "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Many interfaces, ports and rules are no matter of minutes, and a canceled context ends
// the work.
func TestInteropCanceledSurvey(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := LaterDrops(ctx, load(t, input("drop", "")), []port.Range{ssh}, outside); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
