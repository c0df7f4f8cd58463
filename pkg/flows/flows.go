// Package flows lists and changes conntrack entries, and lists and closes the connected
// TCP sockets of programs on this host.
package flows

import (
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// Tuple is one direction of a connection.
type Tuple struct {
	Source, Destination netip.AddrPort
}

// Reversed returns the tuple of the other direction, if no address is translated.
func (t Tuple) Reversed() Tuple { return Tuple{t.Destination, t.Source} }

// A Flow is a conntrack entry of TCP or UDP.
type Flow struct {
	Protocol packet.Protocol
	// Original is the tuple of the first packet as it arrived, and Reply that of
	// the answers as they arrive. If addresses are translated, Reply is not the
	// reverse of Original.
	Original, Reply Tuple
	// ID differs from that of earlier entries with the same tuples.
	ID     uint32
	Zone   uint16
	Over   bool     // both sides have closed the TCP connection, or one has reset it
	Labels [16]byte // bit n is bit n%8 of byte n/8
}

// HasLabel reports whether bit n of the labels is set.
func (f Flow) HasLabel(n uint8) bool { return f.Labels[n/8]&(1<<(n%8)) != 0 }

// A Socket is a TCP socket of this host that has a peer.
type Socket struct {
	Local, Remote netip.AddrPort

	family byte
	id     [sockidLen]byte // struct inet_diag_sockid
}

// Table reads and changes the conntrack entries and sockets of one network namespace.
// It needs CAP_NET_ADMIN there. It is for one goroutine. Every method blocks until the
// kernel has answered; listing takes some 2 microseconds per entry.
type Table struct {
	conntrack *netlink.Conn
	diag      *netlink.Conn // nil if the kernel has no NETLINK_SOCK_DIAG
}

// ErrGone: the connection has ended already.
var ErrGone = errors.New("the connection has ended already")

// ErrUnsupported: the kernel was built without the option that is needed
// (CONFIG_NF_CT_NETLINK, CONFIG_INET_DIAG or CONFIG_INET_DIAG_DESTROY).
var ErrUnsupported = errors.New("this kernel cannot do that")

// Open opens a Table of the calling thread's network namespace. The caller must close
// it.
func Open() (*Table, error) {
	conntrack, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	diag, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT):
		diag = nil // only Sockets and Destroy need it
	case err != nil:
		return nil, errors.Join(err, conntrack.Close())
	}
	return &Table{conntrack, diag}, nil
}

// Close closes the netlink sockets.
func (t *Table) Close() error {
	if t.diag == nil {
		return t.conntrack.Close()
	}
	return errors.Join(t.conntrack.Close(), t.diag.Close())
}

// explain turns the kernel's errors into ErrGone and ErrUnsupported.
func explain(err error) error {
	switch {
	// nfnetlink_rcv_msg answers EINVAL for a subsystem that is not loaded,
	// inet_diag EOPNOTSUPP for SOCK_DESTROY without CONFIG_INET_DIAG_DESTROY.
	case errors.Is(err, unix.ENOENT):
		return ErrGone
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL):
		return errors.Join(ErrUnsupported, err)
	}
	return err
}
