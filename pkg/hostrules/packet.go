package hostrules

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Packet is what is known of a packet that opens a connection: a pure SYN, the first
// datagram of a flow, or an echo request. All that is not said here is unknown. Its source
// is one to which answers leave through the interface it came from.
type Packet struct {
	V6       bool
	Protocol uint8  // unix.IPPROTO_TCP, UDP, ICMP or ICMPV6
	Port     uint16 // the destination's, 0 if it is unknown
	// Interface is the one by which it arrives, and Index its number. If Bridge is
	// set, it came in by one of the ports of that interface.
	Interface string
	Index     int
	Bridge    bool
	// Destination is its address, invalid if it is any of this host's. Forwarded says
	// that it is none of this host's; then Out is the interface by which it leaves,
	// empty if it is unknown.
	Destination netip.Addr
	Forwarded   bool
	Out         string
	OutIndex    int
	// Mark is set in the packet's mark behind the prerouting hook at MarkPriority.
	Mark uint32
	// Members are the sets that hold the packet's source, by "family table set".
	Members map[string]bool
}

// MarkPriority is the priority of our own chain at prerouting.
const MarkPriority = -150

// A state is a packet on its way.
type state struct {
	Packet
	hook     Hook
	priority int32
	mark     value // 4 bytes, in the order of the machine
	ctMark   value
	// untracked says whether the packet has no connection, by a notrack before.
	untracked tri
	// dialled is the destination port before translation.
	dialled uint16
	dnat    bool
}

func newState(p Packet) *state {
	return &state{Packet: p, mark: knownHost(0), ctMark: knownHost(0), dialled: p.Port}
}

func (s *state) family() Family {
	if s.V6 {
		return FamilyIPv6
	}
	return FamilyIPv4
}

// tracked reports whether conntrack has seen the packet: it does so at -200 of prerouting
// (NF_IP_PRI_CONNTRACK).
func (s *state) tracked() bool {
	return s.hook > Prerouting || s.hook == Prerouting && s.priority > -200
}

func (s *state) portBytes() value {
	if s.Port == 0 {
		return unknown(2)
	}
	return knownBig16(s.Port)
}

// transport is the head of the segment or datagram.
func (s *state) transport() value {
	h := unknown(20)
	switch s.Protocol {
	case unix.IPPROTO_TCP:
		h.put(2, s.portBytes())
		h.put(8, known(make([]byte, 4))) // acknowledgement
		h.put(13, known8(0x02))          // SYN alone
	case unix.IPPROTO_UDP:
		h.put(2, s.portBytes())
	case unix.IPPROTO_ICMP:
		h.put(0, known([]byte{8, 0})) // echo request
	case unix.IPPROTO_ICMPV6:
		h.put(0, known([]byte{128, 0}))
	}
	return h
}

// network is the head of the packet: without options or extension headers, whole.
func (s *state) network() value {
	if s.V6 {
		h := unknown(40)
		h.b[0], h.known[0] = 0x60, 0xf0
		h.put(6, known8(s.Protocol))
		h.put(24, s.address())
		return h
	}
	h := unknown(20)
	h.put(0, known8(0x45))
	h.known[6], h.known[7] = 0xbf, 0xff // no fragment; DF is unknown
	h.put(9, known8(s.Protocol))
	h.put(16, s.address())
	return h
}

// link is the head of an Ethernet frame without tags.
func (s *state) link() value {
	h := unknown(14)
	h.put(12, s.meta(metaProtocol))
	return h
}

// address is the destination.
func (s *state) address() value {
	n := 4
	if s.V6 {
		n = 16
	}
	if !s.Destination.IsValid() || s.Destination.BitLen() != 8*n {
		return unknown(n)
	}
	return known(s.Destination.AsSlice())
}

// name is an interface's name as a register holds it.
func name(s string) value {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, s)
	return known(b)
}

// Keys of meta (enum nft_meta_keys).
const (
	metaProtocol, metaMark, metaIIF, metaOIF, metaIIFName, metaOIFName = 1, 3, 4, 5, 6, 7
	metaNFProto, metaL4Proto, metaPktType, metaSDIF, metaSDIFName      = 15, 16, 19, 34, 35
)

// meta is what a meta expression loads. Its length is that of the key, 4 bytes for those
// that are unknown.
func (s *state) meta(key uint32) value {
	switch key {
	case metaProtocol:
		if s.V6 {
			return knownBig16(unix.ETH_P_IPV6)
		}
		return knownBig16(unix.ETH_P_IP)
	case metaMark:
		return s.mark
	case metaIIF:
		if s.Index == 0 || s.hook == Postrouting {
			return unknown(4)
		}
		return knownHost(uint32(s.Index))
	case metaIIFName:
		if s.Interface == "" || s.hook == Postrouting {
			return unknown(unix.IFNAMSIZ)
		}
		return name(s.Interface)
	case metaOIF, metaOIFName:
		return s.output(key)
	case metaNFProto:
		return known8(uint8(s.family()))
	case metaL4Proto:
		return known8(s.Protocol)
	case metaPktType:
		return known8(unix.PACKET_HOST)
	}
	return unknown(unix.IFNAMSIZ)
}

// output is the interface by which the packet leaves: before routing there is none, which
// a register holds as zeros (nft_meta_store_ifname, net/netfilter/nft_meta.c).
func (s *state) output(key uint32) value {
	leaves := s.hook == Forward || s.hook == Postrouting
	switch {
	case leaves && s.Out == "":
		return unknown(unix.IFNAMSIZ)
	case key == metaOIFName && leaves:
		return name(s.Out)
	case key == metaOIFName:
		return name("")
	case leaves:
		return knownHost(uint32(s.OutIndex))
	}
	return knownHost(0)
}

// Keys of ct (enum nft_ct_keys).
const (
	ctState, ctDirection, ctStatus, ctMark     = 0, 1, 2, 3
	ctL3Proto, ctProto, ctProtoSrc, ctProtoDst = 7, 10, 11, 12
)

// ct is what a ct expression loads; with no, the packet has no connection, and the rule
// does not match.
func (s *state) ct(key uint32) (value, tri) {
	has := s.untracked.not()
	if !s.tracked() {
		has = no
	}
	switch key {
	case ctState:
		return s.connState(has), yes
	case ctDirection:
		return known8(0), has // original
	case ctStatus:
		return s.status(), has
	case ctMark:
		return s.ctMark, has
	case ctL3Proto:
		return known8(uint8(s.family())), has
	case ctProto:
		return known8(s.Protocol), has
	case ctProtoDst:
		if s.dialled != 0 {
			return knownBig16(s.dialled), has
		}
	}
	return unknown(16), has
}

func (s *state) connState(has tri) value {
	switch {
	case s.untracked == yes:
		return knownHost(stateUntracked)
	case !s.tracked() && s.untracked == no:
		return knownHost(stateInvalid)
	case has == yes:
		return knownHost(stateNew)
	}
	return knownHost(stateNew).merge(knownHost(stateUntracked))
}

// status is that of an unconfirmed connection: of its bits (enum ip_conntrack_status)
// those for translation of the source are unknown.
func (s *state) status() value {
	var bits uint32
	if s.dnat {
		bits = statusDNAT
	}
	v := knownHost(bits)
	for i, b := range binary.NativeEndian.AppendUint32(nil, 0x01|0x02|0x04|0x08|statusDNAT) {
		v.known[i] = b
	}
	return v
}
