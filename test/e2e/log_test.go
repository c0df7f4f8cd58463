package e2e

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/test/lab"
)

// logPipe is a daemon's log whose reader may stall or go away.
type logPipe struct {
	*os.File // the end that is read
	write    *os.File
	lines    *bufio.Scanner
}

// launchInto runs the daemon with its log in a pipe of one page and waits until
// it is ready.
func (s *stage) launchInto() *logPipe {
	s.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { r.Close(); w.Close() })
	if _, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096); err != nil {
		s.Fatal(err)
	}
	if s.daemon, err = s.StartDaemonInto(w, "run", "--config", s.policy); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = s.daemon.Signal(unix.SIGKILL) })
	log := &logPipe{r, w, bufio.NewScanner(r)}
	log.await(s, "ready: ")
	return log
}

// await reads until a line holds text.
func (p *logPipe) await(t testing.TB, text string) string {
	t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), text) {
			return p.lines.Text()
		}
	}
	t.Fatalf("no line with %q: %v", text, p.lines.Err())
	return ""
}

// fill takes all the room there is in the pipe, as a reader that has stalled
// soon does.
func (p *logPipe) fill() {
	go func() {
		for {
			if _, err := p.write.Write([]byte(strings.Repeat("x", 100) + "\n")); err != nil {
				return
			}
		}
	}()
}

// flush deletes every table of the server, as "nft flush ruleset" does.
func (s *stage) flush() {
	s.Helper()
	err := s.Server.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		conn.FlushRuleset()
		return conn.Flush()
	})
	if err != nil {
		s.Fatal(err)
	}
}

// eventually polls until something holds, for as long as the lab is patient.
func (s *stage) eventually(what string, holds func() bool) {
	s.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not in 20 s: %s", what)
		}
	}
}

// Repairs and grants do not wait for whoever reads the log, and what was lost
// of it meanwhile is said.
func TestALogThatNobodyReads(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	s.write("nftables.owner = \"off\"\n" + access("ssh", three, "60s"))
	log := s.launchInto()
	log.fill()
	for _, c := range s.Clients[:2] {
		s.knock(c, lab.Server4, strings.Fields(three)...)
		s.eventually("the knock opens", func() bool { return c.Open(lab.Server4, 22) })
	}
	for range 2 {
		s.flush()
		s.eventually("the table comes back", func() bool { return s.tables() == 1 })
		s.wantOpen(s.Clients[2], lab.Server4, false)
		s.wantOpen(s.Clients[0], lab.Server4, true)
	}

	// The reader comes back. What was queued meanwhile is there.
	log.await(t, "granted "+s.Clients[1].Addr4.String())
	log.await(t, "is restored")
}

// A daemon whose log has no reader any more goes on without it.
func TestALogWhoseReaderIsGone(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.write("nftables.owner = \"off\"\n" + access("ssh", three, "60s"))
	log := s.launchInto()
	log.Close()
	for _, c := range s.Clients {
		s.knock(c, lab.Server4, strings.Fields(three)...)
		s.eventually("the knock opens", func() bool { return c.Open(lab.Server4, 22) })
	}
	s.flush()
	s.eventually("the table comes back", func() bool { return s.tables() == 1 })
	if !s.daemon.Running() {
		t.Error("the daemon ended with the reader of its log")
	}
	if status, err := s.daemon.Stop(); status != 0 || err != nil {
		t.Errorf("stopped with %d, %v", status, err)
	}
}
