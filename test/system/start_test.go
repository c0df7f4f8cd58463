//go:build system

package system

import (
	"strings"
	"testing"
)

// misspell makes the policy one that cannot be loaded.
func (s *scene) misspell() { s.Helper(); s.replace(policyFile, "timeout", "timout") }

// A policy that cannot be loaded opens nothing: the last one that could be is in force, and
// everything that an administrator looks at says so.
func TestMisspeltKey(t *testing.T) {
	for name, again := range map[string]func(*scene){
		"restart": func(s *scene) { s.in("systemctl", "restart", unit) },
		"reboot": func(s *scene) {
			s.in("systemctl", "enable", unit)
			s.reboot()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, policy)
			s.misspell()
			opened := s.watchPort(silentPort)
			again(s)
			s.wants(stranger, filtered)
			s.knockShared(friend)
			s.becomes(friend, open)
			s.knockSealed(spender)
			s.becomes(spender, open)
			if when := opened(); len(when) > 0 {
				t.Errorf("ports were not hidden %v after the %s began", when, name)
			}

			if log := s.journal(); !strings.Contains(log, `unknown key "timout"`) {
				t.Errorf("the log does not name the mistake:\n%s", log)
			}
			if out := s.fails("systemctl", "reload", unit); !strings.Contains(out, "failed") {
				t.Errorf("systemctl reload says %q", out)
			}
			if out, _ := s.try("nftknockd", "status"); !strings.Contains(out, "timout") {
				t.Errorf("nftknockd status does not name the mistake:\n%s", out)
			}
			s.replace(policyFile, "timout", "timeout")
			s.in("systemctl", "reload", unit)
			if out := s.in("nftknockd", "status"); strings.Contains(out, "timout") {
				t.Errorf("nftknockd status still names a mistake that was repaired:\n%s", out)
			}
		})
	}
}

// Another process holds the NFLOG group: services are hidden all the same, and knocks work
// once it has gone.
func TestTakenGroup(t *testing.T) {
	s := begin(t)
	s.write(keyFile, key+"\n")
	s.write(policyFile, policy)
	// tcpdump would do, too; another daemon with a table of its own is there already.
	s.write("/etc/nftknock/other/nftknockd.toml", strings.ReplaceAll(policy, "tcp/22", "tcp/23")+`
[nftables]
table = "other"
[control]
socket = "/run/other.sock"
[state]
dir = "/var/lib/other"
`)
	s.in("systemd-run", "--unit=other", "nftknockd", "run", "-c", "/etc/nftknock/other/nftknockd.toml")
	t.Cleanup(func() {
		s.in("sh", "-c", "systemctl stop other; systemctl reset-failed other; nft delete table inet other; rm -r /etc/nftknock/other /var/lib/other; true")
	})
	s.await("the other daemon has a table", func() bool {
		_, status := s.try("nft", "list", "table", "inet", "other")
		return status == 0
	})
	s.in("systemctl", "start", "--no-block", unit)
	s.becomes(stranger, filtered)
	s.await("status names the group", func() bool {
		out, _ := s.try("nftknockd", "status")
		return strings.Contains(out, "the group is in use")
	})
	s.in("systemctl", "stop", "other")
	s.await("the knock opens", func() bool {
		s.knockSealed(friend)
		return s.is(friend, open)
	})
}

// The state directory cannot be made: services are hidden all the same, and knocks that need no
// state work.
func TestStateDirectoryCannotBeMade(t *testing.T) {
	for name, spoil := range map[string]func(*scene){
		"a file in its place": func(s *scene) { s.in("touch", stateDir) },
		"read-only": func(s *scene) {
			s.in("sh", "-c", "mkdir "+stateDir+" && mount -t tmpfs -o ro none "+stateDir)
			s.Cleanup(func() { s.in("umount", stateDir) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			s.write(keyFile, key+"\n")
			s.write(policyFile, policy)
			spoil(s)
			s.in("systemctl", "start", unit)
			s.wants(stranger, filtered)
			s.knockShared(friend)
			s.becomes(friend, open)
			s.knockSealed(stranger)
			s.logged("replay store")
			s.wants(stranger, filtered)
			if out, status := s.try("nftknockd", "status"); status != 0 && !strings.Contains(out, stateDir) || !strings.Contains(out, stateDir) {
				t.Errorf("nftknockd status does not name %s:\n%s", stateDir, out)
			}
		})
	}
}

// systemd starts the daemon again however often it crashes, and the services are hidden
// meanwhile.
func TestSixCrashes(t *testing.T) {
	s := guarded(t, policy)
	s.knockShared(friend)
	s.becomes(friend, open)
	opened := s.watchPort(silentPort)
	const crashes = 6 // systemd gives up after five starts in 10 s, if nothing else is said
	for n := range crashes {
		s.await("the daemon runs", func() bool { return strings.Count(s.journal(), "ready: ") == n+1 })
		s.in("systemctl", "kill", "-s", "KILL", unit)
		s.wants(stranger, filtered)
		s.wants(friend, open)
	}
	s.loggedTimes("ready: ", crashes+1)
	s.knockSealed(spender)
	s.becomes(spender, open)
	if when := opened(); len(when) > 0 {
		t.Errorf("ports were not hidden %v after the first crash", when)
	}
}
