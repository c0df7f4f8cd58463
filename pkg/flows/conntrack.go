package flows

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// Messages and attributes of linux/netfilter/nfnetlink_conntrack.h.
const (
	msgNew = unix.NFNL_SUBSYS_CTNETLINK << 8   // IPCTNL_MSG_CT_NEW, which is 0
	msgGet = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET

	attrState      = 4  // CTA_PROTOINFO
	attrOriginal   = 1  // CTA_TUPLE_ORIG
	attrReply      = 2  // CTA_TUPLE_REPLY
	attrID         = 12 // CTA_ID
	attrZone       = 18 // CTA_ZONE
	attrLabels     = 22 // CTA_LABELS
	attrLabelsMask = 23 // CTA_LABELS_MASK

	attrIP       = 1 // CTA_TUPLE_IP
	attrProtocol = 2 // CTA_TUPLE_PROTO

	attrSource4, attrDestination4 = 1, 2 // CTA_IP_V4_SRC, CTA_IP_V4_DST
	attrSource6, attrDestination6 = 3, 4 // CTA_IP_V6_SRC, CTA_IP_V6_DST

	attrNumber                          = 1    // CTA_PROTO_NUM
	attrSourcePort, attrDestinationPort = 2, 3 // CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT
)

// header is struct nfgenmsg: family, version, res_id.
const header = 4

// Flows calls found for every entry of TCP and UDP. An entry that comes or goes
// meanwhile may be missing.
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

// ClearLabel clears a bit of an entry's labels. The entry stays, so that neither
// side can begin the connection anew in the other direction. ErrGone if it is
// not there any more.
func (t *Table) ClearLabel(f Flow, n uint8) error {
	var mask [16]byte
	mask[n/8] = 1 << (n % 8)
	data := attributes(
		netlink.Attribute{Type: netlink.Nested | attrOriginal, Data: encodeTuple(f.Protocol, f.Original)},
		netlink.Attribute{Type: attrZone, Data: binary.BigEndian.AppendUint16(nil, f.Zone)},
		// What the mask has becomes what the labels have: nothing.
		netlink.Attribute{Type: attrLabels, Data: make([]byte, len(mask))},
		netlink.Attribute{Type: attrLabelsMask, Data: mask[:]},
	)
	_, err := t.conntrack.Execute(netlink.Message{
		Header: netlink.Header{Type: msgNew, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append([]byte{familyOf(f.Original.Source.Addr()), unix.NFNETLINK_V0, 0, 0}, data...),
	})
	if err != nil {
		return fmt.Errorf("change a label in conntrack: %w", explain(err))
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

// attributes encodes what cannot be too long for an attribute.
func attributes(list ...netlink.Attribute) []byte {
	data, err := netlink.MarshalAttributes(list)
	if err != nil {
		panic("flows: cannot encode: " + err.Error())
	}
	return data
}

// parseFlow reads an entry; ok is false where it is none of TCP or UDP.
func parseFlow(data []byte) (f Flow, ok bool) {
	if len(data) < header {
		return Flow{}, false
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return Flow{}, false
	}
	ad.ByteOrder = binary.BigEndian
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

// parseState reads what conntrack knows of a protocol.
func parseState(ad *netlink.AttributeDecoder, over *bool) error {
	const (
		tcp, state = 1, 1 // CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE
		timeWait   = 7    // TCP_CONNTRACK_TIME_WAIT; CLOSE follows
	)
	for ad.Next() {
		if ad.Type() == tcp {
			ad.Nested(func(n *netlink.AttributeDecoder) error {
				for n.Next() {
					if n.Type() == state {
						*over = n.Uint8() >= timeWait
					}
				}
				return n.Err()
			})
		}
	}
	return ad.Err()
}

// valid reports whether both ends are there, and of one family.
func (t Tuple) valid() bool {
	a, b := t.Source.Addr(), t.Destination.Addr()
	return a.IsValid() && b.IsValid() && a.Is4() == b.Is4()
}

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
