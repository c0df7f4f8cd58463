package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is the timeout of every wait in the lab, far longer than any takes.
const patience = 20 * time.Second

// Daemon is a running nftknockd.
type Daemon struct {
	cmd   *exec.Cmd
	mu    sync.Mutex
	lines []string
	news  chan struct{} // closed and replaced at each line
	done  chan struct{} // closed when the process has ended
	tap   io.Writer     // gets a copy of each line, if not nil
}

// StartDaemon runs nftknockd on the server with these arguments. It keeps the log for Log
// and Await, and copies it to tap unless that is nil.
func (l *Lab) StartDaemon(tap io.Writer, args ...string) (*Daemon, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	d := l.newDaemon(in, args)
	d.tap = tap
	err = l.Server.Start(d.cmd)
	in.Close() // or read would not see the end of the daemon's output
	if err != nil {
		out.Close()
		return nil, err
	}
	go d.read(out)
	return d, nil
}

// StartDaemonInto is StartDaemon with the log in a file, which may be a pipe. The caller
// reads it; Log and Await cannot be used.
func (l *Lab) StartDaemonInto(log *os.File, args ...string) (*Daemon, error) {
	d := l.newDaemon(log, args)
	if err := l.Server.Start(d.cmd); err != nil {
		return nil, err
	}
	go d.wait()
	return d, nil
}

func (l *Lab) newDaemon(log *os.File, args []string) *Daemon {
	d := &Daemon{
		cmd:  exec.Command(filepath.Join(l.Programs, "nftknockd"), args...),
		news: make(chan struct{}),
		done: make(chan struct{}),
	}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), l.DaemonEnv...)
	return d
}

func (d *Daemon) read(out io.ReadCloser) {
	defer out.Close()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if d.tap != nil {
			fmt.Fprintln(d.tap, lines.Text())
		}
		d.mu.Lock()
		d.lines = append(d.lines, lines.Text())
		close(d.news)
		d.news = make(chan struct{})
		d.mu.Unlock()
	}
	d.wait()
}

func (d *Daemon) wait() {
	_ = d.cmd.Wait() // the status is in ProcessState
	close(d.done)
}

// Running reports whether the daemon is running.
func (d *Daemon) Running() bool {
	select {
	case <-d.done:
		return false
	default:
		return true
	}
}

// Log returns the log so far.
func (d *Daemon) Log() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

// Await waits for a line that contains text, beginning at line number from. It returns the
// line and the number of the line after it.
func (d *Daemon) Await(text string, from int) (line string, next int, err error) {
	deadline := time.After(patience)
	for ended := false; ; {
		line, next, news := d.find(text, from)
		switch {
		case next > 0:
			return line, next, nil
		case ended:
			return "", 0, fmt.Errorf("nftknockd ended (%s) without logging %q; it logged:\n%s", d.cmd.ProcessState, text, d.Log())
		}
		select {
		case <-news:
		case <-d.done:
			ended = true // read has returned, so that the log is complete: look once more
		case <-deadline:
			return "", 0, fmt.Errorf("nftknockd did not log %q in %v; it logged:\n%s", text, patience, d.Log())
		}
	}
}

// find looks for a line that contains text. next is 0 if there is none; news is closed
// when there is another line.
func (d *Daemon) find(text string, from int) (line string, next int, news <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i < len(d.lines); i++ {
		if strings.Contains(d.lines[i], text) {
			return d.lines[i], i + 1, d.news
		}
	}
	return "", 0, d.news
}

// PID is the number of the daemon's process.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Signal sends the daemon a signal.
func (d *Daemon) Signal(sig syscall.Signal) error { return d.cmd.Process.Signal(sig) }

// Wait waits until the daemon has ended and returns its exit status, which is -1 if a
// signal ended it.
func (d *Daemon) Wait() (int, error) {
	select {
	case <-d.done:
		return d.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("nftknockd did not end in %v; it logged:\n%s", patience, d.Log())
	}
}

// Stop sends SIGTERM to the daemon and waits for its end. It kills a daemon that does not
// end in time, and returns an error.
func (d *Daemon) Stop() (int, error) {
	// The error says that the daemon has ended already.
	_ = d.Signal(syscall.SIGTERM)
	status, err := d.Wait()
	if err != nil {
		_ = d.Signal(syscall.SIGKILL)
	}
	return status, err
}

// safeBuffer is a strings.Builder for several goroutines.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
