//go:build system

package system

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var blocks = regexp.MustCompile("(?ms)^```toml\n(.*?)^```\n\n```nft\n(.*?)^```")

// nftRecipe returns the parts of a policy and the ruleset of docs/firewalls.md that have a text.
func nftRecipe(t *testing.T, text string) (part, ruleset string) {
	t.Helper()
	page, err := os.ReadFile(top + "/docs/firewalls.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range blocks.FindAllStringSubmatch(string(page), -1) {
		if strings.Contains(words[2], text) {
			return words[1], words[2]
		}
	}
	t.Fatalf("docs/firewalls.md has no ruleset with %q", text)
	return "", ""
}

// byFirewall begins a test with a firewall of the administrator, which hides the services, and
// a daemon that both come with the boot.
func byFirewall(t *testing.T, part string, firewall func(*scene)) *scene {
	t.Helper()
	s := begin(t)
	s.write(keyFile, key+"\n")
	s.write(policyFile, part+policy)
	firewall(s)
	s.hidden(stranger)
	s.in("systemctl", "enable", "--now", unit)
	s.hidden(stranger)
	return s
}

// The firewall of an administrator that hides the services lets in who has knocked, and nobody
// else, whatever is done to it, and after a reboot, at which the daemon starts before it.
func TestModes(t *testing.T) {
	for _, mode := range []struct{ name, text string }{
		{"set", "set ssh_clients4"}, {"set with ports", "ipv4_addr . inet_service"},
		{"set with protocols", "table ip6 filter"}, {"mark", "meta mark & 0x10000"},
	} {
		t.Run(mode.name, func(t *testing.T) {
			part, ruleset := nftRecipe(t, mode.text)
			s := byFirewall(t, part, func(s *scene) {
				s.write("/etc/nftables.conf", "#!/usr/sbin/nft -f\n"+ruleset)
				s.in("chmod", "755", "/etc/nftables.conf")
				s.in("systemctl", "enable", "--now", "nftables")
			})
			s.letsIn()
			for _, event := range []string{"systemctl reload nftables", "systemctl restart nftables", "nft -f /etc/nftables.conf"} {
				s.in("sh", "-e", "-c", event)
				s.becomes(friend, open)
				s.hidden(stranger)
			}
			s.ready()
			s.reboot()
			s.hidden(stranger)
			s.hidden(friend)
			s.ready()
			s.letsIn()
			if log := s.journal(); strings.Count(log, "event=targets_failed") > 1 {
				t.Errorf("the log repeats itself:\n%s", log)
			}
		})
	}
}

// letsIn knocks, and sees that the knock opens to its source alone.
func (s *scene) letsIn() {
	s.Helper()
	s.knockShared(friend)
	s.becomes(friend, open)
	s.hidden(stranger)
}

// ready waits until the daemon says that knocks are heard and open.
func (s *scene) ready() {
	s.Helper()
	s.await("the daemon is ready", func() bool {
		_, status := s.try("nftknockd", "status", "--ready")
		return status == 0
	})
}

// ufw and mode mark: what docs/firewalls.md says.
func TestMarkWithUFW(t *testing.T) {
	s := byFirewall(t, "[nftables]\nmode = \"mark\"\nmark = \"0x10000\"\n", func(s *scene) {
		s.in("ufw", "--force", "reset")
		s.in("sh", "-e", "-c", recipeOf(t, "ufw, mode mark"))
	})
	s.Cleanup(func() { s.in("ufw", "--force", "reset") })
	s.letsIn()
	for _, event := range []string{"ufw reload", "systemctl restart ufw"} {
		s.in("sh", "-e", "-c", event)
		s.wants(friend, open)
		s.hidden(stranger)
	}
	s.reboot()
	s.hidden(stranger)
	s.letsIn()
}

// hides waits until the firewall hides tcp/22. firewalld hides nothing while it starts, and for a
// moment after it has told systemd that it is there.
func (s *scene) hides() {
	s.Helper()
	s.await("tcp/22 is hidden", func() bool { return !s.is(stranger, open) })
}

// firewalld and mode mark: what docs/firewalls.md says.
func TestMarkWithFirewalld(t *testing.T) {
	s := byFirewall(t, "[nftables]\nmode = \"mark\"\nmark = \"0x10000\"\n", func(s *scene) {
		s.in("sh", "-e", "-c", recipeOf(t, "firewalld, mode mark"))
	})
	s.Cleanup(func() {
		s.in("sh", "-c", "rm -f /etc/firewalld/direct.xml /etc/firewalld/zones/public.xml; sed -i s/^FirewallBackend=.*/FirewallBackend=nftables/ /etc/firewalld/firewalld.conf")
	})
	s.letsIn()
	for _, event := range []string{"firewall-cmd --reload", "systemctl restart firewalld"} {
		s.in("sh", "-e", "-c", event)
		s.becomes(friend, open)
		s.hides()
	}
	s.reboot()
	s.hides()
	s.letsIn()
}
