// Package flows lists and ends the connections that this host's kernel knows:
// the entries of conntrack, and the connected TCP sockets of its programs.
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

// Reversed is the tuple of the other direction, if nothing is translated.
func (t Tuple) Reversed() Tuple { return Tuple{t.Destination, t.Source} }

// A Flow is an entry of conntrack, of TCP or UDP.
type Flow struct {
	Protocol packet.Protocol
	// Original is the tuple of the packets in the direction in which the
	// connection began, as they arrive, and Reply that of their answers: where
	// addresses are translated it is not the reverse of Original.
	Original, Reply Tuple
	// ID tells the entry from others that had its tuples before.
	ID     uint32
	Zone   uint16
	Over   bool     // both sides of a TCP connection have ended it, or one has reset it
	Labels [16]byte // bit n is bit n%8 of byte n/8
}

// HasLabel reports whether a bit of the labels is set.
func (f Flow) HasLabel(n uint8) bool { return f.Labels[n/8]&(1<<(n%8)) != 0 }

// A Socket is a TCP socket of this host that is or was connected.
type Socket struct {
	Local, Remote netip.AddrPort

	family byte
	id     [sockidLen]byte // struct inet_diag_sockid
}

// Table reads and changes what one network namespace has. It needs
// CAP_NET_ADMIN there. It belongs to one goroutine, and every method blocks
// until the kernel has answered: some 2 microseconds for each entry that is
// listed.
type Table struct {
	conntrack *netlink.Conn
	diag      *netlink.Conn // nil where the kernel has no such thing
}

// ErrGone: the connection has ended already.
var ErrGone = errors.New("the connection has ended already")

// ErrUnsupported: the kernel lacks the part that would be asked (CONFIG_NF_CT_NETLINK,
// CONFIG_INET_DIAG, CONFIG_INET_DIAG_DESTROY).
var ErrUnsupported = errors.New("this kernel cannot do that")

// Open connects to the calling thread's network namespace.
func Open() (*Table, error) {
	conntrack, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	diag, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	switch {
	case errors.Is(err, unix.EPROTONOSUPPORT):
		diag = nil // nobody needs it to hide services
	case err != nil:
		return nil, errors.Join(err, conntrack.Close())
	}
	return &Table{conntrack, diag}, nil
}

// Close lets go of the namespace.
func (t *Table) Close() error {
	if t.diag == nil {
		return t.conntrack.Close()
	}
	return errors.Join(t.conntrack.Close(), t.diag.Close())
}

// explain tells what a kernel answers that lacks a subsystem or a verb.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return ErrGone
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EINVAL):
		return errors.Join(ErrUnsupported, err)
	}
	return err
}
