//go:build system

package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses of the machine and of two clients. They all belong to the same interface outside;
// a client is chosen by the source address.
const (
	server   = "10.77.0.1"
	friend   = "10.77.0.2"
	stranger = "10.77.0.3"
	server6  = "fd77::1"
	friend6  = "fd77::2"
)

// network is an interface outside, and host0 the one inside. systemd-nspawn chooses the names.
const network = "ve-nftknock"

const networkUnit = `[Unit]
Description=The network of the tests
Wants=network-pre.target network.target
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ip addr add ` + server + `/24 dev host0
ExecStart=ip addr add ` + server6 + `/64 dev host0 nodad
ExecStart=ip link set host0 up
[Install]
WantedBy=multi-user.target
`

// bootTime is how long a boot or a shutdown may take.
const bootTime = 60 * time.Second

// machine is the one machine of all tests.
var machine nspawn

// nspawn is a machine that runs in systemd-nspawn.
type nspawn struct {
	cmd  *exec.Cmd
	init int           // process id of its systemd
	done chan struct{} // closed when systemd-nspawn has ended

	// first is init, for other goroutines than that of the test.
	first atomic.Int64
}

// boot starts the machine and returns when its units have started.
func (n *nspawn) boot() error {
	if err := n.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bootTime)
	defer cancel()
	// "degraded" means that a unit failed, which is what some tests are about.
	for state := ""; state != "running" && state != "degraded"; {
		out, err := n.command(ctx, "systemctl", "is-system-running", "--wait").CombinedOutput()
		if state = strings.TrimSpace(string(out)); ctx.Err() != nil {
			return fmt.Errorf("the machine has not booted in %v: %s, %w; see bin/system/run/console", bootTime, state, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return reachable()
}

// reachable waits until packets get to the machine and back. The kernel takes up to a second to
// see that an interface has a carrier (net/core/link_watch.c).
func reachable() error {
	link, err := netlink.LinkByName(network)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(bootTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		// A firewall may drop this. What counts is the answer to the question for the
		// machine's hardware address, which comes first.
		if conn, err := net.Dial("udp", server+":9"); err == nil {
			_, _ = conn.Write([]byte("are you there?"))
			conn.Close()
		}
		list, err := netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, n := range list {
			if n.IP.String() == server && n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY|netlink.NUD_PROBE) != 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("the machine has no address after %v", bootTime)
}

// start starts the machine and returns when its first process runs and the outside has
// addresses.
func (n *nspawn) start() error {
	console, err := os.OpenFile(runDir+"/console", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer console.Close()
	args := []string{
		"--quiet", "-D", rootDir, "--machine=nftknock", "--network-veth", "--register=no", "--keep-unit",
		"--console=pipe", "-b",
	}
	if !unified() {
		args = append(args, "systemd.unified_cgroup_hierarchy=0")
	}
	n.cmd = exec.Command("systemd-nspawn", args...)
	n.cmd.Stdout, n.cmd.Stderr = console, console
	started := make(chan error)
	n.done = make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the process.
		runtime.LockOSThread()
		n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err := n.cmd.Start()
		started <- err
		if err == nil {
			_ = n.cmd.Wait() // the status is of no use
		}
		close(n.done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("%w (apt-get install systemd-container)", err)
	}
	return errors.Join(n.findInit(), outside())
}

// findInit waits for the machine's first process.
func (n *nspawn) findInit() error {
	for deadline := time.Now().Add(bootTime); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		list, err := filepath.Glob("/proc/[0-9]*/stat")
		if err != nil {
			return err
		}
		for _, path := range list {
			stat, err := os.ReadFile(path)
			if err != nil {
				continue // the process has ended
			}
			// pid (comm) state ppid: proc(5)
			fields := strings.Fields(string(stat))
			if fields[1] == "(systemd)" && fields[3] == strconv.Itoa(n.cmd.Process.Pid) {
				n.init, err = strconv.Atoi(fields[0])
				n.first.Store(int64(n.init))
				return err
			}
		}
		if !n.running() {
			break
		}
	}
	return errors.New("systemd-nspawn started no systemd; see bin/system/run/console")
}

func (n *nspawn) running() bool {
	select {
	case <-n.done:
		return false
	default:
		return true
	}
}

// ended reports whether the first process of the machine has ended, and so all others.
func (n *nspawn) ended() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.first.Load()))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	// pid (comm) state: proc(5)
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && strings.HasPrefix(rest, "Z")
}

// command is a program that runs inside the machine.
func (n *nspawn) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	nsenter := []string{
		"-t", strconv.Itoa(n.init), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", name,
	}
	return exec.CommandContext(ctx, "nsenter", append(nsenter, args...)...)
}

// shutdown ends the machine as an administrator does.
func (n *nspawn) shutdown() error {
	// systemd-nspawn asks the machine to power off.
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return n.awaitEnd()
}

// powerCut ends the machine at once.
func (n *nspawn) powerCut() error {
	// NB: the end of the first process of a namespace ends all of its processes.
	if err := syscall.Kill(n.init, syscall.SIGKILL); err != nil {
		return err
	}
	return n.awaitEnd()
}

func (n *nspawn) awaitEnd() error {
	select {
	case <-n.done:
		return nil
	case <-time.After(bootTime):
		return errors.Join(fmt.Errorf("the machine has not ended in %v; see bin/system/run/console", bootTime), n.cmd.Process.Kill())
	}
}

// outside gives the other end of the machine's interface its addresses.
func outside() error {
	link, err := netlink.LinkByName(network)
	if err != nil {
		return fmt.Errorf("%s: %w", network, err)
	}
	for _, a := range []string{
		friend + "/24", stranger + "/24", spender + "/24", marker + "/24", onlooker + "/24", friend6 + "/64",
	} {
		addr, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %s: %w", a, err)
		}
	}
	return netlink.LinkSetUp(link)
}
