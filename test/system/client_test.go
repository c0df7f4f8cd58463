//go:build system

package system

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// unanswered is how long a connection is tried before the port counts as silent.
const unanswered = 500 * time.Millisecond

// dial connects to a port of the machine.
func dial(from string, port uint16) (net.Conn, error) {
	to := server
	if netip.MustParseAddr(from).Is6() {
		to = server6
	}
	d := net.Dialer{Timeout: unanswered, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return d.Dial("tcp", net.JoinHostPort(to, fmt.Sprint(port)))
}

// how a port answers.
type answer string

const (
	open     answer = "open"     // the service answers
	filtered answer = "filtered" // nothing answers
	closed   answer = "closed"   // the host refuses the connection
	rejected answer = "rejected" // a firewall says that the host cannot be reached
)

// ask connects to a port of the machine, and reads the first byte of what its service says.
func ask(from string, port uint16) (answer, error) {
	conn, err := dial(from, port)
	var netErr net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return closed, nil
	case errors.Is(err, syscall.EHOSTUNREACH):
		return rejected, nil
	case errors.As(err, &netErr) && netErr.Timeout():
		return filtered, nil
	case err != nil:
		return "", err
	}
	defer conn.Close()
	err = conn.SetReadDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	return open, err
}

// wants fails the test unless tcp/22 answers so.
func (s *scene) wants(from string, want answer) {
	s.Helper()
	s.wantsPort(from, 22, want)
}

func (s *scene) wantsPort(from string, port uint16, want answer) {
	s.Helper()
	if got, err := ask(from, port); err != nil || got != want {
		s.Fatalf("tcp/%d is %s for %s (%v), want %s", port, got, from, err, want)
	}
}

// becomes waits until tcp/22 answers so.
func (s *scene) becomes(from string, want answer) {
	s.Helper()
	s.await(fmt.Sprintf("tcp/22 is %s for %s", want, from), func() bool {
		got, err := ask(from, 22)
		return err == nil && got == want
	})
}

// outside runs a program of the machine's file system outside of the machine, with this source
// address.
func (s *scene) outside(from, name string, args ...string) (out string, status int) {
	s.Helper()
	s.must(setSource(from))
	return s.result(exec.CommandContext(s.limited(), "chroot", append([]string{outsideDir, name}, args...)...))
}

// setSource makes an address the source of what is sent to the machine.
func setSource(from string) error {
	link, err := netlink.LinkByName(network)
	if err != nil {
		return err
	}
	src, to := net.ParseIP(from), net.ParseIP(server)
	bits := 32
	if src.To4() == nil {
		to, bits = net.ParseIP(server6), 128
	}
	return netlink.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index, Src: src, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: to, Mask: net.CIDRMask(bits, bits)},
	})
}

// knock runs nftknock with these arguments, and the machine's address after them.
func (s *scene) knock(from string, args ...string) {
	s.Helper()
	to := server
	if netip.MustParseAddr(from).Is6() {
		to = server6
	}
	if out, status := s.outside(from, "nftknock", append(append([]string{"-q"}, to), args...)...); status != 0 {
		s.Fatalf("nftknock %v ended with %d:\n%s", args, status, out)
	}
}

// session is a login over ssh, in which cat runs.
type session struct {
	t     *testing.T
	cmd   *exec.Cmd
	said  *strings.Builder // by ssh, on standard error
	in    io.WriteCloser
	out   *bufio.Reader
	count int
	err   error // the first
}

// login begins a session. tcp/22 has to be open for this address.
func (s *scene) login(from string) *session { s.Helper(); return s.loginWith(from, "cat") }

// loginWith begins a session with a command that does what cat does.
func (s *scene) loginWith(from, command string) *session {
	s.Helper()
	cmd := exec.CommandContext(s.limited(), "chroot", outsideDir,
		"ssh", "-b", from, "-i", "/root/client-key", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10",
		"root@"+server, command)
	said := new(strings.Builder)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	s.must(err)
	out, err := cmd.StdoutPipe()
	s.must(err)
	s.must(cmd.Start())
	c := &session{t: s.T, cmd: cmd, said: said, in: in, out: bufio.NewReader(out)}
	s.Cleanup(c.end)
	c.works()
	return c
}

// works fails the test unless a line comes back.
func (c *session) works() {
	c.t.Helper()
	if err := c.echo(patience); err != nil {
		c.end() // after which ssh has said all it has to
		c.t.Fatalf("the session has ended: %v\n%s", err, c.said)
	}
}

// echo sends a line and waits for it to come back. After an error, it fails again.
func (c *session) echo(limit time.Duration) error {
	if c.err != nil {
		return c.err
	}
	c.count++
	line := fmt.Sprintf("line %d\n", c.count)
	if _, c.err = io.WriteString(c.in, line); c.err != nil {
		return c.err
	}
	back := make(chan error, 1)
	go func() {
		got, err := c.out.ReadString('\n')
		if err == nil && got != line {
			err = fmt.Errorf("got %q, want %q", got, line)
		}
		back <- err
	}()
	select {
	case c.err = <-back:
	case <-time.After(limit):
		c.err = fmt.Errorf("no answer in %v", limit)
	}
	return c.err
}

func (c *session) end() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}
