//go:build interop

package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/test/lab"
)

// A recipe is an example of docs/firewalls.md: a part of a policy, and the firewall to it.
type recipe struct {
	language string // nft, or sh
	policy   string
	firewall string
}

var recipeBlocks = regexp.MustCompile("(?ms)^```toml\n(.*?)^```\n\n```(nft|sh)\n(.*?)^```")

// recipes reads those of the page.
func recipes(t *testing.T) []recipe {
	t.Helper()
	page, err := os.ReadFile("../../docs/firewalls.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []recipe
	for _, words := range recipeBlocks.FindAllStringSubmatch(string(page), -1) {
		list = append(list, recipe{policy: words[1], language: words[2], firewall: words[3]})
	}
	if got, blocks := len(list), strings.Count(string(page), "```toml\n"); got != 5 || got != blocks {
		t.Fatalf("%d recipes of %d parts of policies, want 5", got, blocks)
	}
	return list
}

// inSet says whether grants of the recipe are in a set of the firewall.

// name is short.
func (r recipe) name() string {
	for _, s := range []string{"inet_proto", "inet_service", "ipv4_addr", "iptables", "mark"} {
		if strings.Contains(r.firewall, s) {
			return s
		}
	}
	return "unknown"
}

func (r recipe) start(s *stage, accesses string) {
	s.Helper()
	s.load(r)
	s.start(r.policy + accesses)
}

// load loads the firewall anew.
func (s *stage) load(r recipe) {
	s.Helper()
	path, err := s.Write("firewall", r.firewall)
	if err != nil {
		s.Fatal(err)
	}
	if r.language == "sh" {
		s.onServer("sh", "-e", path)
	} else {
		s.onServer("nft", "-f", path)
	}
}

// onServer runs a program on the server.
func (s *stage) onServer(name string, args ...string) string {
	s.Helper()
	out, err := (&lab.Client{NS: s.Server}).Run(name, args...)
	if err != nil {
		s.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

// TestNftRecipes: each recipe of the documentation lets in who has knocked, and nobody
// else; to its service alone; until the grant ends or is revoked; over a restart of the
// daemon and a reload of the firewall.
func TestNftRecipes(t *testing.T) {
	for _, r := range recipes(t) {
		for family, server := range map[string]netip.Addr{"IPv4": lab.Server4, "IPv6": lab.Server6} {
			t.Run(r.name()+"/"+family, func(t *testing.T) {
				t.Parallel()
				runRecipe(newStage(t, 2), r, server)
			})
		}
	}
}

func runRecipe(s *stage, r recipe, server netip.Addr) {
	if err := s.Serve(s.Context(), 8022, "another service"); err != nil {
		s.Fatal(err)
	}
	r.start(s, access("ssh", three, "60s")+access("short", "tcp/40001 udp/40007 tcp/40004", "4s"))
	c, stranger := s.Clients[0], s.Clients[1]
	source := c.Addr4
	if server.Is6() {
		source = c.Addr6
	}
	s.wantOpen(c, server, false)
	s.knock(c, server, strings.Fields(three)...)
	s.await("granted " + source.String() + " access to tcp/22 for 1m")
	s.wantOpen(c, server, true)
	s.wantOpen(stranger, server, false)
	conn := s.connectTo(c, server)
	if c.Open(server, 8022) {
		s.Error("another service is open, too")
	}

	// The firewall is loaded anew while the grant runs.
	s.load(r)
	s.eventually("the grant is put back", func() bool { return c.Open(server, 22) })
	s.wantOpen(stranger, server, false)

	// The daemon is killed, and started again.
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		s.Fatal(err)
	}
	s.wantOpen(c, server, true)
	s.launch()
	s.await("access of " + source.String() + " to tcp/22 continues for ")
	s.await("ready: ")
	s.wantOpen(c, server, true)
	s.wantOpen(stranger, server, false)
	s.command(0, "1 grant revoked\n", "revoke", source.String())
	s.wantOpen(c, server, false)
	s.wantAlive(conn)
	s.load(r) // which puts back nothing that was revoked
	s.wantOpen(c, server, false)

	// The kernel ends a grant without the daemon.
	s.knock(c, server, "tcp/40001", "udp/40007", "tcp/40004")
	s.await("granted " + source.String() + " access to tcp/22 for 4s")
	s.wantOpen(c, server, true)
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	s.wantOpen(c, server, false)
	if _, err := s.daemon.Wait(); err != nil {
		s.Fatal(err)
	}
	s.launch()
	s.await("ready: ")
}

// TestNftSetComesLater: at boot the firewall may be loaded after the daemon has started.
func TestNftSetComesLater(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 1), recipes(t)[0]
	c := s.Clients[0]
	s.start(r.policy + access("ssh", three, "60s"))
	s.await("knocks are refused: set inet filter ssh_clients4 cannot take grants: it is not there (load the firewall that defines it)")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("set inet filter ssh_clients4 cannot take grants: it is not there")
	s.load(r)
	s.await("the firewall's sets take grants again")
	s.wantOpen(c, lab.Server4, false)
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(c, lab.Server4, true)

	// A reload of the policy that removes the access closes the set at once.
	s.write(r.policy + access("other", "tcp/40001 udp/40007 tcp/40004", "60s"))
	s.hangup("reloaded: ")
	s.await(`ended: access "ssh" was removed by a reload`)
	s.wantOpen(c, lab.Server4, false)
}

// TestNftSetOwnElementsStay: an element that the administrator has in the set is not touched
// by a grant for the same address.
func TestNftSetOwnElementsStay(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 1), recipes(t)[0]
	r.start(s, access("ssh", three, "60s"))
	c := s.Clients[0]
	s.onServer("nft", fmt.Sprintf("add element inet filter ssh_clients4 { %s comment \"the office\" }", c.Addr4))
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.command(0, "1 grant revoked\n", "revoke", c.Addr4.String())
	s.wantOpen(c, lab.Server4, true)
	if out := s.onServer("nft", "list set inet filter ssh_clients4"); !strings.Contains(out, c.Addr4.String()+" comment \"the office\"") {
		t.Errorf("the element was changed:\n%s", out)
	}
	s.onServer("nft", fmt.Sprintf("delete element inet filter ssh_clients4 { %s }", c.Addr4))
	s.wantOpen(c, lab.Server4, false)
}

// TestNftSetShowsAccess: the administrator sees in the set who was let in by what.
func TestNftSetShowsAccess(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 1), recipes(t)[2]
	r.start(s, access("ssh", three, "60s"))
	s.knock(s.Clients[0], lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	want := regexp.MustCompile(`elements = \{ ` + s.Clients[0].Addr4.String() + ` \. tcp \. 22 timeout 1m expires 5\ds\d*m?s? comment "nftknock: ssh shared" \}`)
	if out := s.onServer("nft", "list set ip filter clients"); !want.MatchString(out) {
		t.Errorf("want %s:\n%s", want, out)
	}
}

// TestNftModeChanges: the mode changes at a reload, and the running grant with it.
func TestNftModeChanges(t *testing.T) {
	t.Parallel()
	s, list := newStage(t, 2), recipes(t)
	c, stranger := s.Clients[0], s.Clients[1]
	ssh := access("ssh", three, "60s")
	s.start(ssh)
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(stranger, lab.Server4, false)

	s.write(list[0].policy + ssh)
	s.hangup("services stay hidden by mode gate: set inet filter ssh_clients4 cannot take grants: it is not there")
	s.wantOpen(stranger, lab.Server4, false)
	s.wantOpen(c, lab.Server4, true)

	s.load(list[0])
	s.wantOpen(c, lab.Server4, false) // the administrator's firewall drops what nftknock lets pass
	s.hangup("reloaded: ")
	s.wantOpen(c, lab.Server4, true)
	s.wantOpen(stranger, lab.Server4, false)

	s.load(list[3])
	s.write(list[3].policy + ssh)
	s.hangup("reloaded: ")
	s.wantOpen(c, lab.Server4, true)
	s.wantOpen(stranger, lab.Server4, false)

	s.onServer("nft", "flush", "ruleset")
	s.write(ssh)
	s.hangup("reloaded: ")
	s.wantOpen(c, lab.Server4, true)
	s.wantOpen(stranger, lab.Server4, false)
}

// TestNftMarkAlone: without a rule for established connections, the mark is on every packet
// of a connection that a grant admitted, also after the grant; a packet without a grant
// loses a bit that others have set; and other bits stay.
func TestNftMarkAlone(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 2), recipes(t)[3]
	r.firewall = strings.Replace(r.firewall, "ct state established,related accept", "", 1)
	r.firewall = strings.Replace(r.firewall, "chain input {", `chain early {
		type filter hook prerouting priority raw;
		meta mark set 0x30003
	}
	chain late {
		type filter hook prerouting priority 0;
		tcp dport 22 meta mark & 0x20003 != 0x20003 drop
	}
	chain input {`, 1)
	s.start(r.policy + access("ssh", three, "5s"))
	s.load(r)
	c := s.Clients[0]
	s.wantOpen(c, lab.Server4, false)
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	conn := s.connect(c)
	s.wantOpen(s.Clients[1], lab.Server4, false)
	s.await(" ended, 5s timeout exceeded")
	s.wantOpen(c, lab.Server4, false)
	s.wantAlive(conn)
}

// TestNftMarkSingleUse: the first connection uses the grant up, and continues.
func TestNftMarkSingleUse(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 1), recipes(t)[3]
	r.start(s, access("ssh", three, "60s", "single_use = true"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	conn := s.connect(c)
	s.wantOpen(c, lab.Server4, false)
	s.wantAlive(conn)
}

// TestNftMarkForwards: packets that a grant leads to another host have the mark in the
// forward chain, too.
func TestNftMarkForwards(t *testing.T) {
	t.Parallel()
	s, r := newStage(t, 2), recipes(t)[3]
	s.behind()
	r.firewall = strings.Replace(r.firewall, "chain input {", `chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		meta l4proto { icmp, ipv6-icmp } accept
		meta mark & 0x10000 != 0 accept
	}
	chain input {`, 1)
	r.start(s, strings.Replace(access("ssh", three, "60s", `forward = ["tcp/2222 -> 10.0.0.5:22"]`), "tcp/22\"", "tcp/2222\"", 1))
	c := s.Clients[0]
	s.wantBanner(c, lab.Server4, 2222, "")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantBanner(c, lab.Server4, 2222, behindBanner)
	s.wantBanner(s.Clients[1], lab.Server4, 2222, "")
}
