// Package links tells which of the host's interfaces are guarded, given the
// names that a policy lists. List and Watcher read the interfaces from the
// kernel; Resolve decides, without the kernel.
package links

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Link is a network interface that the kernel holds.
type Link struct {
	Index    int
	Name     string   // the one that nftables compares
	AltNames []string // others that "ip" takes for it, such as udev's
	// Master is the index of the bridge, bond, team or VRF that the interface
	// is part of; 0 means none. What such a part receives appears to come from
	// its master: from a VRF in a second pass through prerouting
	// (vrf_rcv_nfhook in drivers/net/vrf.c), from the others at once.
	Master int
}

// goesBy reports whether "ip" would find the interface by this name.
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

// listTimeout is how long one answer of the kernel may take: whoever brings an
// interface up or loads its firmware may hold the RTNL lock that long.
const listTimeout = 10 * time.Second

// newHandle opens a socket in the network namespace of the calling thread.
// Without a family it would open one for each that the library knows.
func newHandle() (*netlink.Handle, error) {
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

// list reads all interfaces or none. The kernel lists them in several pieces
// and says when they changed between two of these, so that one may be missing.
func list(h *netlink.Handle) ([]Link, error) {
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
