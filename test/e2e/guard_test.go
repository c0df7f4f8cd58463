package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nftknock/test/lab"
)

// stayHidden is logged by a daemon that ends after it has written the table.
const stayHidden = "services stay hidden: the table is in place"

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

// The table stays if the daemon finds a mistake after it has written it.
func TestServicesStayHiddenWhenTheStartFails(t *testing.T) {
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
	for name, c := range map[string]struct{ policy, says string }{
		"key that is not there":      {tokenAccess("encrypted", `key_file = "/nowhere/at/all"`), "nftknockd.toml:8:12: error: key_file: cannot read it: no such file"},
		"key that others can read":   {tokenAccess("encrypted", fmt.Sprintf("key_file = %q", openKey)), "bad mode 0644 of key file"},
		"credential that is not":     {tokenAccess("encrypted", `key_credential = "mbr"`), "no credentials"},
		"signatures that are none":   {fmt.Sprintf("fingerprint.databases = [%q]\n", signatures) + access("ssh", three, "5s"), "bad.fp"},
		"signatures that are absent": {"fingerprint.databases = [\"/nowhere/at/all\"]\n" + access("ssh", three, "5s"), "/nowhere/at/all"},
	} {
		s.write(c.policy)
		s.refuses(2, c.says, "nftknockd: hint: "+stayHidden)
		if n := s.tables(); n != 1 {
			t.Errorf("%s: %d tables, want the one that hides", name, n)
		}
		s.wantOpen(s.Clients[0], lab.Server4, false)
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
