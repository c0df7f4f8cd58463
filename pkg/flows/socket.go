package flows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/mdlayher/netlink/nlenc"
	"golang.org/x/sys/unix"
)

// Message types (include/uapi/linux/sock_diag.h).
const (
	msgSockets = 20 // SOCK_DIAG_BY_FAMILY
	msgDestroy = 21 // SOCK_DESTROY
)

// Sizes of structures in bytes (include/uapi/linux/inet_diag.h).
const (
	sockidLen = 48 // struct inet_diag_sockid
	idInMsg   = 4  // offset of the id in struct inet_diag_msg
)

// States of a TCP socket (include/net/tcp_states.h).
const (
	stateTimeWait, stateListen = 6, 10 // TCP_TIME_WAIT, TCP_LISTEN
	// connected has the bits of all states from TCP_ESTABLISHED (1) to
	// TCP_CLOSING (11) in which a program has a connection.
	connected = 0xffe &^ (1<<stateTimeWait | 1<<stateListen)
)

// Sockets calls found for every TCP socket that has a peer. It returns ErrUnsupported if
// the kernel cannot list sockets.
func (t *Table) Sockets(found func(Socket)) error {
	if t.diag == nil {
		return fmt.Errorf("list TCP sockets: %w", ErrUnsupported)
	}
	// A dump is of the sockets of one family. IPv4 connections of a socket that is
	// bound to [::] are among those of IPv6.
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		replies, err := t.diag.Execute(netlink.Message{
			Header: netlink.Header{Type: msgSockets, Flags: netlink.Request | netlink.Dump},
			Data:   request(family, connected, [sockidLen]byte{}),
		})
		if err != nil {
			return fmt.Errorf("list TCP sockets: %w", explainDump(err))
		}
		for _, m := range replies {
			if s, ok := parseSocket(m.Data); ok {
				found(s)
			}
		}
	}
	return nil
}

// explainDump is explain for a listing, in which ENOENT has another meaning: inet_diag
// has no handler for TCP, because the module tcp_diag cannot be loaded (inet_diag_lock_handler
// in net/ipv4/inet_diag.c).
func explainDump(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return errors.Join(ErrUnsupported, err)
	}
	return explain(err)
}

// Destroy closes a socket that Sockets has listed: the peer receives a reset, and the
// program an error (ECONNABORTED). It returns nil if the socket is gone already.
func (t *Table) Destroy(s Socket) error {
	// The id holds the socket's cookie, so that a later socket with the same
	// addresses is not closed (sock_diag_check_cookie).
	_, err := t.diag.Execute(netlink.Message{
		Header: netlink.Header{Type: msgDestroy, Flags: netlink.Request | netlink.Acknowledge},
		Data:   request(s.family, connected, s.id),
	})
	if err == nil || errors.Is(err, unix.ENOENT) { // it has ended meanwhile
		return nil
	}
	return fmt.Errorf("end the connection of %s to %s: %w", s.Remote, s.Local, explain(err))
}

// request returns a struct inet_diag_req_v2 (include/uapi/linux/inet_diag.h).
func request(family byte, states uint32, id [sockidLen]byte) []byte {
	data := []byte{family, unix.IPPROTO_TCP, 0, 0} // then idiag_ext and padding
	data = append(data, nlenc.Uint32Bytes(states)...)
	return append(data, id[:]...)
}

// parseSocket reads a struct inet_diag_msg. IPv4-mapped IPv6 addresses become IPv4
// addresses.
func parseSocket(data []byte) (s Socket, ok bool) {
	if len(data) < idInMsg+sockidLen {
		return Socket{}, false
	}
	s.family = data[0]
	copy(s.id[:], data[idInMsg:])
	length := 4
	switch s.family {
	case unix.AF_INET:
	case unix.AF_INET6:
		length = 16
	default:
		return Socket{}, false
	}
	end := func(port, addr int) netip.AddrPort {
		a, _ := netip.AddrFromSlice(s.id[addr : addr+length])
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(s.id[port:]))
	}
	// struct inet_diag_sockid is: two ports, two addresses of 16 bytes each, the
	// interface, the cookie. An IPv4 address is in the first 4 of its 16 bytes.
	s.Local, s.Remote = end(0, 4), end(2, 20)
	return s, true
}
