//go:build system

package system

import (
	"os"
	"strings"
	"testing"
	"time"
)

// setupLog is the output of nftknockd setup and, at its end, its exit status.
const setupLog = "/root/setup.log"

// typed begins a session over ssh in which a command runs, and cat.
func (s *scene) typed(from, command string) *session {
	s.Helper()
	s.in("rm", "-f", setupLog)
	return s.loginWith(from, "{ "+command+`; echo "status $?"; } > `+setupLog+" 2>&1 & exec cat")
}

// setupSaid returns the output of setup until now.
func (s *scene) setupSaid() string {
	s.Helper()
	text, err := os.ReadFile(inRoot(setupLog))
	s.must(err)
	return string(text)
}

// during calls works again and again until setup has said a text.
func (s *scene) during(session *session, text string) {
	s.Helper()
	for deadline := time.Now().Add(2 * patience); ; time.Sleep(200 * time.Millisecond) {
		session.works()
		said := s.setupSaid()
		if strings.Contains(said, text) {
			return
		}
		if time.Now().After(deadline) || strings.Contains(said, "status ") {
			s.Fatalf("setup does not say %q:\n%s", text, said)
		}
	}
}

// hidden fails the test if tcp/22 can be reached.
func (s *scene) hidden(from string) {
	s.Helper()
	if s.is(from, open) {
		s.Fatalf("tcp/22 is open for %s", from)
	}
}

// client does what setup says that is to be done on the client, and knocks as it says.
func (s *scene) client(from string) {
	s.Helper()
	_, entry, found := strings.Cut(s.setupSaid(), "hosts.toml (mode 0600):\n\n")
	entry, _, ends := strings.Cut(entry, "\nand copy the key file")
	if !found || !ends || !strings.Contains(entry, `"`+server+`"`) {
		s.Fatalf("setup has no entry for %s:\n%s", server, s.setupSaid())
	}
	s.write("/root/.config/nftknock/hosts.toml", strings.ReplaceAll(entry, "\n    ", "\n"))
	s.in("install", "-m", "0600", "/etc/nftknock/keys/first", "/root/.config/nftknock/nftknock.key")
	if out, status := s.outside(from, "env", "HOME=/root", "nftknock", server); status != 0 {
		s.Fatalf("nftknock ended with %d:\n%s", status, out)
	}
}

// An administrator sets the first policy up over ssh. The session goes on through all of it.
// Without a knock everything is undone; the next setup tries the same policy, and a knock with
// what setup printed keeps it, over a reboot, too.
func TestSetupOverSSH(t *testing.T) {
	s := begin(t)
	admin := s.typed(friend, "nftknockd setup --yes --guard 5s")
	s.during(admin, "The trial has begun.")
	s.hidden(stranger)
	s.hidden(friend) // in another session
	s.during(admin, "everything is undone: nothing is hidden")
	s.await("setup has ended", func() bool { return strings.Contains(s.setupSaid(), "status 1\n") })
	s.await("the daemon has ended", func() bool { return !s.active() })
	admin.works()
	s.wants(stranger, open)
	if out := s.in("nft", "list", "tables"); out != "" {
		t.Errorf("tables are left: %s", out)
	}
	s.fails("systemctl", "is-enabled", unit)
	if out := s.in("systemctl", "--failed", "--plain", "--no-legend"); strings.Contains(out, unit) {
		t.Errorf("the end of a trial counts as a failure: %s", out)
	}

	first := s.setupSaid()
	again := s.typed(stranger, "nftknockd setup --yes --guard 120s")
	s.during(again, "The trial has begun.")
	s.hidden(onlooker)
	// The client has what the first setup printed.
	s.write(setupLog+".first", first)
	s.in("cp", setupLog+".first", setupLog)
	s.client(spender)
	s.logged("the policy on trial is confirmed by a knock of " + spender)
	s.becomes(spender, open)
	admin.works()
	again.works()
	s.hidden(onlooker)

	s.in("systemctl", "enable", unit)
	s.reboot()
	s.hidden(stranger)
	s.await("a knock opens after the reboot", func() bool {
		s.client(marker)
		return s.is(marker, open)
	})
	s.hidden(stranger)
}

// A confirmation by command keeps the policy, and setup says what is left to do.
func TestSetupIsConfirmedByCommand(t *testing.T) {
	s := begin(t)
	admin := s.typed(friend, "nftknockd setup --yes --guard 120s")
	s.during(admin, "The trial has begun.")
	if out := s.in("nftknockd", "confirm"); !strings.Contains(out, "confirmed: the policy stays") {
		t.Errorf("confirm says %q", out)
	}
	s.during(admin, "systemctl enable nftknockd")
	s.await("setup has ended", func() bool { return strings.Contains(s.setupSaid(), "status 0\n") })
	s.in("systemctl", "restart", unit)
	s.hidden(stranger)
	admin.works()
}

// A change on trial is undone by itself, by a reboot, and by a power cut; a confirmed one stays.
func TestReloadOnTrial(t *testing.T) {
	s := guarded(t, policy)
	s.in("systemctl", "enable", unit)
	// Nothing listens on these ports: they are closed unless they are hidden.
	const kept, undone = 2223, 2224
	protect := func(ports string) { s.write(policyFile, "[nftables]\nprotect = ["+ports+"]\n"+policy) }
	protect(`"tcp/2223"`)
	s.in("nftknockd", "reload", "--guard", "2s")
	s.wantsPort(stranger, kept, filtered)
	s.logged("the policy before it is in force again")
	s.wantsPort(stranger, kept, closed)
	s.wants(stranger, filtered)

	s.in("nftknockd", "reload", "--guard", "120s")
	s.wantsPort(stranger, kept, filtered)
	s.in("nftknockd", "confirm")
	s.in("systemctl", "restart", unit)
	s.wantsPort(stranger, kept, filtered)

	for name, again := range map[string]func(){
		"power cut": func() { s.must(machine.powerCut()); s.must(machine.boot()) },
		"reboot":    s.reboot,
	} {
		protect(`"tcp/2223", "tcp/2224"`)
		s.in("nftknockd", "reload", "--guard", "120s")
		s.wantsPort(stranger, undone, filtered)
		again()
		s.await(name+": the policy before is in force again", func() bool {
			got, err := ask(stranger, undone)
			return err == nil && got == closed
		})
		s.wantsPort(stranger, kept, filtered)
		s.wants(stranger, filtered)
		s.knockShared(friend)
		s.becomes(friend, open)
	}
}
