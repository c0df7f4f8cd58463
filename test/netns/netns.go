// Package netns builds small networks out of network namespaces, without
// root: Enter puts the process into a user namespace of its own in which it
// is root, New makes hosts in it and Connect draws a cable between two.
//
// Everything is gone when the process ends: namespaces live only as long as
// something runs in them or holds them open.
package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	vns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// entered tells the re-executed process that it is inside.
const entered = "NFTKNOCK_NETNS_ENTERED"

// ErrForbidden: this system does not let the user make namespaces.
var ErrForbidden = errors.New("user namespaces are forbidden here")

// Hint says what to do about ErrForbidden.
const Hint = `allow unprivileged user namespaces, with whichever of these your system has:
  sysctl -w kernel.unprivileged_userns_clone=1
  sysctl -w kernel.apparmor_restrict_unprivileged_userns=0
  sysctl -w user.max_user_namespaces=15000
or run the same command as root`

// Enter runs the program again, with the same arguments, in new user and
// network namespaces. In the first process it waits and returns the exit
// status of the second with inside false. In the second it returns at once
// with inside true. It must be called before other goroutines start.
func Enter() (inside bool, status int, err error) {
	if os.Getenv(entered) != "" {
		return true, 0, up("lo")
	}
	exe, err := os.Executable()
	if err != nil {
		return false, 0, err
	}
	cmd := exec.Command(exe, os.Args[1:]...)
	cmd.Env = append(os.Environ(), entered+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) ||
			errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS) {
			return false, 0, fmt.Errorf("%w: %w", ErrForbidden, err)
		}
		return false, 0, err
	}
	// Ctrl-C reaches the whole process group; SIGTERM may be meant for the
	// first process alone.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)
	go func() {
		for sig := range term {
			_ = cmd.Process.Signal(sig) // fails only when it has ended
		}
	}()
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return false, 0, err
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return false, code, nil
	}
	return false, 1, nil // ended by a signal
}

// NS is a network namespace: one host of the test network.
type NS struct{ handle vns.NsHandle }

// New makes a host with nothing but a loopback interface, which is up.
func New() (*NS, error) {
	n := &NS{handle: vns.None()}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		if n.handle, err = vns.Get(); err != nil {
			return err
		}
		return up("lo")
	})
	if err != nil {
		return nil, fmt.Errorf("new network namespace: %w", err)
	}
	return n, nil
}

// Close lets go of the namespace.
func (n *NS) Close() error { return n.handle.Close() }

// Do runs f inside the namespace. Sockets that f opens and processes that it
// starts stay there; goroutines that it starts do not.
func (n *NS) Do(f func() error) error {
	return onThread(func() error {
		if err := vns.Set(n.handle); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

// onThread runs f with a thread to itself and brings the thread back to its
// network namespace afterwards. The thread lives on, and so do processes
// that f started with a parent death signal.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := vns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		// A thread that cannot go home stays locked and dies with its
		// goroutine.
		if vns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Sysctl writes a value below /proc/sys of the namespace, for example
// Sysctl("net/ipv4/ip_default_ttl", "128").
func (n *NS) Sysctl(name, value string) error {
	return n.Do(func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	})
}

// Connect draws a cable (a veth pair) between two hosts. The interface at
// either end is called device and has the addresses given, which know each
// other at once: no duplicate address detection delays IPv6.
func Connect(a, b *NS, device string, addrsA, addrsB []netip.Prefix) error {
	err := a.Do(func() error {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: device},
			PeerName:      device,
			PeerNamespace: netlink.NsFd(b.handle),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("add veth: %w", err)
		}
		return configure(device, addrsA)
	})
	if err != nil {
		return err
	}
	return b.Do(func() error { return configure(device, addrsB) })
}

// Route sends all other traffic of the host to a gateway.
func (n *NS) Route(gateway netip.Addr) error {
	return n.Do(func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: gateway.AsSlice()})
	})
}

func configure(device string, addrs []netip.Prefix) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, p := range addrs {
		addr, err := netlink.ParseAddr(p.String())
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s: %w", p, err)
		}
	}
	return up(device)
}

func up(device string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// Start starts a process inside the namespace. It is killed if this process
// dies first.
func (n *NS) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.Do(cmd.Start)
}
