package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"nftknock/test/lab"
)

// A policy on trial is undone by itself, stays after a knock or a confirmation, and is not run
// by the daemon that follows one that was killed during the trial.
func TestAPolicyOnTrial(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	old := access("ssh", three, "60s")
	changed := access("ssh", "udp/7001 udp/7002 icmp", "60s")
	s.start(old)
	c := s.Clients[0]
	s.command(2, "bad guard 2h0m0s: want 1s to 1h", "reload", "--guard", "2h")
	s.command(1, "no policy is on trial", "confirm")

	// Nobody knows the new sequence, as when it was mistyped.
	s.write(changed)
	s.command(0, "the policy is on trial: at ", "reload", "--guard", "1s")
	s.await("the policy on trial is undone: nobody confirmed it in time")
	s.command(1, "too late: the policy was undone at ", "confirm")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(c, lab.Server4, true)
	s.command(0, "1 grant revoked", "revoke", c.Addr4.String())

	// A restart does not run it either.
	s.restart(false)
	s.await("running the last policy that worked")
	s.wantOpen(c, lab.Server4, false)
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.command(0, "1 grant revoked", "revoke", c.Addr4.String())

	s.command(0, "on trial", "reload", "--guard", "60s")
	s.knock(c, lab.Server4, "udp/7001", "udp/7002", "icmp")
	s.await("the policy on trial is confirmed by a knock of " + c.Addr4.String())
	s.command(0, "confirmed before, by a knock of "+c.Addr4.String(), "confirm")
	s.restart(true)
	s.await("ready: ")
	if strings.Contains(s.daemon.Log(), "last policy") {
		t.Errorf("a confirmed policy is not run:\n%s", s.daemon.Log())
	}

	s.write(old)
	s.command(0, "on trial", "reload", "--guard", "60s")
	s.command(0, "confirmed: the policy stays", "confirm")
	s.write(changed)
	s.command(0, "on trial", "reload", "--guard", "60s")
	s.restart(true)
	s.await("running the last policy that worked")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	// A reload for good runs it.
	s.command(0, "", "reload")
	s.restart(true)
	s.await("ready: ")
	if strings.Contains(s.daemon.Log(), "last policy") {
		t.Errorf("a policy that was reloaded is not run:\n%s", s.daemon.Log())
	}
}

// restart runs another daemon with the policy, after one that was stopped or killed.
func (s *stage) restart(kill bool) {
	s.Helper()
	if kill {
		if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
			s.Fatal(err)
		}
		if _, err := s.daemon.Wait(); err != nil {
			s.Fatal(err)
		}
	} else if status, err := s.daemon.Stop(); status != 0 || err != nil {
		s.Fatalf("stopped with %d, %v", status, err)
	}
	s.launch()
	s.await("ready: ")
}

// The first policy of a host: with nobody who knocks or confirms, all is as before, whatever
// becomes of the daemon.
func TestAFirstPolicyOnTrial(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	c := s.Clients[0]
	s.write(access("ssh", three, "60s"))
	first := func(args ...string) {
		t.Helper()
		var err error
		if s.daemon, err = s.StartDaemon(nil, append([]string{"run", "--config", s.policy}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	conn, other := s.connect(c), s.connect(c)

	first("--guard", "2s")
	s.await("ready: ")
	s.wantOpen(c, lab.Server4, false)
	if status, err := s.daemon.Wait(); status != 3 || err != nil {
		t.Errorf("undone with %d, %v:\n%s", status, err, s.daemon.Log())
	}
	s.wantOpen(c, lab.Server4, true)
	s.wantAlive(conn)
	s.refuses(2, "nobody confirmed it: nothing is hidden")

	// kill -9: the next start undoes it.
	first("--guard", "60s")
	s.await("ready: ")
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		t.Fatal(err)
	}
	s.wantOpen(c, lab.Server4, false)
	s.refuses(2, "nobody confirmed it: nothing is hidden")
	s.wantOpen(c, lab.Server4, true)

	// A corrected first policy is on trial, too. A second daemon does not undo the first.
	s.write(access("ssh", "udp/7001 udp/7002 icmp", "60s"))
	first("--guard", "60s")
	s.await("ready: ")
	trial := s.daemon
	s.refuses(1, "another process, probably a daemon")
	s.daemon = trial
	s.wantOpen(c, lab.Server4, false)
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
	s.wantOpen(c, lab.Server4, true)

	first("--guard", "60s")
	s.await("ready: ")
	s.knock(c, lab.Server4, "udp/7001", "udp/7002", "icmp")
	s.await("confirmed by a knock of " + c.Addr4.String())
	s.wantOpen(c, lab.Server4, true)
	s.restart(true)
	s.wantAlive(other)
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "state", "trial.json")); !os.IsNotExist(err) {
		t.Errorf("the note is still there: %v", err)
	}
	if n := s.tables(); n != 1 {
		t.Errorf("%d tables after the confirmation", n)
	}
	// There is a policy to go back to now.
	first("--guard", "60s")
	if status, err := s.daemon.Wait(); status != 2 || err != nil {
		t.Errorf("status %d, %v:\n%s", status, err, s.daemon.Log())
	}
}
