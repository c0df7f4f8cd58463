package gate

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/invalid"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

const articleTable = `table inet nftknock {
	set granted_tcp4 {
		type ipv4_addr . inet_service
		size 65536
		counter
		timeout 30s
	}

	set granted_tcp6 {
		type ipv6_addr . inet_service
		size 65536
		counter
		timeout 30s
	}

	set granted_udp4 {
		type ipv4_addr . inet_service
		size 65536
		counter
		timeout 30s
	}

	set granted_udp6 {
		type ipv6_addr . inet_service
		size 65536
		counter
		timeout 30s
	}

	set kept4 {
		type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service
		size 65535
		flags dynamic,timeout
		timeout 3m
	}

	set kept6 {
		type inet_proto . ipv6_addr . inet_service . ipv6_addr . inet_service
		size 65535
		flags dynamic,timeout
		timeout 3m
	}

	set ports {
		type inet_service
		flags constant
		elements = { 22, 6020, 9680, 24034, 50053 }
	}

	set tcp_ports {
		type inet_service
		flags constant
		elements = { 22, 24034, 50053 }
	}

	set udp_ports {
		type inet_service
		flags constant
		elements = { 6020, 9680 }
	}

	set echo_protocols {
		type inet_proto
		flags constant
		elements = { icmp, ipv6-icmp }
	}

	chain keep {
		update @kept4 { meta l4proto . ip saddr . tcp sport . ip daddr . tcp dport timeout 5d } accept
		update @kept6 { meta l4proto . ip6 saddr . tcp sport . ip6 daddr . tcp dport timeout 5d } accept
		update @kept4 { meta l4proto . ip saddr . th sport . ip daddr . th dport } accept
		update @kept6 { meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport } accept
		accept
	}

	chain pre_admit {
		ct label set 127
		ct label 127 accept
		update @kept4 { meta l4proto . ip saddr . th sport . ip daddr . th dport }
		update @kept6 { meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport }
		accept
	}

	chain pre_tcp_granted {
		ip saddr . tcp dport @granted_tcp4 goto pre_admit
		ip6 saddr . tcp dport @granted_tcp6 goto pre_admit
	}

	chain pre_tcp_unknown {
		jump pre_tcp_granted
		drop
	}

	chain pre_tcp_later {
		ct direction reply accept
		meta l4proto . ip saddr . th sport . ip daddr . th dport @kept4 goto keep
		meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @kept6 goto keep
		ct status dnat goto pre_tcp_unknown
		tcp flags rst,ack socket wildcard 0 accept
		jump pre_tcp_granted
		drop
	}

	chain pre_tcp_service {
		tcp flags != syn / fin,syn,rst,ack goto pre_tcp_later
		jump pre_tcp_granted
		drop
	}

	chain in_admit {
		ct label set 126
		ct label 126 accept
		update @kept4 { meta l4proto . ip saddr . th sport . ip daddr . th dport }
		update @kept6 { meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport }
		accept
	}

	chain in_tcp_granted {
		ip saddr . tcp dport @granted_tcp4 goto in_admit
		ip6 saddr . tcp dport @granted_tcp6 goto in_admit
	}

	chain in_tcp_later {
		ct direction reply accept
		meta l4proto . ip saddr . th sport . ip daddr . th dport @kept4 goto keep
		meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @kept6 goto keep
		tcp flags rst,ack meta cgroup != 4294967295 socket wildcard 0 accept
		jump in_tcp_granted
		drop
	}

	chain in_tcp_service {
		tcp flags != syn / fin,syn,rst,ack goto in_tcp_later
		jump in_tcp_granted
		drop
	}

	chain in_admitted {
		tcp flags != syn / fin,syn,rst,ack accept
	}

	chain nat_tcp_granted {
		meta l4proto tcp ip saddr . ct original proto-dst @granted_tcp4 goto in_admit
		meta l4proto tcp ip6 saddr . ct original proto-dst @granted_tcp6 goto in_admit
	}

	chain nat_tcp_later {
		ct direction reply accept
		meta l4proto . ip saddr . th sport . ip daddr . th dport @kept4 goto keep
		meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @kept6 goto keep
		tcp flags rst,ack meta cgroup != 4294967295 socket wildcard 0 accept
		jump nat_tcp_granted
		drop
	}

	chain nat_tcp_service {
		tcp flags != syn / fin,syn,rst,ack goto nat_tcp_later
		jump nat_tcp_granted
		drop
	}

	chain translated {
		ct direction reply accept
		ct label 127 accept
		ct label 126 jump in_admitted
		iifname "lo" accept
		meta l4proto tcp ct original proto-dst 22 goto nat_tcp_service
	}

	chain in {
		ct label 127 accept
		ct label 126 jump in_admitted
		ct status dnat goto translated
		iifname "lo" accept
		tcp dport 22 goto in_tcp_service
	}

	chain fwd_tcp_later {
		ct direction reply accept
		meta l4proto . ip saddr . th sport . ip daddr . th dport @kept4 goto keep
		meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport @kept6 goto keep
		jump nat_tcp_granted
		drop
	}

	chain forwarded {
		ct label 127 accept
		ct label 126 accept
		iifname "lo" accept
		meta l4proto tcp ct original proto-dst 22 goto fwd_tcp_later
	}

	chain pre_tcp {
		iifname "lo" accept
		fib daddr type unicast fib daddr . iif type != local accept
		tcp dport 22 goto pre_tcp_service
		tcp flags syn / fin,syn,rst,ack log group 5
	}

	chain pre_udp {
		iifname "lo" accept
		fib daddr type unicast fib daddr . iif type != local accept
		ct direction reply accept
		log group 5
	}

	chain pre_admitted {
		tcp flags != syn / fin,syn,rst,ack accept
	}

	chain knock_echo {
		log group 5
	}

	chain pre_echo {
		iifname "lo" accept
		icmp type echo-request fib daddr type local goto knock_echo
		icmp type echo-request fib daddr . iif type local goto knock_echo
		icmpv6 type echo-request fib daddr type local goto knock_echo
		icmpv6 type echo-request fib daddr . iif type local goto knock_echo
	}

	chain pre {
		ct label 127 jump pre_admitted
		tcp dport @tcp_ports goto pre_tcp
		udp dport @udp_ports goto pre_udp
		meta l4proto @echo_protocols goto pre_echo
	}

	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		th dport @ports goto pre
		meta l4proto @echo_protocols goto pre_echo
	}

	chain input {
		type filter hook input priority mangle; policy accept;
		th dport 22 goto in
		ct status dnat goto translated
	}

	chain forward {
		type filter hook forward priority mangle; policy accept;
		ct status dnat ct state new tcp flags rst,ack goto forwarded
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
			Table: "knock-2.x_y", Unguarded: []string{"eth0.100", "wg0"}, Protected: services("tcp/1-65535"),
			KnockPorts: services("udp/1"), Group: 65530, Workers: 6,
		}, ""},
		{"bad table", Ruleset{Table: "a b"}, `table name "a b"`},
		{"bad table begins with a digit", Ruleset{Table: "1a"}, `table name "1a"`},
		{"bad table injects", Ruleset{Table: "a{}"}, "table name"},
		{"bad long table", Ruleset{Table: strings.Repeat("a", 256)}, "256 bytes"},
		{"bad empty interface", Ruleset{Unguarded: []string{""}}, "empty"},
		{"bad interface injects", Ruleset{Unguarded: []string{`e" accept`}}, "bad interface name"},
		{"bad interface star", Ruleset{Unguarded: []string{"eth*"}}, "bad interface name"},
		{"bad long interface", Ruleset{Unguarded: []string{"abcdefghijklmnop"}}, "15 bytes"},
		{"bad label", Ruleset{Label: 128}, "bad conntrack label 128"},
		{"bad even label", Ruleset{Label: 126}, "bad conntrack label 126: want an odd one"},
		{"bad opening", Ruleset{Openings: []Opening{{}}}, "want tcp or udp"},
		{"bad prefix", Ruleset{Openings: []Opening{{Service: service("tcp/22"), Bits4: 33}}}, "bad prefix lengths 33"},
		{"bad service without port", Ruleset{Protected: []port.Range{{Protocol: packet.TCP}}}, "ports 1 to 65535"},
		{"bad service turned round", Ruleset{KnockPorts: []port.Range{{Protocol: packet.TCP, First: 9, Last: 8}}}, "in order"},
		{"bad icmp service", Ruleset{KnockPorts: []port.Range{port.Single(packet.ICMP, 1)}}, "want tcp or udp"},
		{"bad workers beyond the last group", Ruleset{Group: 65530, Workers: 7}, "65535"},
		{"bad table begins with an underscore", Ruleset{Table: "_a"}, `bad table name "_a": want a letter`},
		{"bad quota", Ruleset{Quotas: map[string]int{"b": 0, "a": -1}}, `bad quota -1 of access "a": want 1 or more`},
		{"ok as many single ports as can be", Ruleset{Protected: apart(packet.TCP, maxSinglePorts, 1)}, ""},
		{"ok single ports of both protocols are the same", Ruleset{Protected: slices.Concat(apart(packet.TCP, maxSinglePorts, 1), apart(packet.UDP, maxSinglePorts, 1))}, ""},
		{"bad too many single ports", Ruleset{Protected: append(apart(packet.TCP, maxSinglePorts, 1), service("udp/2"))}, "32769 single ports are too many: want 32768 at most"},
		{"bad too many openings", Ruleset{Openings: openRanges(1100)}, "2204 forms of grants and ranges of ports to open are too many"},
		{"bad too many ranges", Ruleset{Protected: slices.Concat(apart(packet.TCP, 13000, 2), apart(packet.UDP, 13000, 2))}, "rules (for ranges of ports, openings, and workers) are too many"},
		{"bad too many ports that are knocked on and protected", Ruleset{
			Protected: apart(packet.TCP, 1000, 1), KnockPorts: services("tcp/1-65535"), Workers: 64,
		}, "64000 rules"},
		{"ok many of them", Ruleset{
			Protected: apart(packet.TCP, 100, 1), KnockPorts: services("tcp/1-65535"), Workers: 64,
		}, ""},
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
			if typed := (*invalid.Error)(nil); err != nil && !errors.As(err, &typed) {
				t.Errorf("error %q has no parts", err)
			}
		})
	}
}

// apart are n ranges of some ports, with one port between them.
func apart(p packet.Protocol, n, ports int) []port.Range {
	var list []port.Range
	for i := range n {
		first := 1 + i*(ports+1)
		list = append(list, port.Range{Protocol: p, First: uint16(first), Last: uint16(first + ports - 1)})
	}
	return list
}

// openRanges opens n ranges.
func openRanges(n int) []Opening {
	var list []Opening
	for _, s := range apart(packet.UDP, n, 2) {
		list = append(list, Opening{Service: s})
	}
	return list
}
