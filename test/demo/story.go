package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"nftknock/test/lab"
)

// story runs the steps of the demo and prints what happens. A step that does not have the
// expected result ends the demo with an error, so that it is a test too.
type story struct {
	ctx    context.Context
	lab    *lab.Lab
	daemon *lab.Daemon
	logged int // number of lines of the daemon's log that were printed
	rc     string
}

func (s *story) tell(policy string) (err error) {
	linux, windows := s.lab.Clients[0], s.lab.Clients[1]
	fmt.Printf(`nftknock: a server at %s hides its tcp/22 from everyone who does not knock.
Two clients can reach it: %s (Linux) and %s (a Windows stack).
`, lab.Server4, linux.Addr4, windows.Addr4)

	s.chapter("The server starts its daemon")
	if s.daemon, err = s.lab.StartDaemon(nil, "run", "--config", policy); err != nil {
		return err
	}
	defer func() {
		if _, stopErr := s.daemon.Stop(); err == nil {
			err = stopErr
		}
	}()
	for _, act := range []func() error{
		func() error { return s.awaitLog("ready: ") },
		func() error {
			s.chapter("tcp/22 is closed: the service runs, and no packet gets to it")
			return s.closed(linux)
		},
		func() error { return s.knocks(linux) },
		func() error {
			s.chapter("tcp/22 is open, for this client alone")
			return errors.Join(s.open(linux), s.closed(windows))
		},
		func() error {
			s.chapter("The kernel ends the grant by its own timer, with no help from the daemon")
			return s.awaitLog(" ended, ")
		},
		func() error { return s.closed(linux) },
		func() error { return s.forges(windows) },
		func() error { return s.closed(windows) },
	} {
		if s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err := act(); err != nil {
			return err
		}
	}
	fmt.Println("\nThat was all real: namespaces, NFLOG, nftables. Nothing of it is left.")
	return nil
}

func (s *story) chapter(title string) { fmt.Printf("\n== %s\n", title) }

// closed returns an error unless a connection to tcp/22 times out.
func (s *story) closed(c *lab.Client) error {
	conn, err := c.Dial(lab.Server4, 22, time.Second)
	var timeout net.Error
	switch {
	case err == nil:
		conn.Close()
		return fmt.Errorf("%v got in at tcp/22, which should be closed", c.Addr4)
	// A reset or an ICMP error would show that a host answers.
	case !errors.As(err, &timeout) || !timeout.Timeout():
		return fmt.Errorf("%v at tcp/22: %w, want no answer at all", c.Addr4, err)
	}
	fmt.Printf("   %s -> tcp/22: no answer\n", c.Addr4)
	return nil
}

// open returns an error unless the service on tcp/22 sends its banner.
func (s *story) open(c *lab.Client) error {
	conn, err := c.Dial(lab.Server4, 22, time.Second)
	if err != nil {
		return fmt.Errorf("%v could not get in at tcp/22: %w", c.Addr4, err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	banner, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	fmt.Printf("   %s -> tcp/22: connected: %s\n", c.Addr4, strings.TrimSpace(banner))
	return nil
}

// knocks runs nftknock and waits for the grant.
func (s *story) knocks(c *lab.Client) error {
	s.chapter("The Linux client knocks")
	fmt.Printf("   $ nftknock %s\n", lab.Server4)
	out, err := c.Nftknock("--rc", s.rc, lab.Server4.String())
	fmt.Print(indent(out))
	if err != nil {
		return fmt.Errorf("nftknock: %w", err)
	}
	return s.awaitLog("granted ")
}

// forges sends the same sequence with the SYNs of another operating system, and waits for the
// refusal.
func (s *story) forges(c *lab.Client) error {
	s.chapter("The other client knows the sequence too, but the policy says require_os = \"linux\"")
	for _, element := range sequence {
		var err error
		switch port := uint16(0); {
		case strings.HasPrefix(element, "tcp/"):
			if _, err = fmt.Sscanf(element, "tcp/%d", &port); err == nil {
				err = c.SYN(lab.Server4, port, lab.Windows)
			}
		default:
			_, err = c.Nftknock("-q", lab.Server4.String(), element)
		}
		if err != nil {
			return err
		}
		fmt.Printf("   %s -> %s\n", c.Addr4, element)
	}
	return s.awaitLog("not accepted")
}

var (
	stamp  = regexp.MustCompile(`^\S+ `)
	fields = regexp.MustCompile(` \[event=.*\]$`)
)

// awaitLog waits for a line in the daemon's log that contains text. It prints all new lines up to
// it, without times and fields.
func (s *story) awaitLog(text string) error {
	_, next, err := s.daemon.Await(text, s.logged)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(s.daemon.Log(), "\n")[s.logged:next] {
		line = fields.ReplaceAllString(stamp.ReplaceAllString(line, ""), "")
		fmt.Printf("   nftknockd: %s\n", line)
	}
	s.logged = next
	return nil
}

func indent(s string) string {
	return "   " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n   ") + "\n"
}
