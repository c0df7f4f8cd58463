package flows

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// Message types (include/uapi/linux/netfilter/nfnetlink_conntrack.h, enum
// cntl_msg_types).
const (
	msgNew = unix.NFNL_SUBSYS_CTNETLINK << 8   // IPCTNL_MSG_CT_NEW, which is 0
	msgGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET
	msgDel = unix.NFNL_SUBSYS_CTNETLINK<<8 | 2 // IPCTNL_MSG_CT_DELETE
)

// Attributes of an entry (enum ctattr_type, same header).
const (
	attrOriginal   = 1  // CTA_TUPLE_ORIG
	attrReply      = 2  // CTA_TUPLE_REPLY
	attrState      = 4  // CTA_PROTOINFO
	attrID         = 12 // CTA_ID
	attrZone       = 18 // CTA_ZONE
	attrLabels     = 22 // CTA_LABELS
	attrLabelsMask = 23 // CTA_LABELS_MASK
)

// Attributes of a tuple (enum ctattr_tuple, same header).
const (
	attrIP       = 1 // CTA_TUPLE_IP
	attrProtocol = 2 // CTA_TUPLE_PROTO
)

// Attributes of CTA_TUPLE_IP (enum ctattr_ip, same header).
const (
	attrSource4, attrDestination4 = 1, 2 // CTA_IP_V4_SRC, CTA_IP_V4_DST
	attrSource6, attrDestination6 = 3, 4 // CTA_IP_V6_SRC, CTA_IP_V6_DST
)

// Attributes of CTA_TUPLE_PROTO (enum ctattr_l4proto, same header).
const (
	attrNumber                          = 1    // CTA_PROTO_NUM
	attrSourcePort, attrDestinationPort = 2, 3 // CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
)

// header is the size of struct nfgenmsg (include/uapi/linux/netfilter/nfnetlink.h):
// family, version, res_id.
const header = 4

// Flows calls found for every conntrack entry of TCP and UDP. An entry that is created
// or removed during the call may be missing.
func (t *Table) Flows(found func(Flow)) error {
	// AF_UNSPEC lists the entries of both families (ctnetlink_dump_table).
	replies, err := t.conntrack.Execute(netlink.Message{
		Header: netlink.Header{Type: msgGet, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return fmt.Errorf("list conntrack: %w", explain(err))
	}
	for _, m := range replies {
		if f, ok := parseFlow(m.Data); ok {
			found(f)
		}
	}
	return nil
}

// ClearLabel clears bit n of an entry's labels. It does not remove the entry: a new
// entry for the same connection could begin with a packet of the other side. It returns
// ErrGone if the entry does not exist.
func (t *Table) ClearLabel(f Flow, n uint8) error {
	var mask [16]byte
	mask[n/8] = 1 << (n % 8)
	data := attributes(
		netlink.Attribute{Type: netlink.Nested | attrOriginal, Data: encodeTuple(f.Protocol, f.Original)},
		netlink.Attribute{Type: attrZone, Data: binary.BigEndian.AppendUint16(nil, f.Zone)},
		// nf_connlabels_replace clears the bits of the mask and then adds those of
		// the labels by exclusive or, here none.
		netlink.Attribute{Type: attrLabels, Data: make([]byte, len(mask))},
		netlink.Attribute{Type: attrLabelsMask, Data: mask[:]},
	)
	// Without NLM_F_CREATE, ctnetlink_new_conntrack changes an entry that exists and
	// answers ENOENT if there is none.
	_, err := t.conntrack.Execute(netlink.Message{
		Header: netlink.Header{Type: msgNew, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{familyOf(f.Original.Source.Addr()), unix.NFNETLINK_V0, 0, 0}, data...),
	})
	if err != nil {
		return fmt.Errorf("change a label in conntrack: %w", explain(err))
	}
	return nil
}

// Delete removes an entry, and with it the translation of its addresses: the next packet
// of the connection begins a new entry. It returns ErrGone if the entry does not exist,
// or another one has its tuple.
func (t *Table) Delete(f Flow) error {
	data := attributes(
		netlink.Attribute{Type: netlink.Nested | attrOriginal, Data: encodeTuple(f.Protocol, f.Original)},
		netlink.Attribute{Type: attrZone, Data: binary.BigEndian.AppendUint16(nil, f.Zone)},
		netlink.Attribute{Type: attrID, Data: binary.BigEndian.AppendUint32(nil, f.ID)},
	)
	_, err := t.conntrack.Execute(netlink.Message{
		Header: netlink.Header{Type: msgDel, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{familyOf(f.Original.Source.Addr()), unix.NFNETLINK_V0, 0, 0}, data...),
	})
	if err != nil {
		return fmt.Errorf("delete an entry of conntrack: %w", explain(err))
	}
	return nil
}

func familyOf(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func encodeTuple(p packet.Protocol, t Tuple) []byte {
	source, destination := uint16(attrSource4), uint16(attrDestination4)
	if !t.Source.Addr().Is4() {
		source, destination = attrSource6, attrDestination6
	}
	return attributes(
		netlink.Attribute{Type: netlink.Nested | attrIP, Data: attributes(
			netlink.Attribute{Type: source, Data: t.Source.Addr().AsSlice()},
			netlink.Attribute{Type: destination, Data: t.Destination.Addr().AsSlice()},
		)},
		netlink.Attribute{Type: netlink.Nested | attrProtocol, Data: attributes(
			netlink.Attribute{Type: attrNumber, Data: []byte{byte(p)}},
			netlink.Attribute{Type: attrSourcePort, Data: binary.BigEndian.AppendUint16(nil, t.Source.Port())},
			netlink.Attribute{Type: attrDestinationPort, Data: binary.BigEndian.AppendUint16(nil, t.Destination.Port())},
		)},
	)
}

// attributes encodes attributes. It panics if one is too long, which none here can be.
func attributes(list ...netlink.Attribute) []byte {
	data, err := netlink.MarshalAttributes(list)
	if err != nil {
		panic("flows: cannot encode: " + err.Error())
	}
	return data
}

// parseFlow reads an entry; ok is false if it is malformed, or not of TCP or UDP.
func parseFlow(data []byte) (f Flow, ok bool) {
	if len(data) < header {
		return Flow{}, false
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return Flow{}, false
	}
	ad.ByteOrder = binary.BigEndian // ctnetlink writes integers in network byte order
	for ad.Next() {
		switch ad.Type() {
		case attrOriginal:
			ad.Nested(func(n *netlink.AttributeDecoder) error { return parseTuple(n, &f.Original, &f.Protocol) })
		case attrReply:
			var p packet.Protocol
			ad.Nested(func(n *netlink.AttributeDecoder) error { return parseTuple(n, &f.Reply, &p) })
		case attrState:
			ad.Nested(func(n *netlink.AttributeDecoder) error { return parseState(n, &f.Over) })
		case attrID:
			f.ID = ad.Uint32()
		case attrZone:
			f.Zone = ad.Uint16()
		case attrLabels:
			copy(f.Labels[:], ad.Bytes())
		}
	}
	// An entry of another protocol, of ICMP for example, has no ports.
	known := f.Protocol == packet.TCP || f.Protocol == packet.UDP
	if ad.Err() != nil || !known || !f.Original.valid() || !f.Reply.valid() {
		return Flow{}, false
	}
	return f, true
}

// parseState reads the state of a TCP connection from CTA_PROTOINFO.
func parseState(ad *netlink.AttributeDecoder, over *bool) error {
	// CTA_PROTOINFO_TCP and CTA_PROTOINFO_TCP_STATE (enums ctattr_protoinfo and
	// ctattr_protoinfo_tcp, same header).
	const tcp, state = 1, 1
	// TCP_CONNTRACK_TIME_WAIT and TCP_CONNTRACK_CLOSE (enum tcp_conntrack in
	// include/uapi/linux/netfilter/nf_conntrack_tcp.h). SYN_SENT2, a simultaneous open,
	// comes after them in the enum, and is not over.
	const timeWait, closed = 7, 8
	for ad.Next() {
		if ad.Type() == tcp {
			ad.Nested(func(n *netlink.AttributeDecoder) error {
				for n.Next() {
					if n.Type() == state {
						s := n.Uint8()
						*over = s == timeWait || s == closed
					}
				}
				return n.Err()
			})
		}
	}
	return ad.Err()
}

// valid reports whether the tuple has two addresses of one family.
func (t Tuple) valid() bool {
	a, b := t.Source.Addr(), t.Destination.Addr()
	return a.IsValid() && b.IsValid() && a.Is4() == b.Is4()
}

// parseTuple reads the addresses, the ports and the protocol of a tuple.
func parseTuple(ad *netlink.AttributeDecoder, t *Tuple, p *packet.Protocol) error {
	var source, destination netip.Addr
	var sourcePort, destinationPort uint16
	for ad.Next() {
		switch ad.Type() {
		case attrIP:
			ad.Nested(func(n *netlink.AttributeDecoder) error {
				for n.Next() {
					switch n.Type() {
					case attrSource4, attrSource6:
						// For a wrong length this is the zero Addr, which is not valid.
						source, _ = netip.AddrFromSlice(n.Bytes())
					case attrDestination4, attrDestination6:
						destination, _ = netip.AddrFromSlice(n.Bytes())
					}
				}
				return n.Err()
			})
		case attrProtocol:
			ad.Nested(func(n *netlink.AttributeDecoder) error {
				for n.Next() {
					switch n.Type() {
					case attrNumber:
						*p = packet.Protocol(n.Uint8())
					case attrSourcePort:
						sourcePort = n.Uint16()
					case attrDestinationPort:
						destinationPort = n.Uint16()
					}
				}
				return n.Err()
			})
		}
	}
	*t = Tuple{netip.AddrPortFrom(source, sourcePort), netip.AddrPortFrom(destination, destinationPort)}
	return ad.Err()
}
