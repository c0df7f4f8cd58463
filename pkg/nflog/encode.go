package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// appendPacket appends a packet message in the form that the kernel writes
// (__build_packet_message), with the attributes that this package reads.
func appendPacket(b []byte, rec Record) []byte {
	start := len(b)
	b = appendHeader(b, packetType, 0)
	b = binary.BigEndian.AppendUint16(append(b, unix.AF_UNSPEC, unix.NFNETLINK_V0), rec.Group)
	if rec.InDevice != 0 {
		b = appendAttr(b, attrInDevice, binary.BigEndian.AppendUint32(nil, rec.InDevice))
	}
	b = appendAttr(b, attrSeq, binary.BigEndian.AppendUint32(nil, rec.Seq))
	if len(rec.Payload) > 0 {
		b = appendAttr(b, attrPayload, rec.Payload[:min(len(rec.Payload), maxCopyRange)])
	}
	// The kernel sets nlmsg_len at the end too.
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// appendHeader appends a struct nlmsghdr (linux/netlink.h) with the length of a message
// that has no body.
func appendHeader(b []byte, kind uint16, seq uint32) []byte {
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, 0) // flags
	b = binary.NativeEndian.AppendUint32(b, seq)
	return binary.NativeEndian.AppendUint32(b, 0) // port: the kernel's
}

// appendAttr appends a struct nlattr and its padding.
func appendAttr(b []byte, kind uint16, value []byte) []byte {
	// The length of an attribute includes its header but not its padding.
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.NLA_HDRLEN+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}
