// Package packet decodes the IP packet that a netfilter log message or a
// capture file holds: IPv4, IPv6 with its extension headers, TCP, UDP and
// ICMP echo.
//
// Decode reads any bytes whatever without panicking and without allocating,
// and keeps no copy: slices of a Packet alias the bytes it was decoded from
// and live as long as they do. Checksums are not verified: the kernel has
// checked that of the IPv4 header before prerouting and checks the others only
// when it delivers a packet, so what is logged may have a wrong one; and captures
// hold packets whose checksums the sender's hardware had still to fill in.
package packet

import (
	"errors"
	"net/netip"
)

// Protocol is an IP protocol number as assigned by IANA.
type Protocol uint8

// The protocols that Decode looks into.
const (
	ICMP   Protocol = 1
	TCP    Protocol = 6
	UDP    Protocol = 17
	ICMPv6 Protocol = 58
)

// String gives the name nft and getprotobynumber(3) use.
func (p Protocol) String() string {
	switch p {
	case ICMP:
		return "icmp"
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case ICMPv6:
		return "ipv6-icmp"
	}
	return "unknown"
}

// The reasons for which Decode refuses a packet. They are plain values, so
// that refusing a packet costs no allocation either.
var (
	// ErrTruncated: the bytes end inside a header.
	ErrTruncated = errors.New("packet: headers are truncated")
	// ErrVersion: the first nibble is neither 4 nor 6.
	ErrVersion = errors.New("packet: neither IPv4 nor IPv6")
	// ErrMalformed: a length field contradicts its header.
	ErrMalformed = errors.New("packet: malformed header")
	// ErrFragment: part of a datagram; ports and options of the whole
	// cannot be trusted from a part. (Atomic IPv6 fragments, RFC 6946, are
	// whole datagrams and are decoded.)
	ErrFragment = errors.New("packet: fragment")
	// ErrProtocol: the transport is none that Decode looks into.
	ErrProtocol = errors.New("packet: transport protocol is not decoded")
	// ErrExtensions: more IPv6 extension headers than maxExtensions.
	ErrExtensions = errors.New("packet: too many IPv6 extension headers")
)

// Packet is one decoded packet. Fields that the packet's version or protocol
// does not have are zero.
type Packet struct {
	Version  uint8 // 4 or 6
	Protocol Protocol
	TTL      uint8 // IPv4 time to live, IPv6 hop limit
	TOS      uint8 // IPv4 type of service, IPv6 traffic class

	Src, Dst netip.Addr
	// SrcPort and DstPort are those of TCP and UDP.
	SrcPort, DstPort uint16

	// Length is the size the IP header claims for the whole packet, in
	// bytes; the bytes decoded may be fewer (a snapshot length) or more (link
	// layer padding).
	Length int

	// IPv4 only.
	ID           uint16
	DontFragment bool
	EvilBit      bool // the reserved flag, RFC 3514
	IPOptions    []byte

	// IPv6 only.
	FlowLabel uint32 // 20 bits
	// Extensions counts the extension headers before the transport.
	Extensions uint8

	TCP  TCPHeader
	ICMP ICMPHeader

	// Payload is what follows the transport header, as far as it was
	// captured and no further than Length.
	Payload []byte
}

// PureSYN reports whether the packet opens a TCP connection: SYN set and
// ACK, RST and FIN clear. ECN and PSH, URG bits do not matter.
func (p *Packet) PureSYN() bool {
	return p.Protocol == TCP && p.TCP.Flags&(FIN|SYN|RST|ACK) == SYN
}

// EchoRequest reports whether the packet is an ICMP or ICMPv6 echo request.
func (p *Packet) EchoRequest() bool {
	switch p.Protocol {
	case ICMP:
		return p.ICMP.Type == icmpEchoRequest
	case ICMPv6:
		return p.ICMP.Type == icmpv6EchoRequest
	}
	return false
}

// Decode fills p from the bytes of one packet, beginning at its IP header.
// On error p holds nothing but the zero Packet.
func Decode(b []byte, p *Packet) error {
	*p = Packet{}
	if err := p.decode(b); err != nil {
		*p = Packet{}
		return err
	}
	return nil
}

func (p *Packet) decode(b []byte) error {
	if len(b) == 0 {
		return ErrTruncated
	}
	var (
		transport []byte
		err       error
	)
	switch b[0] >> 4 {
	case 4:
		transport, err = p.decodeIPv4(b)
	case 6:
		transport, err = p.decodeIPv6(b)
	default:
		return ErrVersion
	}
	if err != nil {
		return err
	}
	switch p.Protocol {
	case TCP:
		return p.decodeTCP(transport)
	case UDP:
		return p.decodeUDP(transport)
	case ICMP, ICMPv6:
		// ICMP over IPv6 and ICMPv6 over IPv4 are nobody's echo.
		if (p.Protocol == ICMP) != (p.Version == 4) {
			return ErrProtocol
		}
		return p.decodeICMP(transport)
	}
	return ErrProtocol
}
