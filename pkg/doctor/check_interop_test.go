//go:build interop

package doctor

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/florianl/go-nflog/v2"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"

	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// healthy is a firewall with our table, in which nothing is wrong.
const healthy = `table inet nftknock {
	chain prerouting { type filter hook prerouting priority -150; tcp dport 22 drop; }
}
table inet filter {
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established,related accept
		tcp dport 22 accept
	}
}
`

// newHost makes a host with an interface eth0 to the outside.
func newHost(t testing.TB) *netns.NS {
	t.Helper()
	host, peer := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, host, peer, "eth0", []string{"198.51.100.1/24", "2001:db8::1/64"}, []string{"198.51.100.2/24", "2001:db8::2/64"})
	run(t, host, "ip route add default via 198.51.100.2")
	return host
}

// diagnose looks at a host, whose files are below root.
func diagnose(t testing.TB, host *netns.NS, p Policy, root string) []Finding {
	t.Helper()
	var h *Host
	netnstest.Do(t, host, func() error {
		h = Look(context.Background(), p, root)
		return nil
	})
	h.Unsynchronised = false // the test machine's
	for _, s := range h.Unseen {
		if !strings.HasPrefix(s, "daemon: ") {
			t.Errorf("not looked at %s", s)
		}
	}
	return p.Check(context.Background(), h)
}

// Each fault, made for real, gives its finding and no other.
func TestInteropFaults(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Policy)
		rules  string // after those of healthy
		lines  string // of the shell
		want   string // the finding
		code   string // its code
		also   string // a code that may be there too
	}{
		{name: "ok healthy"},
		{name: "bad dropped later", rules: "table ip late { chain i { type filter hook input priority 10; tcp dport 22 drop; }; }",
			code: "later-drop", want: "error: rule handle 2 of chain ip late i (tcp dport 22 drop) drops IPv4 granted packets to tcp/22 on eth0"},
		{name: "bad dropped at raw", rules: "table inet early { chain p { type filter hook prerouting priority raw; udp dport 5002 drop; }; }",
			code: "earlier-drop", want: "error: rule handle 2 of chain inet early p (udp dport 5002 drop) drops packets to udp/5002 on eth0 before nftknock sees them (it looks at prerouting, priority -150)"},
		{name: "bad dropped at ingress", rules: "table netdev early { chain p { type filter hook ingress device eth0 priority 0; tcp dport 5001 drop; }; }",
			code: "earlier-drop", want: "error: rule handle 2 of chain netdev early p (tcp dport 5001 drop) drops packets to tcp/5001 on eth0 before nftknock sees them (it looks at prerouting, priority -150)"},
		{name: "ok dropped at ingress of another interface", lines: "ip link add dmy0 type bridge", rules: "table netdev early { chain p { type filter hook ingress device dmy0 priority 0; tcp dport 5001 drop; }; }"},
		{name: "bad dropped at ingress of family inet", rules: "table inet early { chain p { type filter hook ingress device eth0 priority 0; tcp dport 5001 drop; }; }",
			code: "earlier-drop", want: "error: rule handle 2 of chain inet early p (tcp dport 5001 drop) drops packets to tcp/5001 on eth0 before nftknock sees them (it looks at prerouting, priority -150)"},
		{name: "bad notrack", change: func(p *Policy) { p.Services = append(p.Services, port.Single(packet.UDP, 51820)) },
			rules: "table inet raw { chain p { type filter hook prerouting priority raw; udp dport 51820 notrack; }; }\nadd rule inet filter input udp dport 51820 accept",
			code:  "notrack", want: "warning: rule handle 2 of chain inet raw p (udp dport 51820 notrack) takes udp/51820 from conntrack: a client can go on after its grant has ended, as long as it sends a packet every three minutes"},
		{name: "ok notrack of TCP", rules: "table inet raw { chain p { type filter hook prerouting priority raw; tcp dport 22 notrack; }; }"},
		{name: "bad a filter of tc", lines: "tc qdisc add dev eth0 clsact; tc filter add dev eth0 ingress protocol all u32 match u32 0 0 flowid 1:1",
			code: "tc", want: "warning: a filter of tc at ingress looks at packets of eth0 before nftables: what it drops or redirects, nftknock does not see"},
		{name: "bad a listed interface is not there", change: func(p *Policy) { p.Interfaces = []string{"eth0", "eth7"} },
			code: "interface", want: `warning: interface "eth7" does not exist: all interfaces but lo are guarded until it does; if its name is another one, correct interfaces in the policy`},
		{name: "ok a listed interface", change: func(p *Policy) { p.Interfaces = []string{"eth0"} }},
		{name: "bad iptables-legacy", lines: "iptables-legacy -A INPUT -p tcp --dport 22 -j DROP",
			code: "legacy-tables", want: "warning: iptables-legacy has tables in this kernel (ip filter), which doctor does not read: rules in them may drop granted packets or knocks"},
		{name: "bad no firewall", lines: "nft delete table inet filter",
			code: "hide-stands-out", want: "warning: no firewall of this host drops packets to closed ports: they answer, and only the hidden ports are silent, so that a scan finds them"},
		{name: "ok no firewall, and reject", change: func(p *Policy) { p.Hide = policy.HideReject }, lines: "nft delete table inet filter"},
		{name: "bad a firewall, and reject", change: func(p *Policy) { p.Hide = policy.HideReject },
			code: "hide-stands-out", want: "warning: a firewall of this host drops packets to closed ports: they are silent, and only the hidden ports answer, so that a scan finds them"},
		{name: "bad our table is missing", lines: "nft delete table inet nftknock",
			code: "table-missing", want: "warning: there is no table inet nftknock: services are not hidden now"},
		{name: "bad firewalld with sets", change: func(p *Policy) { p.Mode, p.Members, p.No6 = "set", []string{"inet firewalld s"}, true },
			rules: "table inet firewalld { set s { type ipv4_addr; }; chain i { type filter hook input priority 10; tcp dport 22 ip saddr != @s drop; meta nfproto ipv6 drop; }; }",
			code:  "dynamic-firewall", want: "warning: firewalld manages table inet firewalld: sets in its tables, and grants in them, vanish when it reloads"},
		{name: "bad mode set, and the service is open to all", change: func(p *Policy) { p.Mode, p.Members = "set", []string{"inet filter s"} },
			rules: "add set inet filter s { type ipv4_addr; }",
			code:  "not-hidden", want: `error: your firewall lets everyone reach tcp/22 over IPv4 and IPv6: in mode "set" it must drop those who have no grant`},
		{name: "ok mode set", change: func(p *Policy) { p.Mode, p.Members, p.No6 = "set", []string{"inet filter s"}, true },
			lines: "nft flush chain inet filter input", rules: "add set inet filter s { type ipv4_addr; }\nadd rule inet filter input tcp dport 22 ip saddr @s accept"},
		{name: "bad mode set without the set", change: func(p *Policy) { p.Mode, p.Members = "set", []string{"inet filter t"} },
			lines: "nft flush chain inet filter input", rules: "add set inet filter s { type ipv4_addr; }\nadd rule inet filter input ip saddr @s accept",
			code: "set-missing", want: "error: there is no set inet filter t: grants open nothing", also: "later-drop"},
		{name: "ok mode mark", change: func(p *Policy) { p.Mode, p.Mark = "mark", 0x10 },
			lines: "nft flush chain inet filter input", rules: "add rule inet filter input meta mark & 0x10 != 0 accept"},
		{name: "bad mode mark, and another mark", change: func(p *Policy) { p.Mode, p.Mark = "mark", 0x20 },
			lines: "nft flush chain inet filter input", rules: "add rule inet filter input meta mark & 0x10 != 0 accept",
			code: "later-drop", want: "error: the policy of chain inet filter input drops granted packets to tcp/22 on eth0"},
		{name: "ok firewalld with a gate", rules: "table inet firewalld { chain i { type filter hook input priority 10; }; }"},
		{name: "bad ufw with a mark", change: func(p *Policy) { p.Mode = "mark" }, also: "not-hidden", lines: "iptables -N ufw-before-input; iptables -A INPUT -j ufw-before-input; iptables -N ufw-user-input",
			code: "dynamic-firewall", want: "warning: ufw manages table ip filter: rules in its tables that look for the mark vanish when it reloads"},
		{name: "ok ufw with a gate", lines: "iptables -N ufw-before-input"},
		{name: "bad a container's own address", change: func(p *Policy) { p.Services = []port.Range{port.Single(packet.TCP, 8080)} },
			lines: "sysctl -qw net.ipv4.ip_forward=1; ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up; " + docker,
			code:  "published", want: "warning: tcp/8080 is translated to 172.17.0.2:80, which hosts on eth0 reach without a knock if they send packets for 172.17.0.2 to this host", also: "later-drop"},
		{name: "ok a container's address is shut", change: func(p *Policy) { p.Services = []port.Range{port.Single(packet.TCP, 8080)} },
			lines: "sysctl -qw net.ipv4.ip_forward=1; ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up; " + docker +
				"; iptables -t raw -A PREROUTING -d 172.17.0.2 ! -i docker0 -j DROP", also: "later-drop"},
		{name: "ok a container, and no forwarding", change: func(p *Policy) { p.Services = []port.Range{port.Single(packet.TCP, 8080)} },
			lines: "sysctl -qw net.ipv4.ip_forward=0; ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up; " + docker, also: "later-drop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, p := newHost(t), sshPolicy()
			if tt.change != nil {
				tt.change(&p)
			}
			run(t, host, "nft -f - <<'END'\n"+healthy+"\nEND")
			if tt.lines != "" {
				run(t, host, tt.lines)
			}
			run(t, host, "nft -f - <<'END'\n"+tt.rules+"\nEND")
			for _, f := range diagnose(t, host, p, t.TempDir()) {
				got := f.String()
				for _, s := range []string{"meta l4proto tcp ", "meta l4proto udp "} {
					got = strings.ReplaceAll(got, s, map[bool]string{true: s[len(s)-4:]}[strings.Contains(got, s+"dport")])
				}
				switch {
				case f.Code == tt.code && got == tt.want:
					tt.code = "" // found
				case tt.also == "" || f.Code != tt.also:
					t.Errorf("[%s] %s", f.Code, got)
				}
			}
			if tt.want != "" && tt.code != "" {
				t.Errorf("not found: %s", tt.want)
			}
		})
	}
}

// docker is what Docker writes for a container with -p 8080:80.
const docker = `iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER;
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80;
iptables -P FORWARD DROP; iptables -N DOCKER; iptables -A FORWARD -o docker0 -j DOCKER;
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT`

// With a service that listens on a knock port.
func TestInteropBusyKnockPort(t *testing.T) {
	host := newHost(t)
	run(t, host, "nft -f - <<'END'\n"+healthy+"\nEND")
	if got := of("knock-port-busy", diagnose(t, host, sshPolicy(), t.TempDir())); len(got) != 0 {
		t.Fatalf("nobody listens: %v", got)
	}
	var l net.Listener
	netnstest.Do(t, host, func() (err error) {
		l, err = net.Listen("tcp", "0.0.0.0:5001")
		return err
	})
	defer l.Close()
	got := of("knock-port-busy", diagnose(t, host, sshPolicy(), t.TempDir()))
	if len(got) != 1 || !strings.Contains(got[0].Message, "listens on the knock port tcp/5001:") {
		t.Errorf("got %v", got)
	}
}

// With a process that has bound the group.
func TestInteropTakenGroup(t *testing.T) {
	host := newHost(t)
	run(t, host, "nft -f - <<'END'\n"+healthy+"\nEND")
	take := func(number uint16) *nflog.Nflog {
		var n *nflog.Nflog
		netnstest.Do(t, host, func() (err error) {
			if n, err = nflog.Open(&nflog.Config{Group: number, Copymode: nflog.CopyPacket}); err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(context.Background())
			t.Cleanup(func() {
				cancel()
				n.Close()
			})
			return n.RegisterWithErrorFunc(ctx, func(nflog.Attribute) int { return 0 }, func(error) int { return 1 })
		})
		return n
	}
	take(9)
	if got := of("group-taken", diagnose(t, host, sshPolicy(), t.TempDir())); len(got) != 0 {
		t.Fatalf("another group: %v", got)
	}
	take(6)
	p := sshPolicy()
	p.Workers = 2
	got := of("group-taken", diagnose(t, host, p, t.TempDir()))
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := "NFLOG group 6 belongs to process " + strconv.Itoa(os.Getpid()) + " (" + strings.TrimSpace(string(name)) + "): nftknockd does not receive knocks"
	if len(got) != 1 || got[0].Message != want {
		t.Errorf("got %v, want %s", got, want)
	}
	// The daemon itself is none of the others.
	p.ControlSocket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", p.ControlSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := of("group-taken", diagnose(t, host, p, t.TempDir())); len(got) != 0 {
		t.Errorf("the daemon's: %v", got)
	}
	if got := of("daemon-down", diagnose(t, host, p, t.TempDir())); len(got) != 0 {
		t.Errorf("it runs: %v", got)
	}
	l.Close()
	if got := of("daemon-down", diagnose(t, host, p, t.TempDir())); len(got) != 1 {
		t.Errorf("it does not run: %v", got)
	}
}

// The ruleset is saved as nft prints it, with our table as the daemon leaves it.
func TestInteropSavedTable(t *testing.T) {
	host, root := newHost(t), t.TempDir()
	run(t, host, "nft -f - <<'END'\n"+healthy+"\nEND")
	var saved []byte
	netnstest.Do(t, host, func() (err error) {
		saved, err = exec.Command("nft", "list", "ruleset").Output()
		return err
	})
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/nftables.conf", "flush ruleset\ninclude \"rules.d/*.nft\"\ninclude \"/etc/nftables.conf\"\n")
	write("etc/rules.d/a.nft", "table inet filter { }\n")
	if got := of("saved-table", diagnose(t, host, sshPolicy(), root)); len(got) != 0 {
		t.Fatalf("got %v", got)
	}
	write("etc/rules.d/b.nft", "# saved\n"+string(saved))
	got := of("saved-table", diagnose(t, host, sshPolicy(), root))
	if len(got) != 1 || got[0].Severity != Error || got[0].Where.File != "/etc/rules.d/b.nft" || got[0].Where.Line != 2 {
		t.Errorf("got %+v", got)
	}
	// A service does not hang at a pipe.
	if out, err := exec.Command("mkfifo", filepath.Join(root, "etc/rules.d/c.nft")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, errs := readSaved(root, "nftknock"); len(errs) != 1 {
		t.Errorf("got errors %v", errs)
	}
}

// With a program that drops all packets.
func TestInteropXDP(t *testing.T) {
	if xdpProgram < 0 {
		t.Skip("the kernel loads no XDP program for a user who is not root")
	}
	host := newHost(t)
	run(t, host, "nft -f - <<'END'\n"+healthy+"\nEND")
	netnstest.Do(t, host, func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkSetXdpFdWithFlags(link, xdpProgram, nl.XDP_FLAGS_SKB_MODE)
	})
	got := diagnose(t, host, sshPolicy(), t.TempDir())
	if len(got) != 1 || got[0].Message != "an XDP program looks at packets of eth0 before nftables: what it drops or redirects, nftknock does not see" {
		t.Errorf("got %v", got)
	}
}
