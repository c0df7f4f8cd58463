package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nftknock/pkg/nflog"
	"nftknock/test/lab"
)

// Services are hidden while the daemon derives keys from passphrases, which takes long for
// many of them.
func TestServicesAreHiddenBeforeKeysAreRead(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	policy := "nftables.owner = \"off\"\n" + access("ssh", three, "20s")
	for i := range 60 {
		policy += fmt.Sprintf("[[access]]\nname = \"user%d\"\nknock = \"encrypted\"\nopen = [\"tcp/22\"]\nkey_file = %q\n",
			i, s.key(fmt.Sprint("user", i), fmt.Sprint("correct horse battery ", i)))
	}
	s.write(policy)
	s.launch()
	for range 2 {
		s.eventually("there is a table", func() bool { return s.tables() == 1 })
		s.wantOpen(s.Clients[0], lab.Server4, false)
		if strings.Contains(s.daemon.Log(), "ready: ") {
			t.Fatal("keys were read before the services were hidden, or in no time")
		}
		s.flush()
	}
	// On SIGTERM the daemon ends before it has derived the keys.
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("ended with status %d, %v:\n%s", status, err, s.daemon.Log())
	}
}

// What a policy names and cannot be read keeps nobody else from knocking.
func TestWhatIsMissingHidesAndLetsOthersKnock(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	openKey := s.key("open", "base64:"+cipherKey)
	if err := os.Chmod(openKey, 0o644); err != nil {
		t.Fatal(err)
	}
	signatures, err := s.Write("bad.fp", "[tcp:request]\nlabel = nonsense\n")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(access("other", "udp/6001 udp/6002", "5s"), "tcp/22", "tcp/23", 1)
	for name, c := range map[string]struct{ policy, says string }{
		"key that is not there":      {tokenAccess("encrypted", `key_file = "/nowhere/at/all"`), "key_file: cannot read it: no such file"},
		"key that others can read":   {tokenAccess("encrypted", fmt.Sprintf("key_file = %q", openKey)), "bad mode 0644 of key file"},
		"credential that is not":     {tokenAccess("encrypted", `key_credential = "mbr"`), "no credentials"},
		"signatures that are none":   {fmt.Sprintf("fingerprint.databases = [%q]\n", signatures) + access("ssh", three, "5s") + "require_os = \"linux\"\n", "bad.fp"},
		"signatures that are absent": {"fingerprint.databases = [\"/nowhere/at/all\"]\n" + access("ssh", three, "5s") + "require_os = \"linux\"\n", "/nowhere/at/all"},
	} {
		s.write(c.policy + other)
		s.launch()
		s.await("event=void")
		s.await("ready: ")
		if log := s.daemon.Log(); !strings.Contains(log, c.says) {
			t.Errorf("%s: no %q in\n%s", name, c.says, log)
		}
		s.wantOpen(s.Clients[0], lab.Server4, false)
		s.knock(s.Clients[0], lab.Server4, "udp/6001", "udp/6002")
		s.await("access to tcp/23 for 5s")
		if status, err := s.daemon.Stop(); status != 0 || err != nil {
			t.Errorf("%s: ended with status %d, %v", name, status, err)
		}
		s.flush()
	}

	// The next start, with a valid policy, takes the table over.
	s.write(access("ssh", three, "5s"))
	s.launch()
	s.await("ready: ")
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("ended with status %d, %v", status, err)
	}
	s.wantOpen(s.Clients[0], lab.Server4, false)

	// Without a usable state directory the daemon still starts.
	if err := os.RemoveAll(filepath.Join(s.Dir, "state")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write("state", "a file"); err != nil {
		t.Fatal(err)
	}
	s.write(tokenAccess("totp", s.keys(oathKey, "")))
	s.launch()
	s.await("ready: ")
	if err := s.daemon.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status, err := s.daemon.Wait(); status != 0 || err != nil {
		t.Errorf("ended with status %d, %v", status, err)
	}
}

// A daemon that cannot load its policy runs the last one that worked, also after the table is
// gone, as after a reboot. What has never worked is an error.
func TestTheLastPolicyThatWorked(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	good := access("ssh", three, "5s")
	bad := strings.Replace(good, "sequence", "sequenec", 1)
	s.write(bad)
	s.refuses(2, "unknown key \"sequenec\"", "no copy of a policy that worked is in the state directory")

	s.write(good)
	s.launch()
	s.await("ready: ")
	s.eventually("the policy is kept", func() bool {
		info, err := os.Stat(filepath.Join(s.Dir, "state", "last-policy.toml"))
		return err == nil && info.Mode().Perm() == 0o600
	})
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatalf("ended with status %d, %v", status, err)
	}
	s.flush()
	s.write(bad)
	s.launch()
	s.await("error: running the last policy that worked, of ")
	s.await("ready: ")
	s.wantOpen(s.Clients[0], lab.Server4, false)
	s.knock(s.Clients[0], lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(s.Clients[0], lab.Server4, true)
	s.command(2, "unknown key", "reload")
	s.hangup("reload failed, the old policy remains in force: ")

	s.write(good + strings.Replace(access("more", "udp/6001 udp/6002", "5s"), "tcp/22", "tcp/23", 1))
	s.command(0, "", "reload")
	s.await("reloaded: table inet nftknock, NFLOG group 5, 2 accesses")
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatalf("ended with status %d, %v", status, err)
	}
	s.write("this is no TOML\n[state]\ndir = \"" + filepath.Join(s.Dir, "state") + "\"\n")
	s.launch()
	s.await("ready: table inet nftknock, NFLOG group 5, 2 accesses")
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatalf("ended with status %d, %v", status, err)
	}

	// A copy that is damaged is not run.
	if err := os.WriteFile(filepath.Join(s.Dir, "state", "last-policy.toml"), []byte("# nftknock last policy, format 1, of"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.refuses(1, "it is damaged")
}

// While another program has the group, services are hidden. The group is used once it is
// free.
func TestAGroupThatAnotherProgramHas(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	var other *nflog.Reader
	err := s.Server.Do(func() (err error) {
		other, err = nflog.Open(nflog.Config{Groups: []uint16{5}})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	s.write(access("ssh", three, "5s"))
	s.launch()
	line := s.await("event=nflog_unavailable")
	for _, part := range []string{"services stay hidden", "group 5", "ulogd2", "/proc/net/netfilter/nfnetlink_log"} {
		if !strings.Contains(line, part) {
			t.Errorf("no %q in %s", part, line)
		}
	}
	s.await("ready: ")
	s.wantOpen(s.Clients[0], lab.Server4, false)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	s.await("knocks of NFLOG group 5 are received again")
	s.knock(s.Clients[0], lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(s.Clients[0], lab.Server4, true)
}
