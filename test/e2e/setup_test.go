package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/test/lab"
)

// setup runs nftknockd setup in the foreground, for a policy in a directory of its own, and
// waits until the daemon is ready.
func (s *stage) setup(args ...string) {
	s.Helper()
	s.policy = filepath.Join(s.Dir, "etc", "nftknockd.toml")
	args = append([]string{"setup", "--yes", "--foreground", "--host", lab.Server4.String(), "--config", s.policy,
		"--state-dir", filepath.Join(s.Dir, "state"), "--socket", filepath.Join(s.Dir, "control.sock")}, args...)
	var err error
	if s.daemon, err = s.StartDaemon(nil, args...); err != nil {
		s.Fatal(err)
	}
	s.await("ready: ")
}

// printedHosts writes the entry for hosts.toml that setup has printed, and the key beside it.
func (s *stage) printedHosts() (path string) {
	s.Helper()
	_, text, ok := strings.Cut(s.daemon.Log(), "hosts.toml (mode 0600):\n\n")
	text, _, ends := strings.Cut(text, "\nThen this command knocks:")
	if !ok || !ends {
		s.Fatalf("no entry for hosts.toml in\n%s", s.daemon.Log())
	}
	var entry []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(line, "    ") {
			entry = append(entry, line)
		}
	}
	path, err := s.Write("client/hosts.toml", strings.Join(entry, "\n")+"\n")
	if err != nil {
		s.Fatal(err)
	}
	if key, err := os.ReadFile(filepath.Join(s.Dir, "etc", "keys", "first")); err == nil {
		if _, err := s.Write("client/nftknock.key", string(key)); err != nil {
			s.Fatal(err)
		}
	}
	return path
}

// What setup prints for the client opens what it hides, for each kind of knock that needs no
// phone. Without a knock, all is as before, and the next setup tries the same policy.
func TestSetup(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"siv", "shared"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			c := s.Clients[0]
			stands := s.connect(c)

			s.setup("--knock", kind, "--guard", "2s")
			s.ownFiles()
			s.wantOpen(c, lab.Server4, false)
			if !strings.Contains(s.daemon.Log(), `hide = "reject"`) {
				t.Errorf("on a host without a firewall, the hidden port stands out:\n%s", s.daemon.Log())
			}
			if status, err := s.daemon.Wait(); status != 3 || err != nil {
				t.Errorf("undone with %d, %v:\n%s", status, err, s.daemon.Log())
			}
			s.wantOpen(c, lab.Server4, true)
			if n := s.tables(); n != 0 {
				t.Errorf("%d tables are left", n)
			}
			hosts := s.printedHosts()

			s.setup("--guard", "60s")
			s.wantOpen(c, lab.Server4, false)
			s.knock(c, lab.Server4, "--hosts", hosts)
			s.await("the policy on trial is confirmed by a knock of " + c.Addr4.String())
			s.wantOpen(c, lab.Server4, true)
			s.wantAlive(stands)
			s.restart(true)
			s.command(2, "a policy has worked on this host before", "setup", "--yes")
			if status, err := s.daemon.Stop(); status != 0 || err != nil {
				t.Errorf("stopped with %d, %v", status, err)
			}
		})
	}
}

// Setup warns of what in this host would keep the policy from working: here, a rule of another
// table that drops what a grant lets in.
func TestSetupWarnsOfALaterRule(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	if err := s.Server.Do(dropsSSH); err != nil {
		t.Fatal(err)
	}
	s.setup("--guard", "60s")
	for _, want := range []string{"Warning: rule handle ", " of chain inet late i (", " drops granted packets to tcp/22 ", "\n  hint: "} {
		if !strings.Contains(s.daemon.Log(), want) {
			t.Errorf("nothing of %q in\n%s", want, s.daemon.Log())
		}
	}
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
}

// dropsSSH adds a table with a rule that drops packets to tcp/22 behind the daemon's table.
func dropsSSH() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	late := conn.AddTable(&nftables.Table{Name: "late", Family: nftables.TableFamilyINet})
	input := conn.AddChain(&nftables.Chain{
		Name: "i", Table: late, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityRef(10),
	})
	conn.AddRule(&nftables.Rule{Table: late, Chain: input, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: 1},
		&expr.Cmp{Register: 1, Data: []byte{0, 22}},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	return conn.Flush()
}
