// Package e2e tests nftknockd and nftknock as programs on the running kernel.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"nftknock/pkg/uninstall"
	"nftknock/test/lab"
	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) {
	netnstest.Main(m, func() {
		if programsDir != "" {
			os.RemoveAll(programsDir)
		}
	})
}

var programsDir string

// programs are built once, with the race detector if the tests are.
var programs = sync.OnceValues(func() (string, error) {
	var err error
	if programsDir, err = os.MkdirTemp("", "nftknock-e2e-"); err != nil {
		return "", err
	}
	return programsDir, lab.Build(programsDir, buildFlags...)
})

// stage is a lab with a service on tcp/22 and a daemon.
type stage struct {
	*lab.Lab
	testing.TB
	policy string // path
	daemon *lab.Daemon
}

// newStage makes a stage with n clients, without starting the daemon.
func newStage(t testing.TB, n int) *stage {
	t.Helper()
	netnstest.Require(t)
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.TempDir(), bin, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if err := l.Serve(ctx, 22, "SSH-2.0-hidden"); err != nil {
		t.Fatal(err)
	}
	return &stage{Lab: l, TB: t}
}

// write replaces the policy file. It puts control socket and state into the lab's directory
// unless the policy sets them, because all stages share the host's files.
func (s *stage) write(policy string) {
	s.Helper()
	if !strings.HasPrefix(policy, "control.") {
		policy = fmt.Sprintf("control.socket = %q\nstate.dir = %q\n",
			filepath.Join(s.Dir, "control.sock"), filepath.Join(s.Dir, "state")) + policy
	}
	path, err := s.Write("nftknockd.toml", policy)
	if err != nil {
		s.Fatal(err)
	}
	s.policy = path
}

// start writes a policy, runs a daemon and waits until it is ready. At the end of the test
// the daemon must stop with status 0.
func (s *stage) start(policy string) {
	s.Helper()
	s.write(policy)
	s.launch()
	s.await("ready: ")
	s.Cleanup(func() {
		if status, err := s.daemon.Stop(); err != nil || status > 0 {
			s.Errorf("the daemon ended with status %d, %v:\n%s", status, err, s.daemon.Log())
		}
		s.ownFiles()
	})
}

// ownFiles fails the test if the daemon has left a file in its state directory that a purge would
// not remove.
func (s *stage) ownFiles() {
	s.Helper()
	list, err := os.ReadDir(filepath.Join(s.Dir, "state"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Error(err)
	}
	for _, file := range list {
		if !slices.ContainsFunc(uninstall.StateFiles(), func(pattern string) bool {
			ok, err := filepath.Match(pattern, file.Name())
			return ok && err == nil
		}) {
			s.Errorf("a purge would leave %s", file.Name())
		}
	}
}

func (s *stage) launch() {
	s.Helper()
	var err error
	if s.daemon, err = s.StartDaemon(nil, "run", "--config", s.policy); err != nil {
		s.Fatal(err)
	}
}

// await waits for a line in the daemon's log.
func (s *stage) await(text string) string {
	s.Helper()
	line, _, err := s.daemon.Await(text, 0)
	if err != nil {
		s.Fatal(err)
	}
	return line
}

// refuses runs nftknockd to its end, and checks its exit status and texts in its output.
func (s *stage) refuses(status int, texts ...string) {
	s.Helper()
	s.launch()
	got, err := s.daemon.Wait()
	if err != nil {
		s.Fatal(err)
	}
	if got != status {
		s.Errorf("exit status %d, want %d", got, status)
	}
	for _, text := range texts {
		if !strings.Contains(s.daemon.Log(), text) {
			s.Errorf("it said:\n%s\nand nothing of %q", s.daemon.Log(), text)
		}
	}
}

// knock runs the client with elements, which flags may precede.
func (s *stage) knock(c *lab.Client, server netip.Addr, args ...string) {
	s.Helper()
	if out, err := c.Nftknock(append([]string{server.String()}, args...)...); err != nil {
		s.Fatalf("nftknock %v: %v\n%s", args, err, out)
	}
}

func (s *stage) wantOpen(c *lab.Client, server netip.Addr, want bool) {
	s.Helper()
	if got := c.Open(server, 22); got != want {
		s.Errorf("%v -> [%v]:22 open: %v, want %v; log:\n%s", c.Addr4, server, got, want, s.daemon.Log())
	}
}

// access returns an [[access]] to tcp/22 with more lines.
func access(name, sequence, timeout string, more ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "[[access]]\nname = %q\nknock = \"shared\"\nopen = [\"tcp/22\"]\ntimeout = %q\nsequence = [", name, timeout)
	for i, e := range strings.Fields(sequence) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", e)
	}
	b.WriteString("]\n")
	for _, line := range more {
		b.WriteString(line + "\n")
	}
	return b.String()
}
