package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// features are the fields of a SYN that signatures name.
type features struct {
	key     key
	quirks  Quirk
	mss     uint16 // 0 if the option is missing
	window  uint16
	headers uint16 // length of the IP and TCP headers in bytes
	size    uint16 // total length in bytes, IPv4 only
	// least and most bound the sizes of a segment or packet of which the window
	// may be a multiple; see row.near.
	least, most uint32
	six         uint8 // 1 for IPv6, 0 for IPv4: the index into Database.index
	ttl         uint8
	scale       uint8 // 0 if the option is missing
	olen        uint8 // length of the IP options in bytes
	tsval       bool  // the own timestamp is not zero; false if the option is missing
	payload     bool
}

// Observe returns the signature of one packet as p0f writes it:
// "4:54+10:0:1460:mss*44,10:mss,sok,ts,nop,ws:df,id+:0". Signature.Rule turns it
// into one for a file. ok is false if the packet is not a pure SYN.
func Observe(p *packet.Packet) (s Signature, ok bool) {
	if !p.PureSYN() {
		return Signature{}, false
	}
	var f features
	layout := f.read(p)
	f.quirks &^= quirksOld // the grammar of version 3 has no names for these
	initial := guessInitial(f.ttl)
	s = Signature{
		Version:   p.Version,
		TTL:       initial,
		TTLForm:   TTLObserved,
		Hops:      initial - f.ttl,
		IPOptions: f.olen,
		MSS:       int32(f.mss),
		Window:    f.observedWindow(),
		Scale:     int16(f.scale),
		Layout:    layout,
		Quirks:    f.quirks,
	}
	if f.payload {
		s.Payload = PayloadSome
	}
	return s, true
}

// guessInitial returns the initial TTL that a packet most likely had: the next of
// the four values that operating systems use.
func guessInitial(ttl uint8) uint8 {
	switch {
	case ttl <= 32:
		return 32
	case ttl <= 64:
		return 64
	case ttl <= 128:
		return 128
	}
	return 255
}

// Lengths of an IP and a TCP header without options, in bytes.
const (
	headers4 = 20 + 20
	headers6 = 40 + 20
)

// read fills f, which must be zero, from a pure SYN, and returns its layout.
func (f *features) read(p *packet.Packet) Layout {
	f.readHeaders(p)
	l := f.readOptions(p.TCP.Options)
	f.makeKey()
	return l
}

// readHeaders fills in the fields that do not come from the TCP options.
func (f *features) readHeaders(p *packet.Packet) {
	f.window = p.TCP.Window
	f.ttl = p.TTL
	f.payload = len(p.Payload) > 0
	if p.Version == 6 {
		f.six = 1
		f.headers = headers6 + uint16(len(p.TCP.Options))
		if p.FlowLabel != 0 {
			f.quirks |= QuirkFlow
		}
	} else {
		f.size = uint16(p.Length)
		f.olen = uint8(len(p.IPOptions))
		f.headers = headers4 + uint16(len(p.IPOptions)+len(p.TCP.Options))
		f.quirks |= quirksOfIPv4(p)
	}
	f.quirks |= quirksOfTCP(p)
}

// makeKey sets the fields that are computed from the others, which must be set.
func (f *features) makeKey() {
	const mostScale = 14 // RFC 7323, section 2.3
	if f.scale > mostScale {
		f.quirks |= QuirkScale
	}
	// For an MSS below timestampsSize this wraps around, and near rules out every
	// row that wants a multiple. So does multipleWindow, below leastMSS.
	f.least = min(uint32(f.mss), ethernetMSS6) - timestampsSize
	f.most = max(uint32(f.mss), ethernetMSS4) + max(uint32(f.headers), headers6)
	f.key = newKey(f.quirks, f.mss, f.scale, f.olen, f.payload)
}

func quirksOfIPv4(p *packet.Packet) Quirk {
	if p.DontFragment && p.ID != 0 && !p.EvilBit && len(p.IPOptions) == 0 {
		return QuirkDF | QuirkIDNonZero // what most SYNs have
	}
	var q Quirk
	switch {
	case p.DontFragment && p.ID != 0:
		q = QuirkDF | QuirkIDNonZero
	case p.DontFragment:
		q = QuirkDF
	case p.ID == 0:
		q = QuirkIDZero
	}
	if p.ID == 0 {
		q |= quirkIDNull
	}
	if p.EvilBit {
		q |= QuirkReserved
	}
	if len(p.IPOptions) > 0 {
		q |= quirkIPOptions
	}
	return q
}

// quirksOfTCP returns the quirks of the fixed TCP header, and of the ECN bits of
// both headers. QuirkAckZero is never among them: it needs ACK, which a pure SYN
// does not have.
func quirksOfTCP(p *packet.Packet) Quirk {
	const ect = 0x03 // RFC 3168
	var q Quirk
	if p.TCP.Flags == packet.SYN && p.TCP.Seq != 0 && p.TOS&ect == 0 &&
		p.TCP.Ack|uint32(p.TCP.Urgent)|uint32(p.TCP.Reserved) == 0 {
		return 0 // what most SYNs have
	}
	if p.TOS&ect != 0 || p.TCP.Flags&(packet.ECE|packet.CWR|packet.AE) != 0 {
		q |= QuirkECN
	}
	if p.TCP.Seq == 0 {
		q |= QuirkSeqZero
	}
	if p.TCP.Ack != 0 {
		q |= QuirkAckNonZero
	}
	if p.TCP.Seq == p.TCP.Ack {
		q |= quirkSeqAck
	}
	if p.TCP.Urgent != 0 {
		q |= QuirkUrgNonZero | quirkUrgent
	}
	if p.TCP.Flags&(packet.URG|packet.PSH|packet.AE) != 0 || p.TCP.Reserved != 0 {
		q = quirksOfRareFlags(p, q)
	}
	return q
}

// quirksOfRareFlags adds the quirks of URG, PSH, AE and the reserved bits to q.
func quirksOfRareFlags(p *packet.Packet, q Quirk) Quirk {
	if p.TCP.Flags&packet.URG != 0 {
		// uptr+ is an urgent pointer without URG.
		q = q&^QuirkUrgNonZero | QuirkURG | quirkFlags
	}
	if p.TCP.Flags&packet.PSH != 0 {
		q |= QuirkPSH | quirkFlags
	}
	if p.TCP.Flags&packet.AE != 0 || p.TCP.Reserved != 0 {
		q |= quirkOffset
	}
	return q
}

// readOptions reads the options as p0f does, so that signatures written for p0f
// fit: an option of fixed size has that size whatever its length byte says, and a
// wrong length byte is a quirk. packet.Options.Next goes by the length byte, so it
// cannot be used here. The function is one loop that collects kinds in a register,
// because most of the time of a match is spent in it.
func (f *features) readOptions(b []byte) (l Layout) {
	var kinds uint64
	n := uint(0)
walk:
	for len(b) > 0 {
		if n == MaxOptions {
			f.quirks |= QuirkBad
			break
		}
		kinds |= uint64(b[0]) << (n % 8 * 8)
		if n++; n%8 == 0 {
			l.kinds[(n-1)/8], kinds = kinds, 0
		}
		var size int
		switch packet.OptionKind(b[0]) {
		case packet.OptionEnd:
			l.pad = uint8(len(b) - 1)
			f.readPadding(b[1:])
			break walk
		case packet.OptionNOP:
			b = b[1:]
			continue
		case packet.OptionMSS:
			if size = 4; len(b) >= size {
				f.mss = binary.BigEndian.Uint16(b[2:])
			}
		case packet.OptionWindowScale:
			if size = 3; len(b) >= size {
				f.scale = b[2]
			}
		case packet.OptionSACKPermitted:
			size = 2
		case packet.OptionTimestamps:
			if size = 10; len(b) >= size {
				f.readTimestamps(binary.BigEndian.Uint64(b[2:]))
			}
		default:
			size = variableSize(b)
		}
		if size == 0 || len(b) < size {
			// p0f stops here too; the option counts in the layout.
			f.quirks |= QuirkBad
			break
		}
		if int(b[1]) != size {
			f.quirks |= QuirkBad
		}
		b = b[size:]
	}
	if n < MaxOptions {
		l.kinds[n/8] |= kinds
	}
	l.n = uint8(n)
	return l
}

// variableSize returns the size of an option of another kind according to its
// length byte, or 0 if that is out of bounds.
func variableSize(b []byte) int {
	const (
		leastSACK, mostSACK = 10, 34 // one block to four, RFC 2018
		least, most         = 2, 40
	)
	if len(b) < 2 {
		return 0
	}
	size := int(b[1])
	if packet.OptionKind(b[0]) == packet.OptionSACK {
		if size < leastSACK || size > mostSACK {
			return 0 // as p0f does it, which ends its walk here
		}
		return size
	}
	if size < least || size > most {
		return 0
	}
	return size
}

func (f *features) readTimestamps(both uint64) {
	value, echo := uint32(both>>32), uint32(both)
	f.tsval = value != 0
	if value == 0 {
		f.quirks |= QuirkTSZero
	}
	if echo != 0 {
		f.quirks |= QuirkTSPeer
	}
}

func (f *features) readPadding(b []byte) {
	if len(b) > 0 {
		f.quirks |= quirkPadded
	}
	for _, c := range b {
		if c != 0 {
			f.quirks |= QuirkPadding
			return
		}
	}
}
