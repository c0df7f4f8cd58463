package packet

import (
	"encoding/binary"
	"slices"
)

// The builders write packets field by field as the RFCs define them, so that the
// tests do not depend on another decoder. Fields not set are zero.

var (
	src4 = []byte{192, 0, 2, 1}
	dst4 = []byte{198, 51, 100, 9}
	src6 = []byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}
	dst6 = []byte{0x20, 0x01, 0x0d, 0xb8, 15: 2}
)

// ip4 returns an IPv4 packet: a header with the total length set, then payload.
func ip4(proto Protocol, payload []byte, change ...func([]byte)) []byte {
	b := make([]byte, 20, 20+len(payload))
	b[0] = 0x45
	b[8] = 64
	b[9] = byte(proto)
	copy(b[12:], src4)
	copy(b[16:], dst4)
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	for _, f := range change {
		f(b)
	}
	return b
}

// ip4Options is ip4 with IP options, whose length must be a multiple of 4.
func ip4Options(options []byte, proto Protocol, payload []byte) []byte {
	b := ip4(proto, slices.Concat(options, payload))
	b[0] = 0x40 | byte(5+len(options)/4)
	return b
}

// ip6 returns an IPv6 packet: a header with the payload length set, then payload.
func ip6(next uint8, payload []byte, change ...func([]byte)) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0] = 0x60
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	b[6] = next
	b[7] = 64
	copy(b[8:], src6)
	copy(b[24:], dst6)
	b = append(b, payload...)
	for _, f := range change {
		f(b)
	}
	return b
}

// extension is an IPv6 extension header of 8+8*words bytes.
func extension(next uint8, words int) []byte {
	b := make([]byte, 8+8*words)
	b[0], b[1] = next, uint8(words)
	return b
}

// fragment is an IPv6 fragment header.
func fragment(next uint8, offset uint16, more bool) []byte {
	b := make([]byte, 8)
	b[0] = next
	field := offset << 3
	if more {
		field |= 1
	}
	binary.BigEndian.PutUint16(b[2:], field)
	return b
}

// segment is a TCP SYN from port 40001 to 443.
func segment(options []byte, payload string) []byte {
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 40001)
	binary.BigEndian.PutUint16(b[2:], 443)
	binary.BigEndian.PutUint32(b[4:], 0x01020304)
	binary.BigEndian.PutUint32(b[8:], 0x05060708)
	b[12] = byte(5+len(options)/4) << 4
	b[13] = byte(SYN)
	binary.BigEndian.PutUint16(b[14:], 64240)
	binary.BigEndian.PutUint16(b[18:], 0x090a)
	return append(append(b, options...), payload...)
}

// linuxOptions are the TCP options of a Linux SYN: mss, sok, ts, nop, ws.
var linuxOptions = []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 10}

// datagram is a UDP datagram from port 40002 to 6020.
func datagram(payload string) []byte {
	b := make([]byte, 8)
	binary.BigEndian.PutUint16(b, 40002)
	binary.BigEndian.PutUint16(b[2:], 6020)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

// echo is an ICMP message with identifier 0x0102 and sequence number 0x0304.
func echo(kind uint8, payload string) []byte {
	return append([]byte{kind, 0, 0, 0, 1, 2, 3, 4}, payload...)
}
