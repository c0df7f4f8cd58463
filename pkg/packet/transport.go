package packet

import "encoding/binary"

// TCPFlags are the control bits of a TCP header (RFC 9293, section 3.1), with
// AE (RFC 9768). The three reserved bits above them are TCPHeader.Reserved.
type TCPFlags uint16

// The control bits.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// TCPHeader holds the fields of a TCP header other than the ports.
type TCPHeader struct {
	Seq, Ack uint32
	Flags    TCPFlags
	Reserved uint8 // the three bits between the data offset and AE
	Window   uint16
	Urgent   uint16
	// Options are the bytes between the fixed header and the payload, in
	// their order on the wire; Next walks them.
	Options Options
}

// ICMPHeader holds the fields of an ICMP or ICMPv6 message.
type ICMPHeader struct {
	Type, Code uint8
	ID, Seq    uint16 // of an echo request or reply
}

const (
	icmpEchoRequest   = 8   // RFC 792
	icmpv6EchoRequest = 128 // RFC 4443
)

func (p *Packet) decodeTCP(b []byte) error {
	const fixed = 20
	if len(b) < fixed {
		return ErrTruncated
	}
	size := int(b[12]>>4) * 4 // the data offset counts words of 32 bits
	if size < fixed {
		return ErrMalformed
	}
	if len(b) < size {
		return ErrTruncated
	}
	p.SrcPort = binary.BigEndian.Uint16(b)
	p.DstPort = binary.BigEndian.Uint16(b[2:])
	// Bytes 12 and 13 are: data offset, 4 bits; reserved, 3; AE; and the eight
	// flags of RFC 9293. The mask keeps AE and the flags.
	p.TCP = TCPHeader{
		Seq:      binary.BigEndian.Uint32(b[4:]),
		Ack:      binary.BigEndian.Uint32(b[8:]),
		Flags:    TCPFlags(binary.BigEndian.Uint16(b[12:]) & 0x1ff),
		Reserved: b[12] >> 1 & 0x07,
		Window:   binary.BigEndian.Uint16(b[14:]),
		Urgent:   binary.BigEndian.Uint16(b[18:]),
		Options:  Options(b[fixed:size]),
	}
	p.Payload = b[size:]
	return nil
}

func (p *Packet) decodeUDP(b []byte) error {
	const fixed = 8
	if len(b) < fixed {
		return ErrTruncated
	}
	// A length of 0 would mean a jumbogram (RFC 2675), which is refused too.
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < fixed {
		return ErrMalformed
	}
	p.SrcPort = binary.BigEndian.Uint16(b)
	p.DstPort = binary.BigEndian.Uint16(b[2:])
	p.Payload = b[fixed:min(len(b), length)]
	return nil
}

func (p *Packet) decodeICMP(b []byte) error {
	const fixed = 8
	if len(b) < fixed {
		return ErrTruncated
	}
	// Bytes 4 to 7 are identifier and sequence number in echo messages alone (RFC
	// 792, RFC 4443); the fields hold other data in messages of other types.
	p.ICMP = ICMPHeader{
		Type: b[0],
		Code: b[1],
		ID:   binary.BigEndian.Uint16(b[4:]),
		Seq:  binary.BigEndian.Uint16(b[6:]),
	}
	p.Payload = b[fixed:]
	return nil
}
