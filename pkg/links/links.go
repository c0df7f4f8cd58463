// Package links decides which of the host's interfaces are guarded, given the names
// that a policy lists. List and Watcher read the interfaces from the kernel; Resolve
// makes the decision and does not use the kernel.
package links

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Link is a network interface of the kernel.
type Link struct {
	Index    int
	Name     string   // the name that nftables compares
	AltNames []string // alternative names, which ip(8) accepts too and udev may add
	// Master is the index of the bridge, bond, team or VRF that the interface is
	// part of, or 0. nftables sees the packets that it receives with the master as
	// input interface: those of a VRF in a second pass through prerouting
	// (vrf_rcv_nfhook in drivers/net/vrf.c), those of the others in the only one.
	Master int
}

// goesBy reports whether the interface has this name or alternative name.
func (l Link) goesBy(name string) bool {
	return l.Name == name || slices.Contains(l.AltNames, name)
}

// List returns the interfaces in the network namespace of the calling thread,
// in no particular order. No privilege is needed.
func List() ([]Link, error) {
	h, err := newHandle()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return list(h)
}

// listTimeout is how long List waits for one answer of the kernel, which takes the RTNL
// lock to list interfaces. Drivers hold it while they bring up an interface or load its
// firmware.
const listTimeout = 10 * time.Second

// newHandle opens a socket in the network namespace of the calling thread.
func newHandle() (*netlink.Handle, error) {
	// NewHandle without arguments opens a socket per netlink family that it knows.
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a socket to list interfaces: %w", err)
	}
	if err := h.SetSocketTimeout(listTimeout); err != nil {
		h.Close()
		return nil, fmt.Errorf("open a socket to list interfaces: %w", err)
	}
	return h, nil
}

// list returns all interfaces, or an error.
func list(h *netlink.Handle) ([]Link, error) {
	// A dump takes several messages. If the interfaces change between two of them,
	// one may be missing, and the kernel sets NLM_F_DUMP_INTR.
	const tries = 10
	all, err := h.LinkList()
	for i := 1; i < tries && errors.Is(err, netlink.ErrDumpInterrupted); i++ {
		all, err = h.LinkList()
	}
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	found := make([]Link, len(all))
	for i, l := range all {
		a := l.Attrs()
		found[i] = Link{Index: a.Index, Name: a.Name, AltNames: a.AltNames, Master: a.MasterIndex}
	}
	return found, nil
}
