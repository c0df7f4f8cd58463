//go:build interop

package hostrules

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

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
func load(t testing.TB, rules string) *Ruleset {
	t.Helper()
	host := netnstest.New(t)
	run(t, host, "nft -f - <<'END'\n"+rules+"\nEND")
	return read(t, host)
}

func read(t testing.TB, host *netns.NS) *Ruleset {
	t.Helper()
	var r *Ruleset
	netnstest.Do(t, host, func() (err error) {
		r, err = Read(context.Background())
		return err
	})
	return r
}

// words writes the outcomes of a trip, one per line.
func words(trip Trip) string {
	var b strings.Builder
	for _, o := range trip.Outcomes {
		rule := "policy"
		if o.Rule != nil {
			rule = o.Rule.String()
		}
		certain := "perhaps "
		if o.Certain {
			certain = ""
		}
		kind := [...]string{"dropped", "rejected", "queued", "diverted", "translated", "untracked"}[o.Kind]
		fmt.Fprintf(&b, "%s%s by %s: %s\n", certain, kind, o.Chain, rule)
	}
	if trip.Blocked {
		b.WriteString("blocked\n")
	}
	if trip.Incomplete {
		b.WriteString("incomplete\n")
	}
	return b.String()
}

var (
	ssh   = Packet{Protocol: unix.IPPROTO_TCP, Port: 22, Interface: "eth0", Index: 2}
	ssh6  = Packet{V6: true, Protocol: unix.IPPROTO_TCP, Port: 22, Interface: "eth0", Index: 2}
	wg    = Packet{Protocol: unix.IPPROTO_UDP, Port: 51820, Interface: "eth0", Index: 2}
	ping  = Packet{Protocol: unix.IPPROTO_ICMP, Interface: "eth0", Index: 2}
	other = Packet{Protocol: unix.IPPROTO_TCP, Interface: "eth0", Index: 2}
)

// input makes a table with a chain at input.
func input(policy, rules string) string {
	return "table inet filter {\n chain input {\n type filter hook input priority 0; policy " + policy + ";\n" + rules + "\n}\n}"
}

var walks = []struct {
	name   string
	rules  string
	packet Packet
	want   string
}{
	{"ok nothing", "", ssh, ""},
	{"bad policy", input("drop", ""), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"ok accepted before the policy", input("drop", "ct state established,related accept\n iif lo accept\n tcp dport 22 accept"), ssh, ""},
	{"ok accepted over IPv6", input("drop", "meta l4proto ipv6-icmp accept\n tcp dport 22 accept"), ssh6, ""},
	{"bad accepted over IPv4 alone", input("drop", "meta l4proto ipv6-icmp accept\n meta nfproto ipv4 tcp dport 22 accept"), ssh6, "dropped by inet filter input: policy\nblocked\n"},
	{"bad another port", input("drop", "tcp dport 23 accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"bad another protocol", input("drop", "tcp dport 51820 accept"), wg, "dropped by inet filter input: policy\nblocked\n"},
	{"ok a set of ports", input("drop", "tcp dport { 22, 80, 443 } accept"), ssh, ""},
	{"bad a set without it", input("drop", "tcp dport { 80, 443 } accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"ok an interval", input("drop", "tcp dport { 20-25, 80 } accept"), ssh, ""},
	{"ok the ends of an interval", input("drop", "tcp dport { 22-23 } accept"), ssh, ""},
	{"bad beside an interval", input("drop", "tcp dport { 23-25, 10-21 } accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"ok a range", input("drop", "tcp dport 20-25 accept"), ssh, ""},
	{"ok a range with a start", input("drop", "tcp dport >= 22 accept"), ssh, ""},
	{"bad less", input("drop", "tcp dport < 22 accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"bad not that port", input("drop", "tcp dport != 22 accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"bad not in a set", input("drop", "tcp dport != { 22, 80 } accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"perhaps: by source", input("drop", "ip saddr 10.0.0.0/8 tcp dport 22 accept"), ssh, "perhaps dropped by inet filter input: policy\n"},
	{"bad by source of the other family", input("drop", "ip6 saddr fd00::/8 tcp dport 22 accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"perhaps: a list of banned", "table inet f2b {\n set bans { type ipv4_addr; elements = { 203.0.113.7 } }\n chain input { type filter hook input priority -1; ip saddr @bans reject; }\n}", ssh,
		"perhaps rejected by inet f2b input: ip saddr @bans reject\n"},
	{"ok a list of nobody", "table inet f2b {\n set bans { type ipv4_addr; }\n chain input { type filter hook input priority -1; ip saddr @bans drop; }\n}", ssh, ""},
	{"ok the interface", input("drop", "iifname \"eth0\" accept"), ssh, ""},
	{"ok the interface by pattern", input("drop", "iifname \"eth*\" accept"), ssh, ""},
	{"bad another interface", input("drop", "iifname \"wlan*\" accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"bad the state", input("accept", "ct state new drop"), ssh, "dropped by inet filter input: ct state new drop\nblocked\n"},
	{"ok a vmap of states", input("drop", "ct state vmap { established : accept, invalid : drop }\n tcp dport 22 accept"), ssh, ""},
	{"bad a vmap", input("accept", "tcp dport vmap { 22 : drop, 80 : accept }"), ssh, "dropped by inet filter input: dport vmap { 22 : drop, 80 : accept }\nblocked\n"},
	{"ok a vmap on interfaces", "table inet f {\n chain lan { tcp dport 22 accept; }\n chain wan { drop; }\n chain input { type filter hook input priority 0; policy drop; iifname vmap { eth0 : jump lan, ppp0 : jump wan }; }\n}", ssh, ""},
	{"bad in a chain jumped to", "table inet f {\n chain in_tcp { tcp dport 80 accept; drop; }\n chain input { type filter hook input priority 0; policy accept; meta l4proto tcp jump in_tcp; }\n}", ssh,
		"dropped by inet f in_tcp: drop\nblocked\n"},
	{"ok returned from it", "table inet f {\n chain in_tcp { tcp dport 22 return; drop; }\n chain input { type filter hook input priority 0; policy accept; meta l4proto tcp jump in_tcp; }\n}", ssh, ""},
	{"bad after goto comes the policy", "table inet f {\n chain c { counter; }\n chain input { type filter hook input priority 0; policy drop; goto c; tcp dport 22 accept; }\n}", ssh, "dropped by inet f input: policy\nblocked\n"},
	{"bad some go through a chain that does nothing", "table inet f {\n chain c { counter; }\n chain input { type filter hook input priority 0; policy drop; ip saddr 10.0.0.0/8 jump c; }\n}", ssh, "dropped by inet f input: policy\nblocked\n"},
	{"perhaps: some return early", "table inet f {\n chain input { type filter hook input priority 0; policy accept; ip saddr 10.0.0.0/8 return; drop; }\n}", ssh, "perhaps dropped by inet f input: drop\n"},
	{"bad some are dropped by one rule, the others by the next", input("accept", "ip saddr 10.0.0.0/8 drop\n drop"), ssh, "perhaps dropped by inet filter input: ip saddr 10.0.0.0/8 drop\ndropped by inet filter input: drop\nblocked\n"},
	{"perhaps: a limit", input("accept", "tcp dport 22 ct state new limit rate over 3/minute drop"), ssh, "perhaps dropped by inet filter input: dport 22 ct state new limit drop\n"},
	{"perhaps: a meter", "table inet f {\n set m { type ipv4_addr; flags dynamic; }\n chain input { type filter hook input priority 0; tcp dport 22 add @m { ip saddr limit rate over 3/minute } drop; }\n}", ssh,
		"perhaps dropped by inet f input: dport 22 update @m drop\n"},
	{"bad flags of a SYN", input("accept", "tcp flags & (fin|syn|rst|ack) == syn drop"), ssh, "dropped by inet filter input: tcp flags & 0x17 0x02 drop\nblocked\n"},
	{"ok other flags", input("accept", "tcp flags & (fin|syn) == (fin|syn) drop\n tcp flags & (syn|rst|ack) == 0 drop"), ssh, ""},
	{"ok a mark that a chain before set", "table inet f {\n chain pre { type filter hook prerouting priority -140; tcp dport 22 meta mark set 0x10; }\n chain input { type filter hook input priority 0; policy drop; meta mark 0x10 accept; }\n}", ssh, ""},
	{"perhaps: a mark that may be set", "table inet f {\n chain pre { type filter hook prerouting priority -140; ip saddr 10.0.0.0/8 meta mark set 0x10; }\n chain input { type filter hook input priority 0; policy drop; meta mark 0x10 accept; }\n}", ssh,
		"perhaps dropped by inet f input: policy\n"},
	{"ok the reverse path is right", "table inet f {\n chain pre { type filter hook prerouting priority -300; fib saddr . iif oif missing drop; }\n}", ssh, ""},
	{"ok the address is local", "table inet f {\n chain input { type filter hook input priority 0; policy accept; fib daddr type != local drop; }\n}", ssh, ""},
	{"bad notrack, then untracked is dropped", "table inet f {\n chain raw { type filter hook prerouting priority -300; tcp dport 22 notrack; }\n chain input { type filter hook input priority 0; policy drop; ct state new tcp dport 22 accept; }\n}", ssh,
		"untracked by inet f raw: dport 22 notrack\ndropped by inet f input: policy\nblocked\n"},
	{"ok untracked is accepted", "table inet f {\n chain raw { type filter hook prerouting priority -300; tcp dport 22 notrack; }\n chain input { type filter hook input priority 0; policy drop; ct state untracked accept; }\n}", ssh,
		"untracked by inet f raw: dport 22 notrack\n"},
	{"bad before conntrack", "table inet f {\n chain raw { type filter hook prerouting priority -300; udp dport 51820 drop; }\n}", wg, "dropped by inet f raw: dport 51820 drop\nblocked\n"},
	{"ok a ping", input("drop", "icmp type echo-request accept"), ping, ""},
	{"bad no ping", input("accept", "icmp type echo-request drop"), ping, "dropped by inet filter input: icmp type 8 drop\nblocked\n"},
	{"perhaps: any port", input("accept", "tcp dport 1000-2000 drop"), other, "perhaps dropped by inet filter input: dport >= 1000 dport <= 2000 drop\n"},
	{"bad accept at one priority, drop at the next", "table ip a {\n chain i { type filter hook input priority -10; tcp dport 22 accept; }\n}\ntable ip b {\n chain i { type filter hook input priority 10; policy drop; }\n}", ssh,
		"dropped by ip b i: policy\nblocked\n"},
	{"ok a table of the other family", "table ip6 b {\n chain i { type filter hook input priority 10; policy drop; }\n}", ssh, ""},
	{"bad a concatenation", input("drop", "meta l4proto . th dport { tcp . 80, udp . 22 } accept"), ssh, "dropped by inet filter input: policy\nblocked\n"},
	{"ok a concatenation", input("drop", "meta l4proto . th dport { tcp . 22, udp . 22 } accept"), ssh, ""},
	{"ok a concatenation of ranges", "table inet f {\n set s { type inet_proto . inet_service; flags interval; elements = { tcp . 20-30 } }\n chain input { type filter hook input priority 0; policy drop; meta l4proto . th dport @s accept; }\n}", ssh, ""},
	{"perhaps: a concatenation with the source", "table inet f {\n set s { type ipv4_addr . inet_service; elements = { 10.0.0.1 . 22 } }\n chain input { type filter hook input priority 0; policy drop; ip saddr . tcp dport @s accept; }\n}", ssh, "perhaps dropped by inet f input: policy\n"},
	{"bad a concatenation with the source and another port", "table inet f {\n set s { type ipv4_addr . inet_service; elements = { 10.0.0.1 . 23 } }\n chain input { type filter hook input priority 0; policy drop; ip saddr . tcp dport @s accept; }\n}", ssh, "dropped by inet f input: policy\nblocked\n"},
	{"bad redirected to a port that is dropped", "table ip nat {\n chain p { type nat hook prerouting priority -100; tcp dport 22 redirect to :2222; }\n}\n" + input("accept", "tcp dport 2222 drop"), ssh,
		"translated by ip nat p: dport 22 redirect to :2222\ndropped by inet filter input: dport 2222 drop\nblocked\n"},
	{"bad translated, and forwarding is dropped", "table ip nat {\n chain p { type nat hook prerouting priority -100; tcp dport 22 dnat to 10.0.0.9:2222; }\n}\ntable ip f {\n chain f { type filter hook forward priority 0; policy drop; }\n chain i { type filter hook input priority 0; policy drop; }\n}", ssh,
		"translated by ip nat p: dport 22 dnat to 10.0.0.9:2222\ndropped by ip f f: policy\nblocked\n"},
	{"ok translated, and accepted by its status", "table ip nat {\n chain p { type nat hook prerouting priority -100; tcp dport 22 dnat to 10.0.0.9:2222; }\n}\ntable ip f {\n chain f { type filter hook forward priority 0; policy drop; ct status dnat accept; }\n}", ssh,
		"translated by ip nat p: dport 22 dnat to 10.0.0.9:2222\n"},
	{"ok the port that was dialled", "table ip nat {\n chain p { type nat hook prerouting priority -100; tcp dport 22 dnat to 10.0.0.9:2222; }\n}\ntable ip f {\n chain f { type filter hook forward priority 0; policy drop; ip daddr 10.0.0.9 tcp dport 2222 accept; }\n}", ssh,
		"translated by ip nat p: dport 22 dnat to 10.0.0.9:2222\n"},
	{"perhaps: what is not understood", input("accept", "tcp option maxseg size 1-500 drop"), ssh, "perhaps dropped by inet filter input: [exthdr] [register] >= 0x0001 [register] <= 0x01f4 drop\n"},
	{"bad at ingress", "table netdev n {\n chain i { type filter hook ingress device lo priority 0; tcp dport 22 drop; }\n}",
		Packet{Protocol: unix.IPPROTO_TCP, Port: 22, Interface: "lo", Index: 1}, "dropped by netdev n i: dport 22 drop\nblocked\n"},
	{"ok at ingress of another device", "table netdev n {\n chain i { type filter hook ingress device lo priority 0; tcp dport 22 drop; }\n}", ssh, ""},
}

func TestInteropWalk(t *testing.T) {
	for _, tt := range walks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			trip := load(t, tt.rules).Walk(tt.packet, nil)
			got := strings.ReplaceAll(words(trip), "meta l4proto tcp ", "")
			got = strings.ReplaceAll(got, "meta l4proto udp ", "")
			got = strings.ReplaceAll(got, "meta l4proto icmp ", "")
			got = strings.ReplaceAll(got, "meta nfproto ipv4 ", "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// agree sends a real SYN to a host that a command line has configured, and compares what
// becomes of it with the words of Walk.
func agree(t *testing.T, lines string, v6 bool, want string) {
	host, peer := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, host, peer, "eth0", []string{"198.51.100.1/24", "2001:db8::1/64"}, []string{"198.51.100.2/24", "2001:db8::2/64"})
	run(t, host, lines)
	var l net.Listener
	netnstest.Do(t, host, func() (err error) {
		l, err = net.Listen("tcp", "[::]:22")
		return err
	})
	defer l.Close()
	to, wait := "198.51.100.1:22", 5*time.Second
	if v6 {
		to = "[2001:db8::1]:22"
	}
	blocked := strings.Contains(want, "blocked")
	if blocked {
		wait = 300 * time.Millisecond // an answer takes less, if there is one
	}
	err := peer.Do(func() error {
		c, err := net.DialTimeout("tcp", to, wait)
		if err == nil {
			c.Close()
		}
		return err
	})
	if (err != nil) != blocked {
		t.Errorf("Walk says blocked %v, and the connection ends with: %v", blocked, err)
	}
}

// comparable reports whether a case is one that agree can try.
func comparable(p Packet, want string) bool {
	return (reflect.DeepEqual(p, ssh) || reflect.DeepEqual(p, ssh6)) && !strings.Contains(want, "perhaps") && !strings.Contains(want, "translated") && !strings.Contains(want, "queued")
}

// Where Walk is certain, the kernel does with a real SYN what Walk says.
func TestInteropWalkAgreesWithTheKernel(t *testing.T) {
	compared := 0
	for _, tt := range walks {
		if comparable(tt.packet, tt.want) {
			compared++
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				agree(t, "nft -f - <<'END'\n"+tt.rules+"\nEND", tt.packet.V6, tt.want)
			})
		}
	}
	for _, tt := range tables {
		if comparable(tt.packet, tt.want) {
			compared++
			t.Run("iptables/"+tt.name, func(t *testing.T) {
				t.Parallel()
				agree(t, tt.lines, tt.packet.V6, tt.want)
			})
		}
	}
	if compared < 45 {
		t.Errorf("only %d rulesets compared", compared)
	}
}

// Rules of iptables are known by the structures of x_tables.
var tables = []struct {
	name   string
	lines  string
	packet Packet
	want   string
}{
	{"bad policy", "iptables -P INPUT DROP; iptables -A INPUT -p tcp --dport 80 -j ACCEPT", ssh, "dropped by ip filter INPUT: policy\nblocked\n"},
	{"ok accepted", "iptables -P INPUT DROP; iptables -A INPUT -m conntrack --ctstate NEW -p tcp -m tcp --dport 22 -m comment --comment x -j ACCEPT", ssh, ""},
	{"bad another state", "iptables -P INPUT DROP; iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", ssh, "dropped by ip filter INPUT: policy\nblocked\n"},
	{"ok the old match", "iptables -P INPUT DROP; iptables -A INPUT -m state --state NEW,ESTABLISHED -j ACCEPT", ssh, ""},
	{"ok several ports", "iptables -P INPUT DROP; iptables -A INPUT -p tcp -m multiport --dports 80,20:25 -j ACCEPT", ssh, ""},
	{"bad several other ports", "iptables -P INPUT DROP; iptables -A INPUT -p tcp -m multiport --dports 80,23:25 -j ACCEPT", ssh, "dropped by ip filter INPUT: policy\nblocked\n"},
	{"bad all but several ports", "iptables -P INPUT DROP; iptables -A INPUT -p tcp -m multiport ! --dports 80,22 -j ACCEPT", ssh, "dropped by ip filter INPUT: policy\nblocked\n"},
	{"bad rejected", "iptables -A INPUT -p tcp --syn -j REJECT", ssh, "rejected by ip filter INPUT: tcp flags & 0x17 0x02 [xt REJECT]\nblocked\n"},
	{"ok the address type", "iptables -P INPUT DROP; iptables -A INPUT -m addrtype --dst-type LOCAL -j ACCEPT", ssh, ""},
	{"perhaps: rate", "iptables -A INPUT -p tcp --dport 22 -m recent --update --seconds 60 --hitcount 4 -j DROP", ssh, "perhaps dropped by ip filter INPUT: dport 22 [xt recent] drop\n"},
	{"ok a mark", "iptables -t mangle -A PREROUTING -p tcp --dport 22 -j MARK --set-xmark 0x4/0x4; iptables -P INPUT DROP; iptables -A INPUT -m mark --mark 0x4/0x4 -j ACCEPT", ssh, ""},
	{"bad notrack", "iptables -t raw -A PREROUTING -p udp --dport 51820 -j CT --notrack", wg, "untracked by ip raw PREROUTING: dport 51820 [xt CT]\n"},
	{"bad DNAT", "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 22 -j DNAT --to-destination 10.0.0.9:2222; iptables -P FORWARD DROP", ssh,
		"translated by ip nat PREROUTING: [xt addrtype] dport 22 [xt DNAT]\ndropped by ip filter FORWARD: policy\nblocked\n"},
	{"perhaps: queued", "iptables -A INPUT -p tcp --dport 22 -j NFQUEUE", ssh, "queued by ip filter INPUT: dport 22 [xt NFQUEUE]\n"},
	{"bad over IPv6", "ip6tables -P INPUT DROP; iptables -A INPUT -j ACCEPT", ssh6, "dropped by ip6 filter INPUT: policy\nblocked\n"},
}

func TestInteropWalkIPTables(t *testing.T) {
	for _, tt := range tables {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			run(t, host, tt.lines)
			got := strings.ReplaceAll(words(read(t, host).Walk(tt.packet, nil)), "meta l4proto tcp ", "")
			got = strings.ReplaceAll(got, "meta l4proto udp ", "")
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Where a packet goes after translation.
func TestInteropTranslation(t *testing.T) {
	for name, lines := range map[string]string{
		"nft":      "nft 'add table ip nat; add chain ip nat p { type nat hook prerouting priority -100; }; add rule ip nat p tcp dport 22 dnat to 10.0.0.9:2222'",
		"iptables": "iptables -t nat -A PREROUTING -p tcp --dport 22 -j DNAT --to-destination 10.0.0.9:2222",
	} {
		t.Run(name, func(t *testing.T) {
			host := netnstest.New(t)
			run(t, host, lines)
			trip := read(t, host).Walk(ssh, nil)
			if len(trip.Outcomes) != 1 || trip.Outcomes[0].To != netip.MustParseAddrPort("10.0.0.9:2222") || !trip.Outcomes[0].Certain {
				t.Errorf("got %+v", trip.Outcomes)
			}
		})
	}
}

// A packet that we mark, or whose source is in a set of the administrator.
func TestInteropGrantedPackets(t *testing.T) {
	rules := load(t, "table inet f {\n set s { type ipv4_addr; }\n chain input { type filter hook input priority 0; policy drop; meta mark & 0x10000 == 0x10000 accept; ip saddr @s accept; }\n}")
	marked, member := ssh, ssh
	marked.Mark, member.Members = 0x10000, map[string]bool{"inet f s": true}
	for _, tt := range []struct {
		name   string
		packet Packet
		want   bool
	}{{"neither", ssh, true}, {"marked", marked, false}, {"member", member, false}} {
		if got := rules.Walk(tt.packet, nil).Blocked; got != tt.want {
			t.Errorf("%s: blocked %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Our own table is left out.
func TestInteropSkippedTables(t *testing.T) {
	rules := load(t, "table inet ours { chain input { type filter hook input priority 0; policy drop; }; }")
	if !rules.Walk(ssh, nil).Blocked || rules.Walk(ssh, func(t *Table) bool { return t.Name == "ours" }).Blocked {
		t.Error("the table is not left out")
	}
}

// One walk through a chain of 5000 rules.
func BenchmarkWalk(b *testing.B) {
	r := load(b, input("drop", "ip saddr 10.0.0.1 tcp dport 1000 accept\n tcp dport { 80, 443 } accept"))
	c := r.Tables[0].Chains[0]
	for len(c.Rules) < 5000 {
		c.Rules = append(c.Rules, c.Rules...)
	}
	c.Rules = c.Rules[:5000]
	b.ReportAllocs()
	for b.Loop() {
		r.Walk(ssh, nil)
	}
}
