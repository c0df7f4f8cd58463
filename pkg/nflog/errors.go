package nflog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// The errors of Open that a caller may want to tell apart.
var (
	// ErrGroupTaken: another socket is bound to a group.
	ErrGroupTaken = errors.New("the group is in use")
	// ErrPermission: CAP_NET_ADMIN is missing.
	ErrPermission = errors.New("CAP_NET_ADMIN is missing")
	// ErrUnsupported: the kernel has no NFLOG, or the process may not open netlink
	// sockets.
	ErrUnsupported = errors.New("NFLOG is not available")
)

// listenersFile lists the bound groups in the network namespace of the thread that
// reads it. Its mode is 0440 (nfnl_log_net_init), so that only root can read it.
const listenersFile = "/proc/thread-self/net/netfilter/nfnetlink_log"

func unsupported(err error) error {
	return fmt.Errorf(`nflog: %w: %w: load the module with "modprobe nfnetlink_log", `+
		"or use a kernel with CONFIG_NETFILTER_NETLINK_LOG", ErrUnsupported, err)
}

// dialError explains why a netlink socket cannot be opened.
func dialError(err error) error {
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ENOENT):
		return unsupported(err)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("nflog: %w: %w: netlink sockets are forbidden; under systemd, "+
			"RestrictAddressFamilies must have AF_NETLINK", ErrUnsupported, err)
	}
	return fmt.Errorf("nflog: open netlink socket: %w", err)
}

// bindError explains the kernel's answer to the request to bind a group. EPERM has two
// causes: another socket is bound to the group (nfulnl_recv_config), or the process
// lacks CAP_NET_ADMIN (nfnetlink_rcv). capable is called to find out which.
func bindError(group uint16, err error, capable func() bool) error {
	switch {
	case errors.Is(err, unix.EPERM) && !capable():
		return fmt.Errorf("nflog: group %d: %w: run as root, or under systemd with "+
			"AmbientCapabilities=CAP_NET_ADMIN", group, ErrPermission)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("nflog: group %d: %w by %s: stop that, or choose another number with group in [nflog]; "+
			"the first column of /proc/net/netfilter/nfnetlink_log lists the groups in use",
			group, ErrGroupTaken, listener(group))
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP),
		errors.Is(err, unix.ENOENT), errors.Is(err, unix.EPROTONOSUPPORT):
		// nfnetlink_rcv_msg answers EINVAL for a subsystem that is not loaded and
		// that it cannot load.
		return unsupported(err)
	}
	return fmt.Errorf("nflog: group %d: bind: %w", group, err)
}

// listener describes the program that is bound to the group, as far as
// listenersFile tells.
func listener(group uint16) string {
	const someone = "another program, such as ulogd2 or a second instance of this one"
	f, err := os.Open(listenersFile)
	if err == nil {
		defer f.Close()
		if port, ok := listenerPort(f, group); ok {
			return fmt.Sprintf(someone+" (netlink port %d, which is often its process id)", port)
		}
	}
	return someone
}

// listenerPort looks a group up in the kernel's table. The first two columns of a line
// are group and netlink port (seq_show in net/netfilter/nfnetlink_log.c).
func listenerPort(table io.Reader, group uint16) (port uint32, ok bool) {
	for lines := bufio.NewScanner(table); lines.Scan(); {
		var number uint16
		if n, _ := fmt.Sscan(lines.Text(), &number, &port); n == 2 && number == group {
			return port, true
		}
	}
	return 0, false
}
