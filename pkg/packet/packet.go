// Package packet decodes the IP packet that a netfilter log message or a
// capture file holds: IPv4, IPv6 with its extension headers, TCP, UDP and
// ICMP echo.
//
// Decode accepts arbitrary bytes without panicking and without allocating, and
// copies nothing: slices of a Packet alias the bytes it was decoded from and are
// valid as long as those are. Checksums are not verified. The kernel verifies the
// checksum of the IPv4 header before the prerouting hook (ip_rcv_core in
// net/ipv4/ip_input.c), but may verify those of TCP, UDP and ICMP only on delivery,
// so a logged packet may have a wrong one; and a capture on the sending host holds
// packets whose checksums the network card was to compute.
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

// String returns the name that nft and getprotobynumber(3) use.
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

// The errors of Decode. They are never wrapped, so that refusing a packet does
// not allocate either.
var (
	// ErrTruncated: the bytes end inside a header.
	ErrTruncated = errors.New("packet: headers are truncated")
	// ErrVersion: the first nibble is neither 4 nor 6.
	ErrVersion = errors.New("packet: neither IPv4 nor IPv6")
	// ErrMalformed: a length field contradicts its header.
	ErrMalformed = errors.New("packet: malformed header")
	// ErrFragment: the packet is a fragment. Only the first fragment has the
	// transport header, and a later one may overlap it. (Atomic IPv6
	// fragments, RFC 6946, are whole packets and are decoded.)
	ErrFragment = errors.New("packet: fragment")
	// ErrProtocol: the transport protocol is not one of those above.
	ErrProtocol = errors.New("packet: transport protocol is not decoded")
	// ErrExtensions: the packet has more than 8 IPv6 extension headers.
	ErrExtensions = errors.New("packet: too many IPv6 extension headers")
)

// Packet is one decoded packet. Fields that the packet's version or protocol
// does not have are zero.
type Packet struct {
	Version  uint8 // 4 or 6
	Protocol Protocol
	TTL      uint8 // IPv4 time to live, IPv6 hop limit
	TOS      uint8 // IPv4 type of service, IPv6 traffic class

	Src, Dst         netip.Addr
	SrcPort, DstPort uint16 // of TCP and UDP

	// Length is the size of the whole packet according to its IP header, in
	// bytes. The bytes that Decode was given may be fewer (cut at a snapshot
	// length) or more (padding of the link layer).
	Length int

	// IPv4 only.
	ID           uint16
	DontFragment bool
	EvilBit      bool // the reserved flag, RFC 3514
	IPOptions    []byte

	// IPv6 only.
	FlowLabel uint32 // 20 bits
	// Extensions is the number of extension headers before the transport header.
	Extensions uint8

	TCP  TCPHeader
	ICMP ICMPHeader

	// Payload is what follows the transport header: up to Length, to the
	// length in the UDP header, or to the end of the bytes that Decode was
	// given, whichever comes first.
	Payload []byte
}

// PureSYN reports whether the packet opens a TCP connection: SYN is set, and
// ACK, RST and FIN are clear. The bits of ECN, PSH and URG do not matter.
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

// Decode fills p from the bytes of one packet, beginning at its IP header. On
// error p is the zero Packet.
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
		// Linux handles neither ICMP over IPv6 nor ICMPv6 over IPv4, but a
		// sender can put either protocol number into either header.
		if (p.Protocol == ICMP) != (p.Version == 4) {
			return ErrProtocol
		}
		return p.decodeICMP(transport)
	}
	return ErrProtocol
}
