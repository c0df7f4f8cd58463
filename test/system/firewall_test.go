//go:build system

package system

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// recipe returns the code below a heading of docs/firewalls.md.
func recipeOf(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile(top + "/docs/firewalls.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n#")
	var code strings.Builder
	for line := range strings.Lines(section) {
		if indented, ok := strings.CutPrefix(line, "    "); ok {
			code.WriteString(indented)
		}
	}
	if !found || code.Len() == 0 {
		t.Fatalf("docs/firewalls.md has no recipe %q", heading)
	}
	return code.String()
}

// firewalls are the recipes of docs/firewalls.md that set up a firewall, with what
// administrators do to it later.
var firewalls = []struct {
	name string
	// boots: it is set up again by a boot.
	boots  bool
	events []string
}{
	{"nftables.service", true, []string{
		"systemctl reload nftables", "systemctl restart nftables", "nft -f /etc/nftables.conf", "nft flush ruleset",
		"systemctl start nftables", "systemctl stop nftables", "systemctl start nftables",
	}},
	{"firewalld", true, []string{"firewall-cmd --reload", "firewall-cmd --complete-reload", "systemctl restart firewalld", "systemctl stop firewalld", "systemctl start firewalld"}},
	{"ufw", true, []string{"ufw reload", "ufw --force disable", "ufw --force enable", "systemctl restart ufw"}},
	{"iptables-nft", false, []string{"iptables-nft -A INPUT -p tcp --dport 23 -j ACCEPT", "iptables-nft-save > /run/rules; iptables-nft-restore < /run/rules", "iptables-nft -P INPUT ACCEPT; iptables-nft -F"}},
	{"iptables-legacy", false, []string{"iptables-legacy -A INPUT -p tcp --dport 23 -j ACCEPT", "iptables-legacy-save > /run/rules; iptables-legacy-restore < /run/rules", "iptables-legacy -P INPUT ACCEPT; iptables-legacy -F"}},
}

// Beside each firewall the service stays hidden, and knocks open it, whatever is done to the
// firewall.
func TestFirewalls(t *testing.T) {
	for _, f := range firewalls {
		t.Run(f.name, func(t *testing.T) {
			s := begin(t)
			s.write(keyFile, key+"\n")
			s.write(policyFile, policy)
			s.in("sh", "-e", "-c", recipeOf(t, f.name))
			s.wants(stranger, open) // but for nftknock
			before := s.login(stranger)
			s.in("systemctl", "enable", "--now", unit)
			s.wants(stranger, filtered)
			s.knockShared(friend)
			s.becomes(friend, open)
			opened := s.watchPort(22)
			for _, event := range f.events {
				s.in("sh", "-e", "-c", event)
				s.wants(stranger, filtered)
				s.wants(friend, open)
				before.works()
			}
			if f.boots {
				s.reboot()
				s.wants(stranger, filtered)
			}
			s.knockSealed(spender)
			s.becomes(spender, open)
			if when := opened(); len(when) > 0 {
				t.Errorf("tcp/22 was open for who did not knock, %v after %s", when, f.events)
			}
		})
	}
}

// docker does what Docker does for "docker run -p 8080:80", with an ssh server in the container.
const docker = `
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
ip netns add container
ip link add veth0 type veth peer name eth0 netns container
ip link set veth0 master docker0 up
ip netns exec container ip addr add 172.17.0.2/16 dev eth0
ip netns exec container ip link set eth0 up
ip netns exec container ip route add default via 172.17.0.1
sysctl -qw net.ipv4.ip_forward=1
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER -i docker0 -j RETURN
iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
iptables -N DOCKER
iptables -P FORWARD DROP
iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
iptables -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
mkdir -p /run/sshd
systemd-run -q --unit=container ip netns exec container /usr/sbin/sshd -D -p 80 -o PidFile=none
`

// A port that Docker publishes is hidden by the number that clients dial.
func TestDocker(t *testing.T) {
	s := begin(t)
	s.in("sh", "-e", "-c", docker)
	t.Cleanup(func() { s.in("sh", "-c", "systemctl stop container; systemctl reset-failed; true") })
	s.await("the container answers", func() bool {
		got, err := ask(stranger, 8080)
		return err == nil && got == open
	})
	s.write(keyFile, key+"\n")
	s.write(policyFile, policy+recipeOf(t, "Docker"))
	s.in("systemctl", "start", unit)
	s.wantsPort(stranger, 8080, filtered)
	s.knock(friend, "tcp/50153", "udp/6120", "tcp/24134")
	s.await("tcp/8080 is open", func() bool {
		got, err := ask(friend, 8080)
		return err == nil && got == open
	})
	s.wantsPort(stranger, 8080, filtered)
	s.wants(friend, filtered)
	// As a Docker that starts anew.
	s.in("sh", "-e", "-c", "iptables-save > /run/rules; iptables -t nat -F; iptables -F; iptables-restore < /run/rules")
	s.wantsPort(stranger, 8080, filtered)
	s.wantsPort(friend, 8080, open)
}

// Without a firewall, what hides nothing but itself is conspicuous: nmap is to see tcp/22 as it
// sees the ports beside it.
func TestNoFirewall(t *testing.T) {
	s := guarded(t, policy)
	if seen := s.nmap(); seen[22] != "filtered" || seen[23] != "closed" {
		t.Errorf("with hide = \"drop\" nmap sees %v; the page says filtered among closed", seen)
	}
	s.write(policyFile, policy+recipeOf(t, "No firewall"))
	s.in("systemctl", "reload", unit)
	for port, state := range s.nmap() {
		if state != "closed" {
			t.Errorf("with hide = \"reject\" nmap sees tcp/%d as %s", port, state)
		}
	}
	s.wants(stranger, closed)
	s.knockShared(friend)
	s.becomes(friend, open)
}

// nmap returns what nmap says of tcp/20 to 25.
func (s *scene) nmap() map[int]string {
	s.Helper()
	out, status := s.outside(stranger, "nmap", "-n", "-Pn", "-sS", "-p", "20-25", "-v", "-oG", "-", server)
	seen := make(map[int]string)
	_, list, _ := strings.Cut(out, "Ports: ")
	for field := range strings.SplitSeq(list, ",") {
		var port int
		var state string
		if n, _ := fmt.Sscanf(strings.NewReplacer("/", " ").Replace(strings.TrimSpace(field)), "%d %s", &port, &state); n == 2 {
			seen[port] = state
		}
	}
	if status != 0 || len(seen) != 6 {
		s.Fatal(errors.New("nmap's output has not six ports: " + out))
	}
	return seen
}
