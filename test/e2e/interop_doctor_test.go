//go:build interop

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// doctor wants an exit status and words of nftknockd doctor --prove on the server.
func (s *stage) doctor(status int, words ...string) {
	s.Helper()
	var out []byte
	var got int
	err := s.Server.Do(func() error {
		var err error
		out, err = exec.Command(filepath.Join(s.Programs, "nftknockd"), "doctor", "--prove", "--config", s.policy).CombinedOutput()
		got = exitStatus(err)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, w := range words {
		if !strings.Contains(string(out), w) || got != status {
			s.Errorf("status %d, want %d with %q:\n%s", got, status, w, out)
		}
	}
}

// The doctor proves a grant with the real daemon, names the rule that breaks it, and says
// so when the daemon is gone.
func TestInteropDoctor(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "30s"))
	s.doctor(0, "proof: with a grant, a packet from ", " to tcp/22 at ", ", and the service answered")
	for _, line := range []string{"add table inet late", "add chain inet late i { type filter hook input priority 10; }", "add rule inet late i tcp dport 22 drop"} {
		s.onServer("nft", line)
	}
	s.doctor(1, "drops granted packets to tcp/22 on ", "[later-drop]", " was dropped by rule handle 2 of chain inet late i", "[prove-dropped]")
	s.onServer("nft", "delete table inet late")
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatal(status, err)
	}
	s.doctor(1, "nftknockd does not run: knocks open nothing [daemon-down]", "the daemon is not running, or uses another control socket [prove-failed]")
	if out := s.onServer("nft", "list", "tables"); strings.Contains(out, "nftkprove0") {
		t.Errorf("left behind: %s", out)
	}
}
