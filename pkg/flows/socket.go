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

// Messages and structures of linux/sock_diag.h and linux/inet_diag.h.
const (
	msgSockets = 20 // SOCK_DIAG_BY_FAMILY
	msgDestroy = 21 // SOCK_DESTROY

	sockidLen = 48 // struct inet_diag_sockid
	idInMsg   = 4  // where it begins in struct inet_diag_msg

	// stateListen and stateTimeWait are TCP_LISTEN and TCP_TIME_WAIT of
	// net/tcp_states.h: no program has a connection there.
	stateTimeWait, stateListen = 6, 10
	connected                  = 0xffe &^ (1<<stateTimeWait | 1<<stateListen)
)

// Sockets calls found for every TCP socket that has a peer.
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
			return fmt.Errorf("list TCP sockets: %w", explain(err))
		}
		for _, m := range replies {
			if s, ok := parseSocket(m.Data); ok {
				found(s)
			}
		}
	}
	return nil
}

// Destroy ends a connection at both sides, as a program would that dies: the
// peer gets a reset, the program an error (ECONNABORTED).
func (t *Table) Destroy(s Socket) error {
	_, err := t.diag.Execute(netlink.Message{
		Header: netlink.Header{Type: msgDestroy, Flags: netlink.Request | netlink.Acknowledge},
		Data:   request(s.family, connected, s.id),
	})
	if err == nil || errors.Is(err, unix.ENOENT) { // it has ended meanwhile
		return nil
	}
	return fmt.Errorf("end the connection of %s to %s: %w", s.Remote, s.Local, explain(err))
}

// request is struct inet_diag_req_v2.
func request(family byte, states uint32, id [sockidLen]byte) []byte {
	data := []byte{family, unix.IPPROTO_TCP, 0, 0}
	data = append(data, nlenc.Uint32Bytes(states)...)
	return append(data, id[:]...)
}

// parseSocket reads struct inet_diag_msg. IPv4 addresses inside IPv6 become
// IPv4 addresses.
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
	// Two ports, two addresses of 16 bytes, the interface, the cookie.
	s.Local, s.Remote = end(0, 4), end(2, 20)
	return s, true
}
