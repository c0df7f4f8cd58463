package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40

	// maxExtensions bounds the walk through IPv6 extension headers. RFC 8200
	// (section 4.1) lets each kind appear once, destination options twice;
	// more than this is nobody's honest packet.
	maxExtensions = 8
)

// IPv6 extension headers (RFC 8200, section 4).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extDestination = 60
)

// decodeIPv4 reads an RFC 791 header and returns what follows it, cut to the
// total length.
func (p *Packet) decodeIPv4(b []byte) ([]byte, error) {
	if len(b) < ipv4HeaderLen {
		return nil, ErrTruncated
	}
	headerLen := int(b[0]&0x0f) * 4
	length := int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < ipv4HeaderLen || length < headerLen {
		return nil, ErrMalformed
	}
	if len(b) < headerLen {
		return nil, ErrTruncated
	}
	const (
		evil          = 0x8000
		dontFragment  = 0x4000
		moreFragments = 0x2000
		offsetMask    = 0x1fff
	)
	frag := binary.BigEndian.Uint16(b[6:])
	if frag&(moreFragments|offsetMask) != 0 {
		return nil, ErrFragment
	}
	p.Version = 4
	p.TOS = b[1]
	p.Length = length
	p.ID = binary.BigEndian.Uint16(b[4:])
	p.DontFragment = frag&dontFragment != 0
	p.EvilBit = frag&evil != 0
	p.TTL = b[8]
	p.Protocol = Protocol(b[9])
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	p.IPOptions = b[ipv4HeaderLen:headerLen]
	return b[headerLen:min(len(b), length)], nil
}

// decodeIPv6 reads an RFC 8200 header and its extension headers, and returns
// what follows them, cut to the payload length. A payload length of zero
// (jumbograms, RFC 2675) leaves nothing to decode.
func (p *Packet) decodeIPv6(b []byte) ([]byte, error) {
	if len(b) < ipv6HeaderLen {
		return nil, ErrTruncated
	}
	first := binary.BigEndian.Uint32(b)
	p.Version = 6
	p.TOS = uint8(first >> 20)
	p.FlowLabel = first & 0xfffff
	p.Length = ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:]))
	p.TTL = b[7]
	p.Src = netip.AddrFrom16([16]byte(b[8:24]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	return p.walkExtensions(b[6], b[ipv6HeaderLen:min(len(b), p.Length)])
}

// walkExtensions steps over extension headers, the first of which is of kind
// next, until b begins with the transport header.
func (p *Packet) walkExtensions(next uint8, b []byte) ([]byte, error) {
	for {
		var size int
		switch next {
		case extHopByHop, extRouting, extDestination:
			if len(b) < 2 {
				return nil, ErrTruncated
			}
			size = 8 + int(b[1])*8
		case extFragment:
			if len(b) < 8 {
				return nil, ErrTruncated
			}
			// Offset in the upper 13 bits, "more fragments" in the lowest.
			if binary.BigEndian.Uint16(b[2:])&0xfff9 != 0 {
				return nil, ErrFragment
			}
			size = 8
		default:
			p.Protocol = Protocol(next)
			return b, nil
		}
		if p.Extensions == maxExtensions {
			return nil, ErrExtensions
		}
		if len(b) < size {
			return nil, ErrTruncated
		}
		p.Extensions++
		next, b = b[0], b[size:]
	}
}
