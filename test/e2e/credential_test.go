package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/pkg/secret"
)

// withCredential makes a stage whose daemon has a key among its credentials. The commands
// that talk to it have none.
func withCredential(t *testing.T) (s *stage, policy string) {
	s = newStage(t, 1)
	dir := filepath.Join(s.Dir, "credentials")
	key, err := secret.Generate(512)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mbr"), []byte(key.Text()+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	s.DaemonEnv = []string{"CREDENTIALS_DIRECTORY=" + dir}
	policy = "[[access]]\nname = \"ssh\"\nknock = \"encrypted\"\nkey_credential = \"mbr\"\nopen = [\"tcp/22\"]\n"
	s.start(policy)
	return s, policy
}

// A service manager passes credentials to the daemon and not to ExecReload=.
func TestReloadWhereTheClientHasNoCredentials(t *testing.T) {
	t.Parallel()
	s, policy := withCredential(t)
	s.command(0, "", "reload")
	s.await("reloaded: ")
	s.command(0, "0 grants revoked", "revoke", "192.0.2.1")

	// What is wrong with the policy is the daemon's answer, with its place.
	s.write(policy + access("bad", three, "1"))
	s.command(2, `nftknockd.toml:12:11: error: bad duration "1" for timeout`, "reload")
	s.command(2, "the running daemon keeps its old policy", "reload")
	s.await("reload failed, the old policy remains in force: ")
	// Other commands do not depend on the rest of the policy.
	s.command(0, "0 grants revoked", "revoke", "192.0.2.1")
	s.write(policy + strings.Replace(access("gone", three, "1s"), `knock = "shared"`, `knock = "encrypted"`, 1))
	s.command(2, `knock "encrypted" has no sequence`, "reload")
	s.write(strings.Replace(policy, `"mbr"`, `"none"`, 1))
	s.command(2, "key_credential: cannot read it: no such file or directory", "reload")
}

// A policy that does not even name the control socket says so, and --socket reaches the
// daemon.
func TestCommandsWithAPolicyThatNamesNoSocket(t *testing.T) {
	t.Parallel()
	s := newStage(t, 0)
	s.start(access("ssh", three, "5s"))
	socket := filepath.Join(s.Dir, "control.sock")
	s.write("control.socket = 5\n")
	for _, args := range [][]string{{"reload"}, {"revoke", "192.0.2.1"}} {
		s.command(1, "nftknockd.toml:1:18: error: socket is an integer; want a string in quotes", args...)
		s.command(1, "trying /run/nftknock/control.sock; --socket names another", args...)
	}
	s.command(2, "nftknockd.toml:1:18: error: socket is an integer", "reload", "--socket", socket)
	s.await("reload failed, the old policy remains in force: ")
	s.command(0, "0 grants revoked", "revoke", "--socket", socket, "192.0.2.1")
	s.write("[[access\n")
	s.command(1, "nftknockd.toml:3:9: error: ", "reload")
	s.command(2, "nftknockd.toml:3:9: error: ", "reload", "--socket", socket)
	if err := os.Remove(s.policy); err != nil {
		t.Fatal(err)
	}
	s.command(1, "nftknockd.toml: error: cannot read it: no such file", "reload")
	s.command(2, "nftknockd.toml: error: cannot read it: no such file", "reload", "--socket", socket)
	if n := strings.Count(s.daemon.Log(), "event=reload "); n != 3 {
		t.Errorf("%d reloads reached the daemon, want the 3 that named its socket:\n%s", n, s.daemon.Log())
	}
}
