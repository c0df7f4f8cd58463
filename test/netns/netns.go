// Package netns builds small networks of network namespaces, without root: Enter runs the
// process in a user namespace of its own in which it is root, New makes hosts, and Connect
// joins two of them with a veth pair.
//
// The kernel removes everything when the process ends: a namespace exists only as long as
// a process runs in it or a descriptor refers to it.
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

// entered is the environment variable by which the second process knows that it is inside.
const entered = "NFTKNOCK_NETNS_ENTERED"

// ErrForbidden: the user may not make namespaces on this system.
var ErrForbidden = errors.New("user namespaces are forbidden here")

// Hint is advice for users about ErrForbidden.
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
		// EPERM and EACCES come from a sysctl or a security module, ENOSPC and EUSERS
		// from a limit on namespaces (man 7 user_namespaces, man 2 clone).
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) ||
			errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EUSERS) {
			return false, 0, fmt.Errorf("%w: %w", ErrForbidden, err)
		}
		return false, 0, err
	}
	// The terminal sends the signal of Ctrl-C to the whole process group, but SIGTERM is
	// usually sent to the first process only.
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	defer signal.Stop(term)
	go func() {
		for sig := range term {
			_ = cmd.Process.Signal(sig) // fails only if the process has ended
		}
	}()
	if err := cmd.Wait(); cmd.ProcessState == nil {
		return false, 0, err
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return false, code, nil
	}
	return false, 1, nil // a signal ended the process
}

// NS is a network namespace: one host of the test network.
type NS struct{ handle vns.NsHandle }

// New makes a host that has only a loopback interface, which is up.
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

// Close closes the handle of the namespace.
func (n *NS) Close() error { return n.handle.Close() }

// Do runs f inside the namespace. Sockets that f opens and processes that it starts stay
// in the namespace; goroutines that it starts are outside.
func (n *NS) Do(f func() error) error {
	return onThread(func() error {
		if err := vns.Set(n.handle); err != nil {
			return fmt.Errorf("setns: %w", err)
		}
		return f()
	})
}

// onThread runs f on a thread of its own, and returns the thread to its network namespace
// afterwards.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		// Setns changes the namespace of one thread. The thread must not end: the
		// kernel would send the parent death signal to the processes that it started.
		runtime.LockOSThread()
		home, err := vns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		// If this fails the thread stays locked, so that the runtime ends it with its
		// goroutine.
		if vns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Sysctl sets a sysctl in the namespace, for example Sysctl("net/ipv4/ip_default_ttl",
// "128").
func (n *NS) Sysctl(name, value string) error {
	return n.Do(func() error {
		return os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	})
}

// Connect joins two hosts with a veth pair. Both interfaces are named device and have the
// addresses given, which can be used at once. Connect has five parameters: the two ends
// would be pairs of a host and its addresses, which no caller has.
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

// Route sets the default gateway of the host.
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
		// Without duplicate address detection, which delays the use of an IPv6 address.
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

// Start starts a process inside the namespace. The kernel kills it when this process ends.
func (n *NS) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.Do(cmd.Start)
}
