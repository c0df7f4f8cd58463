package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/gopacket/gopacket/layers"
)

// Link types that gopacket has no name for, from
// https://www.tcpdump.org/linktypes.html.
const (
	linkRawBSD  layers.LinkType = 12 // DLT_RAW on most systems; libpcap writes 101 today
	linkRawOpen layers.LinkType = 14 // DLT_RAW on OpenBSD
	linkNFLOG   layers.LinkType = 239
)

// EtherTypes as assigned by IEEE.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100 // 802.1Q
	etherQinQ = 0x88a8 // 802.1ad

	etherTypeLen = 2 // bytes
)

// network returns the part of a frame that begins at the IP header.
func network(link layers.LinkType, b []byte) ([]byte, error) {
	switch link {
	case layers.LinkTypeRaw, linkRawBSD, linkRawOpen, layers.LinkTypeIPv4, layers.LinkTypeIPv6:
		return b, nil
	case layers.LinkTypeEthernet:
		return byEtherType(b, 12)
	case layers.LinkTypeLinuxSLL:
		// The protocol is the last field of this header, and VLAN tags follow it.
		return byEtherType(b, 14)
	case layers.LinkTypeLinuxSLL2:
		// The protocol is the first field of this header of 20 bytes.
		return skip(b, 20, func() bool { return isIP(binary.BigEndian.Uint16(b)) })
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		// The header is the address family, in the byte order of the capturing
		// host, and AF_INET6 has another number on each system. The version of the
		// IP header tells the families apart too.
		return skip(b, 4, func() bool { return len(b) > 4 && (b[4]>>4 == 4 || b[4]>>4 == 6) })
	case linkNFLOG:
		return nflogPayload(b)
	}
	return nil, fmt.Errorf("link type %d is not supported: want Ethernet, raw IP, Linux cooked, loopback or NFLOG", link)
}

func isIP(etherType uint16) bool { return etherType == etherIPv4 || etherType == etherIPv6 }

func skip(b []byte, header int, ip func() bool) ([]byte, error) {
	if len(b) < header || !ip() {
		return nil, ErrNotIP
	}
	return b[header:], nil
}

// byEtherType reads the EtherType at offset and skips VLAN tags (IEEE 802.1Q), at
// most two.
func byEtherType(b []byte, offset int) ([]byte, error) {
	for range 3 {
		if len(b) < offset+etherTypeLen {
			return nil, ErrNotIP
		}
		switch t := binary.BigEndian.Uint16(b[offset:]); {
		case isIP(t):
			return b[offset+etherTypeLen:], nil
		case t != etherVLAN && t != etherQinQ:
			return nil, ErrNotIP
		}
		offset += 4 // a tag: the EtherType, and 2 bytes of control information
	}
	return nil, ErrNotIP
}

// nflogPayload returns the packet in a LINKTYPE_NFLOG frame: a header of four bytes,
// and attributes of which NFULA_PAYLOAD is one. Lengths and types are in the byte
// order of the capturing host; captures of big-endian hosts are not supported.
func nflogPayload(b []byte) ([]byte, error) {
	const nfulaPayload = 9 // include/uapi/linux/netfilter/nfnetlink_log.h
	if len(b) < 4 {
		return nil, ErrNotIP
	}
	for b = b[4:]; len(b) >= 4; {
		size := int(binary.LittleEndian.Uint16(b))
		kind := binary.LittleEndian.Uint16(b[2:]) & 0x3fff // NLA_TYPE_MASK (linux/netlink.h)
		if size < 4 || size > len(b) {
			break
		}
		if kind == nfulaPayload {
			return b[4:size], nil
		}
		b = b[min((size+3)&^3, len(b)):] // attributes begin at multiples of 4
	}
	return nil, ErrNotIP
}
