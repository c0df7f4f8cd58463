//go:build system

package system

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is the timeout of every wait, far longer than any takes.
const patience = 20 * time.Second

const (
	policyFile = "/etc/nftknock/nftknockd.toml"
	stateDir   = "/var/lib/nftknock"
	dropIns    = "/etc/systemd/system/nftknockd.service.d"
	unit       = "nftknockd.service"
)

// scene is the machine in one test.
type scene struct {
	*testing.T
	cursor  string // of the journal, where the test began
	markers int    // knocks that were sent to see that the daemon has handled those before
}

// begin returns the machine as it is after the installation: without policy and state,
// tables and rules, and with no daemon and no firewall running.
func begin(t *testing.T) *scene {
	s := &scene{T: t}
	if !machine.running() {
		s.must(machine.boot())
	}
	s.clear()
	out := s.in("journalctl", "-n", "0", "--show-cursor")
	_, s.cursor, _ = strings.Cut(strings.TrimSpace(out), "-- cursor: ")
	if s.cursor == "" {
		t.Fatalf("the journal has no cursor: %s", out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			s.explain()
		}
	})
	return s
}

// clear takes away what tests leave.
func (s *scene) clear() {
	s.Helper()
	s.in("sh", "-c", `
systemctl --quiet disable nftknockd nftables firewalld ufw 2>/dev/null
systemctl stop nftknockd firewalld ufw nftables || exit
rm -rf `+dropIns+` `+stateDir+` /etc/nftknock/nftknockd.toml /etc/nftknock/conf.d/* /etc/nftknock/keys || exit
systemctl daemon-reload
systemctl reset-failed
nft flush ruleset
for legacy in iptables-legacy ip6tables-legacy; do $legacy -P INPUT ACCEPT; $legacy -F; $legacy -X; done 2>/dev/null
ip netns del container 2>/dev/null
ip link show docker0 2>/dev/null >&2 && ip link del docker0
conntrack -F 2>/dev/null
true`)
}

// explain logs what a failed test may be about.
func (s *scene) explain() {
	if !machine.running() {
		console, err := os.ReadFile(runDir + "/console")
		s.Logf("the machine does not run; the end of its console:\n%s%v", lastLines(string(console), 40), err)
		return
	}
	status, _ := s.try("systemctl", "--no-pager", "--lines=0", "status", unit)
	ruleset, _ := s.try("nft", "list", "ruleset")
	file := filepath.Join(runDir, strings.ReplaceAll(s.Name(), "/", "-")+".nft")
	err := os.WriteFile(file, []byte(ruleset), 0o644)
	s.Logf("%s\njournal:\n%s\nruleset: %s (%v)", status, lastLines(s.everyLine(), 80), file, err)
}

func (s *scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// try runs a program in the machine, and returns its output and exit status.
func (s *scene) try(name string, args ...string) (out string, status int) {
	s.Helper()
	return s.result(machine.command(s.limited(), name, args...))
}

// limited is a context that ends soon after the test should have gone on.
func (s *scene) limited() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	s.Cleanup(cancel)
	return ctx
}

func (s *scene) result(cmd *exec.Cmd) (string, int) {
	s.Helper()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.Fatalf("%v: %v", cmd, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// in is try for a program that has to succeed.
func (s *scene) in(name string, args ...string) string {
	s.Helper()
	out, status := s.try(name, args...)
	if status != 0 {
		s.Fatalf("%s %s ended with %d:\n%s", name, strings.Join(args, " "), status, out)
	}
	return out
}

// fails runs a program that has to fail, and returns its output.
func (s *scene) fails(name string, args ...string) string {
	s.Helper()
	out, status := s.try(name, args...)
	if status == 0 {
		s.Fatalf("%s %s succeeded:\n%s", name, strings.Join(args, " "), out)
	}
	return out
}

// write writes a file of the machine that only root can read.
func (s *scene) write(path, text string) {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(inRoot(path)), 0o700))
	s.must(os.WriteFile(inRoot(path), []byte(text), 0o600))
}

// replace replaces text in a file of the machine.
func (s *scene) replace(path, old, new string) {
	s.Helper()
	text, err := os.ReadFile(inRoot(path))
	s.must(err)
	if !strings.Contains(string(text), old) {
		s.Fatalf("%s has no %q", path, old)
	}
	s.write(path, strings.ReplaceAll(string(text), old, new))
}

// dropIn adds lines to the unit's section [Service].
func (s *scene) dropIn(lines string) {
	s.Helper()
	s.write(dropIns+"/test.conf", "[Service]\n"+lines+"\n")
	s.in("systemctl", "daemon-reload")
}

// journal returns the log of the unit since the test began, without times.
func (s *scene) journal() string {
	s.Helper()
	return s.in("journalctl", "--after-cursor="+s.cursor, "-o", "cat", "-u", unit)
}

// everyLine returns the journal since the test began.
func (s *scene) everyLine() string {
	out, _ := s.try("journalctl", "--after-cursor="+s.cursor, "-o", "short-monotonic")
	return out
}

// await waits until a condition holds. what completes "not after 20s: ...".
func (s *scene) await(what string, holds func() bool) {
	s.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// logged waits until the unit has logged a text, since the test began.
func (s *scene) logged(text string) {
	s.Helper()
	s.await("the log has "+text, func() bool { return strings.Contains(s.journal(), text) })
}

// loggedTimes waits until the unit has logged a text so many times, since the test began.
func (s *scene) loggedTimes(text string, n int) {
	s.Helper()
	s.await("the log has "+text, func() bool { return strings.Count(s.journal(), text) >= n })
}

// active reports whether the unit runs.
func (s *scene) active() bool {
	s.Helper()
	_, status := s.try("systemctl", "is-active", unit)
	return status == 0
}

// reboot shuts the machine down and boots it again.
func (s *scene) reboot() {
	s.Helper()
	s.must(machine.shutdown())
	s.must(machine.boot())
}
