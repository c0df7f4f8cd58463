package seal

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// The first eight bytes of Article and Fwknop19 have the same layout: IPv4 address,
// port, protocol, and a checksum of some of these bytes.
const (
	headLen  = 8
	checksum = 7 // its offset
)

// userLen is the length of the user name in both, in bytes.
const userLen = 7

// putHead writes the head except for the checksum.
func putHead(b []byte, m Message) error {
	addr := m.Address.Unmap()
	switch {
	case !addr.IsValid():
		clear(b[:4]) // 0.0.0.0 stands for the sender
	case addr.Is4():
		a := addr.As4()
		copy(b, a[:])
	default:
		return fmt.Errorf("bad address %v: want IPv4, or encoding siv", addr)
	}
	binary.BigEndian.PutUint16(b[4:], m.Port)
	b[6] = m.Protocol
	return nil
}

// parseHead returns a message of a user. It leaves the checksum to its caller, too.
func parseHead(b, user []byte) (m Message, ok bool) {
	m.Protocol = b[6]
	m.Port = binary.BigEndian.Uint16(b[4:])
	if !validProtocol(m.Protocol) || !validPort(m.Protocol, m.Port) {
		return Message{}, false
	}
	m.Address = specified(netip.AddrFrom4([4]byte(b)))
	m.User = string(user)
	return m, true
}

// specified turns the unspecified address into the zero Addr.
func specified(addr netip.Addr) netip.Addr {
	if addr.IsUnspecified() {
		return netip.Addr{}
	}
	return addr
}

// sum returns the sum of bytes modulo 256.
func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}
