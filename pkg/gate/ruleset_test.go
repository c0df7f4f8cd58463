package gate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/pkg/packet"
	"nftknock/test/netns/netnstest"
)

const articleTable = `table inet nftknock {
	set granted4 {
		type ipv4_addr . inet_proto . inet_service
		size 32768
		counter
		timeout 30s
	}

	set granted6 {
		type ipv6_addr . inet_proto . inet_service
		size 32768
		counter
		timeout 30s
	}

	set protected {
		type inet_proto . inet_service
		flags interval
		elements = { tcp . 22 }
	}

	set knock_ports {
		type inet_proto . inet_service
		flags interval
		elements = { tcp . 24034,
			     tcp . 50053,
			     udp . 6020,
			     udp . 9680 }
	}

	chain gate {
		type filter hook prerouting priority mangle; policy accept;
		iifname "lo" accept
		icmp type echo-request fib daddr type local log group 5
		icmpv6 type echo-request fib daddr type local log group 5
		ct state established,related accept
		fib daddr type unicast accept
		ip saddr . meta l4proto . th dport @granted4 accept
		ip6 saddr . meta l4proto . th dport @granted6 accept
		tcp flags syn / fin,syn,rst,ack meta l4proto . tcp dport @knock_ports log group 5
		meta l4proto . udp dport @knock_ports log group 5
		meta l4proto . th dport @protected drop
	}
}
`

// Every other text is compared with nft's own by the tests with build tag
// interop.
func TestStringOfTheArticlesPolicy(t *testing.T) {
	r := rulesets()[1].ruleset
	if diff := cmp.Diff(articleTable, r.String()); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name    string
		ruleset Ruleset
		want    string // part of the error; empty for none
	}{
		{"ok zero", Ruleset{}, ""},
		{"ok all", Ruleset{
			Table: "knock-2.x_y", Interfaces: []string{"eth0.100", "wg*"}, Protected: services("tcp/1-65535"),
			KnockPorts: services("udp/1"), Group: 65530, Workers: 6,
		}, ""},
		{"bad table", Ruleset{Table: "a b"}, `table name "a b"`},
		{"bad table begins with a digit", Ruleset{Table: "1a"}, `table name "1a"`},
		{"bad table injects", Ruleset{Table: "a{}"}, "table name"},
		{"bad long table", Ruleset{Table: strings.Repeat("a", 256)}, "256 bytes"},
		{"bad empty interface", Ruleset{Interfaces: []string{""}}, "empty"},
		{"bad interface wildcard alone", Ruleset{Interfaces: []string{"*"}}, "empty"},
		{"bad interface injects", Ruleset{Interfaces: []string{`e" accept`}}, "bad interface name"},
		{"bad interface star inside", Ruleset{Interfaces: []string{"e*h"}}, "bad interface name"},
		{"bad long interface", Ruleset{Interfaces: []string{"abcdefghijklmnop"}}, "15 bytes"},
		{"bad service without port", Ruleset{Protected: []Service{{Protocol: packet.TCP}}}, "ports 1 to 65535"},
		{"bad service turned round", Ruleset{KnockPorts: []Service{{packet.TCP, 9, 8}}}, "in order"},
		{"bad icmp service", Ruleset{KnockPorts: []Service{{packet.ICMP, 1, 1}}}, "want tcp or udp"},
		{"bad workers beyond the last group", Ruleset{Group: 65530, Workers: 7}, "65535"},
		{"bad workers negative", Ruleset{Workers: -1}, "bad workers -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.ruleset.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && err == nil:
				t.Errorf("accepted; want an error with %q", tt.want)
			case tt.want != "" && !strings.Contains(err.Error(), tt.want):
				t.Errorf("error %q; want one with %q", err, tt.want)
			}
		})
	}
}

// What the kernel gives back is what we sent, expression for expression, and
// stays so when a ruleset replaces another.
func TestKernelHoldsTheRules(t *testing.T) {
	host := netnstest.New(t)
	k := open(t, host, Config{})
	for _, tt := range rulesets() {
		t.Run(tt.name, func(t *testing.T) {
			apply(t, k, &tt.ruleset)
			table := k.netlinkTable(0)
			rules, err := k.conn.GetRules(table, &nftables.Chain{Name: gateChain})
			if err != nil {
				t.Fatal(err)
			}
			var got, want [][]expr.Any
			for _, r := range rules {
				got = append(got, r.Exprs)
			}
			for _, r := range tt.ruleset.chain() {
				want = append(want, r.exprs())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("sent (-), found (+):\n%s", diff)
			}
			for _, s := range tt.ruleset.sets() {
				elements, err := k.conn.GetSetElements(s.netlink(table))
				if err != nil {
					t.Fatal(err)
				}
				if extra, missing := without(elements, s.elements()), without(s.elements(), elements); len(extra)+len(missing) > 0 {
					t.Errorf("set %s: %v too many, %v missing", s.name, extra, missing)
				}
			}
		})
	}
}
