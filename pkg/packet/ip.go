package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40

	// maxExtensions bounds the walk through IPv6 extension headers. RFC 8200
	// (section 4.1) recommends that each kind appears at most once, destination
	// options at most twice, which makes 5 of the kinds below.
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
	headerLen := int(b[0]&0x0f) * 4 // IHL counts words of 32 bits
	length := int(binary.BigEndian.Uint16(b[2:]))
	if headerLen < ipv4HeaderLen || length < headerLen {
		return nil, ErrMalformed
	}
	if len(b) < headerLen {
		return nil, ErrTruncated
	}
	// RFC 791, section 3.1; the highest bit is reserved there and named by RFC 3514.
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
	// Ethernet pads frames to 60 bytes: what follows the total length is no
	// part of the packet.
	return b[headerLen:min(len(b), length)], nil
}

// decodeIPv6 reads an RFC 8200 header and its extension headers, and returns
// what follows them, cut to the payload length. A payload length of zero
// (jumbograms, RFC 2675) leaves nothing to decode.
func (p *Packet) decodeIPv6(b []byte) ([]byte, error) {
	if len(b) < ipv6HeaderLen {
		return nil, ErrTruncated
	}
	// Version, 4 bits; traffic class, 8; flow label, 20.
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

// walkExtensions steps over the extension headers at the beginning of b and
// returns the rest, which begins with the transport header. next is the kind of
// the first header.
func (p *Packet) walkExtensions(next uint8, b []byte) ([]byte, error) {
	for {
		var size int
		switch next {
		case extHopByHop, extRouting, extDestination:
			if len(b) < 2 {
				return nil, ErrTruncated
			}
			// The length field counts units of 8 bytes and leaves out the first.
			size = 8 + int(b[1])*8
		case extFragment:
			if len(b) < 8 {
				return nil, ErrTruncated
			}
			// The offset is in the upper 13 bits, "more fragments" in the
			// lowest. Both are 0 in an atomic fragment (RFC 6946).
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
