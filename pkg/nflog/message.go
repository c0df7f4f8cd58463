package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	packetType = unix.NFNL_SUBSYS_ULOG<<8 | msgPacket
	configType = unix.NFNL_SUBSYS_ULOG<<8 | msgConfig
)

// message is one netlink message. The headers of messages and attributes are in the
// byte order of the host, the values that nfnetlink_log writes are in that of the
// network.
type message struct {
	kind uint16
	seq  uint32
	body []byte // what follows the header; its capacity ends with the message
}

// cutMessage returns the first message of a datagram and the rest. ok is false, and m
// and rest are zero, if the datagram does not begin with a whole message.
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

// aligned rounds size up to the 4 bytes of NLMSG_ALIGNTO and NLA_ALIGNTO, but not
// beyond end: the last message or attribute may have no padding.
func aligned(size, end int) int { return min((size+3)&^3, end) }

// errno returns the error number in a message of type NLMSG_ERROR: 0 is an
// acknowledgement. ok is false for other messages.
func (m message) errno() (errno unix.Errno, ok bool) {
	if m.kind != unix.NLMSG_ERROR || len(m.body) < 4 {
		return 0, false
	}
	// struct nlmsgerr begins with a negative errno.
	return unix.Errno(-int32(binary.NativeEndian.Uint32(m.body))), true
}

// logged holds the attributes of a packet message.
type logged struct {
	group     uint16
	inDevice  uint32
	seq       uint32
	sequenced bool  // the message has seq
	unixNano  int64 // 0 if the message has no time
	payload   []byte
}

// parsePacket reads the body of a packet message into p, whose payload aliases body.
// Other attributes are skipped. If ok is false, p is zero.
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

// set stores the value of one attribute; ok is false if it is too short.
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
		// struct nfulnl_msg_packet_timestamp: seconds and microseconds, 64 bits
		// each.
		if len(value) < 16 {
			return false
		}
		p.unixNano = int64(binary.BigEndian.Uint64(value)*1e9 + binary.BigEndian.Uint64(value[8:])*1e3)
	}
	return true
}
