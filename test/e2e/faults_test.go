package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nftknock/test/lab"
)

// The kernel hides, and ends grants in time, while the daemon is suspended. Resumed, the daemon
// reports the end and honours knocks.
func TestASuspendedDaemon(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.start(access("ssh", three, "3s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.signal(syscall.SIGSTOP)
	s.wantOpen(c, lab.Server4, true)
	s.wantOpen(s.Clients[1], lab.Server4, false)
	s.eventuallyClosed(c)
	s.wantOpen(c, lab.Server4, false)
	s.signal(syscall.SIGCONT)
	s.await("access of " + c.Addr4.String() + " to tcp/22 ended, 3s timeout exceeded")
	s.knock(s.Clients[1], lab.Server4, strings.Fields(three)...)
	s.await("granted " + s.Clients[1].Addr4.String())
	s.wantOpen(s.Clients[1], lab.Server4, true)
}

func (s *stage) signal(sig syscall.Signal) {
	s.Helper()
	if err := s.daemon.Signal(sig); err != nil {
		s.Fatal(err)
	}
}

// An interface that goes down, comes up and is renamed never shows a service, and grants
// and knocks survive it.
func TestAnInterfaceThatGoesDown(t *testing.T) {
	for name, policy := range map[string]string{"all": "", "listed": "nftables.interfaces = [\"eth0\"]\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(policy + access("ssh", three, "30s"))
			c := s.Clients[0]
			s.wantOpen(c, lab.Server4, false)
			for _, to := range []string{"eth0", "lan0"} { // down and up alone, then renamed too
				s.rename("eth0", to)
				s.wantOpen(c, lab.Server4, false)
			}
			s.knock(c, lab.Server4, strings.Fields(three)...)
			s.await("granted ")
			s.wantOpen(c, lab.Server4, true)
			s.rename("lan0", "eth0")
			s.wantReachable(c) // the neighbour may have to be found anew
		})
	}
}

// A link that is taken away as a whole and made again, as by a driver that is loaded anew,
// hides as the first did.
func TestAnInterfaceThatIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start("nftables.interfaces = [\"eth0\"]\n" + access("ssh", three, "30s"))
	s.wantOpen(s.Clients[0], lab.Server4, false)
	err := s.Server.Do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Reconnect(0)
	if err != nil {
		t.Fatal(err)
	}
	s.wantOpen(again, lab.Server4, false)
	s.knock(again, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantReachable(again)
}

// mountState gives the daemon that is started next a file system of its own for its state
// directory, and runs commands of a shell before the daemon, with the directory in $1.
func (s *stage) mountState(before string) {
	s.Helper()
	dir := filepath.Join(s.Dir, "state")
	wrapper := filepath.Join(s.Dir, "programs")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(wrapper, 0o700)); err != nil {
		s.Fatal(err)
	}
	// Each exec keeps the process, so that signals reach the daemon.
	inside := "mount -t tmpfs -o size=256k,mode=700 tmpfs $1 && (" + before + ")\ndaemon=$2; shift 2; exec $daemon \"$@\""
	script := fmt.Sprintf("#!/bin/sh\nexec unshare --mount sh -c '%s' sh %s %s/nftknockd \"$@\"\n", inside, dir, s.Programs)
	if err := os.WriteFile(filepath.Join(wrapper, "nftknockd"), []byte(script), 0o700); err != nil {
		s.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(s.Programs, "nftknock"), filepath.Join(wrapper, "nftknock")); err != nil {
		s.Fatal(err)
	}
	s.Programs = wrapper
}

// inState runs commands of a shell where the daemon's state directory is, in $1.
func (s *stage) inState(commands string) {
	s.Helper()
	cmd := exec.Command("nsenter", "--mount", "--target", strconv.Itoa(s.daemon.PID()), "sh", "-ec", commands, "sh", filepath.Join(s.Dir, "state"))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// A state directory that cannot be used at the start: knocks that must be recorded are
// refused with the reason, services stay hidden, knocks without a token are honoured, and
// all heals by itself when the directory can be used.
func TestAStateDirectoryThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct{ before, heal, reason string }{
		"full":      {"dd if=/dev/zero of=$1/filler bs=4k", "rm $1/filler", "no space left on device"},
		"read-only": {"mount -o remount,ro $1", "mount -o remount,rw $1", "read-only file system"},
		"of others": {"chmod 0777 $1", "chmod 0700 $1", "want none but the owner to write it"},
		"a file":    {"mkdir $1/spent.db", "rmdir $1/spent.db", "want a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			s.mountState(c.before)
			s.start(tokenAccess("encrypted", s.keys("base64:"+cipherKey, "")) + access("plain", three, "2s"))
			line := s.await("replay store unavailable")
			if !strings.Contains(line, c.reason) {
				t.Errorf("%s\nwants the reason %q", line, c.reason)
			}
			siv := strings.Fields("-e -p 22 --key-file " + s.key("client", "base64:"+cipherKey))
			token, shared := s.Clients[0], s.Clients[1]
			s.knock(token, lab.Server4, siv...)
			s.await("cannot record the knock of " + token.Addr4.String() + ", so it opens nothing")
			s.wantOpen(token, lab.Server4, false)
			s.knock(shared, lab.Server4, strings.Fields(three)...)
			s.await("granted " + shared.Addr4.String() + " access to tcp/22 for 2s")
			s.inState(c.heal)
			s.await("the replay store works again")
			s.knock(token, lab.Server4, siv...)
			s.await("granted " + token.Addr4.String())
			s.wantOpen(token, lab.Server4, true)
			if n := strings.Count(s.daemon.Log(), "replay store unavailable"); n != 1 {
				t.Errorf("told %d times:\n%s", n, s.daemon.Log())
			}
		})
	}
}

// A state directory whose files are removed under a running daemon: nothing that was spent
// before counts again, and the daemon goes on.
func TestARemovedStateDirectory(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(tokenAccess("encrypted", s.keys("base64:"+cipherKey, "")))
	c := s.Clients[0]
	siv := strings.Fields("-e -p 22 --key-file " + s.key("client", "base64:"+cipherKey))
	s.knock(c, lab.Server4, siv...)
	s.await("granted ")
	if err := os.RemoveAll(filepath.Join(s.Dir, "state")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // two knocks within a second are the same message
	s.knock(c, lab.Server4, siv...)
	s.await("is written again with all that was spent")
	granted, next, err := s.daemon.Await("event=granted", 0)
	if err == nil {
		_, _, err = s.daemon.Await("event=granted", next)
	}
	if err != nil {
		t.Errorf("after %q: %v", granted, err)
	}
	if !s.daemon.Running() {
		t.Error("the daemon has ended")
	}
}
