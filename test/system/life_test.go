//go:build system

package system

import (
	"strings"
	"testing"
)

// A dead daemon hides and lets in as a live one does; only knocks are lost.
func TestKillLeavesServicesHidden(t *testing.T) {
	s := guarded(t, brief)
	s.dropIn("Restart=no")
	s.knockShared(friend)
	s.becomes(friend, open)
	s.in("systemctl", "kill", "-s", "KILL", unit)
	s.await("the daemon is dead", func() bool { return !s.active() })
	s.wants(stranger, filtered)
	s.becomes(friend, filtered) // by the kernel
	s.knockShared(friend)
	s.wants(friend, filtered)
}

// The log line of a stop says how to take the table away.
func TestStopSaysHowToUninstall(t *testing.T) {
	s := guarded(t, policy)
	s.in("systemctl", "stop", unit)
	s.logged(`"nftknockd uninstall" removes the table`)
	s.wants(stranger, filtered)
	s.in("nftknockd", "uninstall")
	s.wants(stranger, open)
}

// uninstall refuses while a daemon runs, removes the table of one that has stopped, and says what
// remains.
func TestUninstall(t *testing.T) {
	s := guarded(t, policy)
	if out := s.fails("nftknockd", "uninstall"); !strings.Contains(out, "systemctl stop nftknockd") {
		t.Errorf("uninstall says %q while the daemon runs", out)
	}
	s.wants(stranger, filtered)

	s.in("systemctl", "stop", unit)
	// A host must not stay hidden because of a policy that was broken or has gone.
	s.misspell()
	out := s.in("nftknockd", "uninstall")
	for _, want := range []string{"table inet nftknock removed", "the state stays: " + stateDir, "the policy stays: " + policyFile, "systemctl disable"} {
		if !strings.Contains(out, want) {
			t.Errorf("uninstall does not say %q:\n%s", want, out)
		}
	}
	s.wants(stranger, open)
	s.in("test", "-e", stateDir+"/spent.db")
	if out := s.in("nftknockd", "uninstall"); !strings.Contains(out, "there is no table") {
		t.Errorf("a second uninstall says %q", out)
	}
	s.in("nftknockd", "uninstall", "--purge")
	s.fails("test", "-e", stateDir)
	if out, status := s.try("nftknockd", "uninstall", "--purge"); status != 2 {
		t.Errorf("a purge that does not know the state directory ended with %d:\n%s", status, out)
	}
}

// A daemon without a control socket, which does not own its table, is recognised, too.
func TestUninstallBesideAHiddenDaemon(t *testing.T) {
	for _, owner := range []string{"auto", "off"} {
		t.Run(owner, func(t *testing.T) {
			s := guarded(t, policy+"[nftables]\nowner = \""+owner+"\"\n[control]\nsocket = \"\"\n")
			s.fails("nftknockd", "uninstall")
			s.wants(stranger, filtered)
		})
	}
}

// What an administrator sees of a reload.
func TestReloadSaysWhetherItSucceeded(t *testing.T) {
	s := guarded(t, policy)
	s.knockShared(friend)
	s.becomes(friend, open)
	s.misspell()
	s.fails("systemctl", "reload", unit)
	s.wants(friend, open)
	s.wants(stranger, filtered)
	s.replace(policyFile, "timout", "timeout")
	s.replace(policyFile, `"tcp/22", "tcp/2222"`, `"tcp/2222"`)
	s.replace(policyFile, "open = [\"tcp/22\"]\n", "open = [\"tcp/2222\"]\n")
	s.in("systemctl", "reload", unit)
	s.logged("reloaded: ")
	s.wants(stranger, open)
	s.wantsPort(stranger, silentPort, filtered)
}

// A key in a systemd credential, as the unit's comment and docs/policy.md have it.
func TestKeyCredential(t *testing.T) {
	s := begin(t)
	s.write(keyFile, key+"\n")
	s.write(policyFile, strings.ReplaceAll(policy, `key_file = "`+keyFile+`"`, `key_credential = "sealed"`))
	s.dropIn("LoadCredential=sealed:" + keyFile)
	s.in("systemctl", "start", unit)
	s.wants(stranger, filtered)
	s.knockSealed(friend)
	s.becomes(friend, open)
	s.in("systemctl", "reload", unit)
	s.logged("reloaded: ")
	s.wants(friend, open)
}

// A login outlives whatever happens to the daemon.
func TestSessionsOutliveTheDaemon(t *testing.T) {
	s := begin(t)
	before := s.login(friend)
	s.write(keyFile, key+"\n")
	s.write(policyFile, brief)
	s.in("systemctl", "start", unit)
	s.knockShared(stranger)
	s.becomes(stranger, open)
	admitted := s.login(stranger)
	s.becomes(stranger, filtered)
	for _, command := range []string{
		"systemctl reload nftknockd", "systemctl restart nftknockd", "systemctl kill -s KILL nftknockd; sleep 2",
		"systemctl stop nftknockd", "nftknockd uninstall", "systemctl start nftknockd",
	} {
		s.in("sh", "-c", command)
		before.works()
		admitted.works()
	}
	s.wants(stranger, filtered)
}

// What a change of the policy opens is said before and after it; "protect" keeps it hidden.
func TestNoLongerHidden(t *testing.T) {
	s := guarded(t, policy)
	const says = "tcp/2222 is no longer hidden"
	s.replace(policyFile, `"tcp/22", "tcp/2222"`, `"tcp/22"`)
	if out := s.in("nftknockd", "check", "--against-running"); !strings.Contains(out, says) || !strings.Contains(out, "reload") {
		t.Errorf("check says %q", out)
	}
	s.wantsPort(stranger, silentPort, filtered)
	s.in("systemctl", "reload", unit)
	s.logged(says)
	s.wantsPort(stranger, silentPort, closed)

	s.replace(policyFile, `"tcp/22"`, `"tcp/22", "tcp/2222"`)
	s.in("systemctl", "reload", unit)
	s.wantsPort(stranger, silentPort, filtered)
	s.write(policyFile, "[nftables]\nprotect = [\"tcp/2222\"]\n"+strings.ReplaceAll(policy, `"tcp/22", "tcp/2222"`, `"tcp/22"`))
	if out := s.in("nftknockd", "check", "--against-running"); strings.Contains(out, says) {
		t.Errorf("check says %q", out)
	}
	s.in("systemctl", "reload", unit)
	s.wantsPort(stranger, silentPort, filtered)
}

// What monitoring and scripts go by.
func TestExitStatuses(t *testing.T) {
	s := guarded(t, policy)
	s.in("nftknockd", "status", "--ready")
	s.in("nftknockd", "doctor")
	s.in("nftknockd", "doctor", "--prove")
	s.in("sh", "-e", "-c", "nft add table inet late; nft 'add chain inet late i { type filter hook input priority 10; }'; nft add rule inet late i tcp dport 22 drop")
	for _, args := range [][]string{{"doctor"}, {"doctor", "--prove"}, {"doctor", "--json"}} {
		if out, status := s.try("nftknockd", args...); status != 1 || !strings.Contains(out, "later-drop") {
			t.Errorf("%v ended with %d:\n%s", args, status, out)
		}
	}
	s.in("nft", "delete", "table", "inet", "late")
	s.in("systemctl", "stop", unit)
	for _, args := range [][]string{{"status", "--ready"}, {"status"}} {
		if out, status := s.try("nftknockd", args...); status == 0 {
			t.Errorf("%v ended with 0 while the daemon is stopped:\n%s", args, out)
		}
	}
}
