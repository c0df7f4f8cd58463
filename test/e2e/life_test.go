package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/test/lab"
)

// grantedIn returns the elements of the kernel's set granted_tcp4.
func (s *stage) grantedIn(table string) (elements []nftables.SetElement) {
	s.Helper()
	err := s.Server.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		set, err := conn.GetSetByName(&nftables.Table{Name: table, Family: nftables.TableFamilyINet}, "granted_tcp4")
		if err != nil {
			return err
		}
		elements, err = conn.GetSetElements(set)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return elements
}

// tables returns the number of tables in the server's ruleset.
func (s *stage) tables() int {
	s.Helper()
	n := 0
	err := s.Server.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		tables, err := conn.ListTables()
		n = len(tables)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	return n
}

// eventuallyClosed waits until the kernel has no grant.
func (s *stage) eventuallyClosed(c *lab.Client) {
	s.Helper()
	for range 400 {
		if len(s.grantedIn("nftknock")) == 0 {
			s.wantOpen(c, lab.Server4, false)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.Fatal("the grant did not end")
}

func TestTheDoorClosesWhenTheDaemonIsKilled(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "8s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	s.wantOpen(c, lab.Server4, true)
	left := s.grantedIn("nftknock")
	if len(left) != 1 || left[0].Timeout != 8*time.Second || left[0].Expires > 8*time.Second {
		t.Errorf("the kernel holds %+v, want one element of 8s with no more than that left", left)
	}
	s.eventuallyClosed(c)
}

func TestARestartKeepsRunningGrants(t *testing.T) {
	for name, stop := range map[string]syscall.Signal{"stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(access("ssh", three, "9s"))
			c := s.Clients[0]
			s.knock(c, lab.Server4, strings.Fields(three)...)
			s.await("granted ")
			if err := s.daemon.Signal(stop); err != nil {
				t.Fatal(err)
			}
			if _, err := s.daemon.Wait(); err != nil {
				t.Fatal(err)
			}
			before := s.grantedIn("nftknock")
			s.launch()
			s.await("access of " + c.Addr4.String() + " to tcp/22 continues")
			s.await("ready: ")
			after := s.grantedIn("nftknock")
			if len(before) != 1 || len(after) != 1 || after[0].Expires > before[0].Expires {
				t.Errorf("left before the restart %+v, after it %+v: want the same element with no more time", before, after)
			}
			s.wantOpen(c, lab.Server4, true)
			s.await("access of " + c.Addr4.String() + " to tcp/22 ended, 9s timeout exceeded")
			s.wantOpen(c, lab.Server4, false)
		})
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	old := access("ssh", three, "1s")
	s.start(old)
	c := s.Clients[0]

	// An invalid policy is refused by the daemon, which logs why and continues, and by the
	// command that a service manager runs.
	s.write(strings.Replace(old, `"1s"`, "1", 1))
	s.hangup("reload failed, the old policy remains in force: ")
	s.command(2, "nftknockd.toml:7:", "reload")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.await(" ended, ")

	// After a valid policy the new sequence opens the service, and the old one does not.
	s.write(access("ssh", "udp/5001 udp/5002", "20s"))
	s.hangup("reloaded: ")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.wantOpen(c, lab.Server4, false)
	s.knock(c, lab.Server4, "udp/5001", "udp/5002")
	s.await("granted " + c.Addr4.String() + " access to tcp/22 for 20s")
	s.wantOpen(c, lab.Server4, true)

	// A grant survives a reload.
	s.write(access("ssh", "udp/5001 udp/5002", "20s") + access("more", "udp/6001 udp/6002", "20s"))
	s.command(0, "", "reload")
	s.await("reloaded: table inet nftknock, NFLOG group 5, 2 accesses")
	s.wantOpen(c, lab.Server4, true)

	// A valid policy that needs a restart.
	s.write("nflog.workers = 3\n" + access("ssh", three, "7s"))
	s.command(1, "[nflog] workers cannot change while running: restart the service", "reload")
	s.await("reload failed, the old policy remains in force: [nflog] workers")
	s.wantOpen(c, lab.Server4, true)

	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatalf("stopped with %d, %v", status, err)
	}
	s.command(1, "the daemon is not running", "reload")
}

// command runs nftknockd with the policy, and checks its exit status and output.
func (s *stage) command(status int, words string, args ...string) {
	s.Helper()
	args = append(args, "--config", s.policy)
	out, err := exec.Command(filepath.Join(s.Programs, "nftknockd"), args...).CombinedOutput()
	if got := exitStatus(err); got != status || !strings.Contains(string(out), words) {
		s.Errorf("nftknockd %v: status %d and\n%s\nwant %d and %q", args, got, out, status, words)
	}
}

// hangup sends SIGHUP and waits for a new line in the log.
func (s *stage) hangup(text string) {
	s.Helper()
	before := strings.Count(s.daemon.Log(), "\n") + 1
	if err := s.daemon.Signal(syscall.SIGHUP); err != nil {
		s.Fatal(err)
	}
	if _, _, err := s.daemon.Await(text, before); err != nil {
		s.Fatal(err)
	}
}

// An access that is removed from the policy is closed for new connections at once, by a
// reload or a restart. Established connections continue.
func TestWhoIsRemovedIsOut(t *testing.T) {
	remaining := access("other", "udp/7001 udp/7002 icmp", "5s")
	for name, change := range map[string]func(*stage) string{
		"reload": func(s *stage) string {
			s.command(0, "", "reload")
			return "by a reload"
		},
		"restart": func(s *stage) string {
			if status, err := s.daemon.Stop(); status != 0 || err != nil {
				t.Fatalf("stopped with %d, %v", status, err)
			}
			s.launch()
			s.await("ready: ")
			return "since the last run"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(access("ssh", three, "60s") + remaining)
			c := s.Clients[0]
			s.knock(c, lab.Server4, strings.Fields(three)...)
			s.await("granted ")
			conn := s.connect(c)
			s.write(remaining)
			when := change(s)
			s.await("access of " + c.Addr4.String() + " to tcp/22 ended: access \"ssh\" was removed " + when)
			s.wantOpen(c, lab.Server4, false)
			s.wantAlive(conn)
			if left := s.grantedIn("nftknock"); len(left) != 0 {
				t.Errorf("the kernel holds %+v", left)
			}
		})
	}
}

func TestAHalfDoneKnockLivesThroughAReload(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "5s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, "tcp/50053", "udp/6020")
	s.write(access("other", "udp/7001 udp/7002 icmp", "5s") + access("ssh", three, "5s"))
	s.hangup("reloaded: ")
	s.knock(c, lab.Server4, "tcp/24034", "tcp/24034")
	s.await("granted ")
	s.wantOpen(c, lab.Server4, true)
}

// If the table has no owner, other programs can flush the ruleset. The service is then
// hidden again at once, and grants are restored.
func TestAFlushedRulesetComesBack(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.start("nftables.owner = \"off\"\n" + access("ssh", three, "20s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	before := s.grantedIn("nftknock")
	s.flush()
	s.await("table inet nftknock was changed by another process and is restored")
	s.wantOpen(s.Clients[1], lab.Server4, false)
	s.wantOpen(c, lab.Server4, true)
	after := s.grantedIn("nftknock")
	if len(before) != 1 || len(after) != 1 || after[0].Expires > before[0].Expires {
		t.Errorf("left before the flush %+v, after it %+v: want the same element with no more time", before, after)
	}
}

func TestABadPolicyStartsNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, 0)
	for _, policy := range []string{
		"",
		"[nflog]\ngroup = 70000\n" + access("ssh", three, "5s"),
		access("ssh", three, "5"),
		access("ssh", "tcp/1", "5s"),
		access("ssh", three, "5s", `require_os = "("`),
		access("ssh", three, "5s", "typo = 1"),
		access("ssh", three, "5s") + access("ssh", three, "5s"),
		"[[access",
	} {
		s.write(policy)
		s.refuses(2, "nftknockd.toml")
		if n := s.tables(); n != 0 {
			t.Errorf("%q left %d tables in the kernel", policy, n)
		}
	}
}

func TestTheDaemonSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	t.Run("the group", func(t *testing.T) {
		s := newStage(t, 0)
		s.start(access("ssh", three, "5s"))
		s.write(fmt.Sprintf("control.socket = \"\"\nstate.dir = %q\n[nftables]\ntable = \"second\"\n", filepath.Join(s.Dir, "second")) +
			access("ssh", three, "5s"))
		first := s.daemon
		s.launch()
		s.await("services stay hidden, and knocks of NFLOG group 5 cannot be received: nflog: group 5: the group is in use by another program")
		if status, err := s.daemon.Stop(); status != 0 || err != nil {
			t.Errorf("ended with status %d, %v", status, err)
		}
		s.daemon = first
		if n := s.tables(); n != 2 {
			t.Errorf("%d tables, want the first daemon's and that of the second", n)
		}
	})
	t.Run("the table", func(t *testing.T) {
		s := newStage(t, 0)
		s.start(access("ssh", three, "5s"))
		s.write(fmt.Sprintf("control.socket = \"\"\nstate.dir = %q\n[nflog]\ngroup = 6\n", filepath.Join(s.Dir, "second")) +
			access("ssh", three, "5s"))
		first := s.daemon
		s.refuses(1, "nftknockd: error: ", "table inet nftknock")
		s.daemon = first
	})
	t.Run("the control socket", func(t *testing.T) {
		s := newStage(t, 0)
		s.start(access("ssh", three, "5s"))
		first := s.daemon
		s.refuses(1, "nftknockd: error: control socket "+filepath.Join(s.Dir, "control.sock")+": another process, probably a daemon, listens there")
		s.daemon = first
	})
	t.Run("the capability", func(t *testing.T) {
		s := newStage(t, 0)
		s.write(access("ssh", three, "5s"))
		cmd := exec.Command(filepath.Join(s.Programs, "nftknockd"), "run", "--config", s.policy)
		// Root in a new user namespace has no privileges in the network namespace
		// of this one.
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := s.Server.Start(cmd); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		if status := exitStatus(err); status != 1 || !strings.Contains(out.String(), "CAP_NET_ADMIN") {
			t.Errorf("status %d and\n%s\nwant 1 and the missing CAP_NET_ADMIN", status, out.String())
		}
	})
}

// exitStatus returns the exit status of a command.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// A start whose policy names another table removes the old one, which would drop what the new
// one lets in. Connections continue, and the service is hidden all the time.
func TestAStartRemovesTheTableOfAnotherName(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	c := s.Clients[0]
	s.start(access("ssh", three, "30s"))
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	stands := s.connect(c)
	s.write("nftables.table = \"door\"\n" + access("ssh", three, "30s"))
	s.command(0, "table inet nftknock of the policy before is removed when the daemon starts", "check", "--against-running")
	s.restart(false)
	s.await("table inet nftknock of the policy before is removed, and the grants in it have ended")
	if n := s.tables(); n != 1 {
		t.Errorf("%d tables, want the new one", n)
	}
	s.wantAlive(stands)
	s.wantOpen(c, lab.Server4, false)
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(c, lab.Server4, true)
	s.restart(true)
	if strings.Contains(s.daemon.Log(), "of the policy before") {
		t.Errorf("the next start speaks of it again:\n%s", s.daemon.Log())
	}
}

// A table of the old name that another program has made, or another daemon owns, stays.
func TestAStartLeavesTablesOfOthers(t *testing.T) {
	t.Parallel()
	s := newStage(t, 0)
	s.start(access("ssh", three, "30s"))
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Fatal(status, err)
	}
	err := s.Server.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		theirs := &nftables.Table{Name: "nftknock", Family: nftables.TableFamilyINet}
		conn.DelTable(theirs)
		conn.AddTable(theirs)
		conn.AddChain(&nftables.Chain{Name: "theirs", Table: theirs})
		return conn.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	s.write("nftables.table = \"door\"\n" + access("ssh", three, "30s"))
	s.launch()
	s.await("ready: ")
	s.await("table inet nftknock of the policy before stays, and no knock opens what it hides: ")
	if n := s.tables(); n != 2 {
		t.Errorf("%d tables, want that of another program, too", n)
	}
}
