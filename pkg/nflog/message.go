package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	packetType = unix.NFNL_SUBSYS_ULOG<<8 | msgPacket
	configType = unix.NFNL_SUBSYS_ULOG<<8 | msgConfig
)

// message is one netlink message. Headers of netlink are in the byte order
// of the host, what nfnetlink_log writes is in that of the network.
type message struct {
	kind uint16
	seq  uint32
	body []byte // what follows the header; its capacity ends with the message
}

// cutMessage takes the first message off a datagram. It gives ok false and
// nothing else if the datagram does not begin with a whole message.
func cutMessage(b []byte) (m message, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlMsghdr {
		return message{}, nil, false
	}
	size := binary.NativeEndian.Uint32(b)
	if size < unix.SizeofNlMsghdr || uint64(size) > uint64(len(b)) {
		return message{}, nil, false
	}
	m = message{
		kind: binary.NativeEndian.Uint16(b[4:]),
		seq:  binary.NativeEndian.Uint32(b[8:]),
		body: b[unix.SizeofNlMsghdr:size:size],
	}
	return m, b[aligned(int(size), len(b)):], true
}

// aligned rounds up to the 4 bytes of NLMSG_ALIGNTO and NLA_ALIGNTO, but not
// beyond the end: the last piece may come without its padding.
func aligned(size, end int) int { return min((size+3)&^3, end) }

// errno is the answer that a message of kind NLMSG_ERROR carries: 0 for yes.
func (m message) errno() (errno unix.Errno, ok bool) {
	if m.kind != unix.NLMSG_ERROR || len(m.body) < 4 {
		return 0, false
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.body))), true
}

// logged is a packet as the kernel writes it.
type logged struct {
	group     uint16
	inDevice  uint32
	seq       uint32
	sequenced bool  // seq was given
	unixNano  int64 // 0 if no time was given
	payload   []byte
}

// parsePacket reads the body of a packet message into p, whose payload is
// then a part of body. On ok false, p is zero. Attributes of no interest are
// stepped over.
func parsePacket(body []byte, p *logged) (ok bool) {
	*p = logged{}
	if len(body) < genHeaderLen || body[1] != unix.NFNETLINK_V0 {
		return false
	}
	p.group = binary.BigEndian.Uint16(body[2:])
	for b := body[genHeaderLen:]; len(b) > 0; {
		size := 0
		if len(b) >= unix.SizeofNlAttr {
			size = int(binary.NativeEndian.Uint16(b))
		}
		if size < unix.SizeofNlAttr || size > len(b) ||
			!p.set(binary.NativeEndian.Uint16(b[2:])&attrTypeMask, b[unix.SizeofNlAttr:size:size]) {
			*p = logged{}
			return false
		}
		b = b[aligned(size, len(b)):]
	}
	return true
}

// set takes over one attribute; ok is false if it is too short.
func (p *logged) set(kind uint16, value []byte) (ok bool) {
	switch kind {
	case attrPayload:
		p.payload = value
	case attrInDevice:
		if len(value) < 4 {
			return false
		}
		p.inDevice = binary.BigEndian.Uint32(value)
	case attrSeq:
		if len(value) < 4 {
			return false
		}
		p.seq, p.sequenced = binary.BigEndian.Uint32(value), true
	case attrTimestamp:
		// struct nfulnl_msg_packet_timestamp: seconds, microseconds.
		if len(value) < 16 {
			return false
		}
		p.unixNano = int64(binary.BigEndian.Uint64(value)*1e9 + binary.BigEndian.Uint64(value[8:])*1e3)
	}
	return true
}
