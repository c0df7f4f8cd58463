package p0f

import (
	"encoding/binary"
	"testing"

	"nftknock/pkg/packet"
)

// variant chooses what a signature leaves open.
type variant struct {
	version  uint8
	hops     uint8
	optional bool // show the optional quirks
}

// generate writes the packet a signature describes, as bytes.
func generate(t testing.TB, s Signature, v variant) []byte {
	t.Helper()
	quirks := s.Quirks
	if v.optional {
		quirks |= s.Optional
	}
	if v.version == 6 {
		quirks &^= quirksIPv4
	}
	tcp := generateTCP(t, s, v, quirks)
	if s.Payload == PayloadSome {
		tcp = append(tcp, "data"...)
	}
	if v.version == 6 {
		return append(generateIPv6(s, v, quirks, len(tcp)), tcp...)
	}
	b := generateIPv4(s, v, quirks, len(tcp))
	switch seq := binary.BigEndian.Uint32(tcp[4:]); {
	case s.Conditions&CondID != 0:
		binary.BigEndian.PutUint16(b[4:], s.ID)
	case s.Conditions&CondIDMixed != 0:
		dst := binary.BigEndian.Uint32(b[16:])
		port := binary.BigEndian.Uint16(tcp[2:])
		binary.BigEndian.PutUint16(b[4:], uint16(dst)^port^uint16(seq))
	}
	if s.Conditions&CondSeqDst != 0 {
		copy(tcp[4:8], b[16:20])
	}
	return append(b, tcp...)
}

func generateIPv4(s Signature, v variant, quirks Quirk, size int) []byte {
	b := make([]byte, 20+int(s.IPOptions))
	for i := 20; i < len(b); i++ {
		b[i] = 1 // no operation
	}
	b[0] = 4<<4 | byte(len(b)/4)
	if quirks&QuirkECN != 0 {
		b[1] = 2
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+size))
	if quirks&QuirkIDNonZero != 0 || quirks&(QuirkDF|QuirkIDZero) == 0 {
		binary.BigEndian.PutUint16(b[4:], 4711)
	}
	if quirks&QuirkDF != 0 {
		b[6] |= 0x40
	}
	if quirks&QuirkReserved != 0 {
		b[6] |= 0x80
	}
	b[8] = s.TTL - v.hops
	b[9] = byte(packet.TCP)
	copy(b[12:], []byte{192, 0, 2, 1, 198, 51, 100, 9})
	return b
}

func generateIPv6(s Signature, v variant, quirks Quirk, size int) []byte {
	b := make([]byte, 40)
	b[0] = 6 << 4
	if quirks&QuirkECN != 0 {
		b[1] |= 2 << 4
	}
	if quirks&QuirkFlow != 0 {
		b[3] = 77
	}
	binary.BigEndian.PutUint16(b[4:], uint16(size))
	b[6] = byte(packet.TCP)
	b[7] = s.TTL - v.hops
	copy(b[8:], []byte{0x20, 0x01, 0x0d, 0xb8, 15: 1})
	copy(b[24:], []byte{0x20, 0x01, 0x0d, 0xb8, 15: 2})
	return b
}

func generateTCP(t testing.TB, s Signature, v variant, quirks Quirk) []byte {
	t.Helper()
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b, 40001)
	binary.BigEndian.PutUint16(b[2:], 443)
	if quirks&QuirkSeqZero == 0 {
		binary.BigEndian.PutUint32(b[4:], 0x12345678)
	}
	if quirks&QuirkAckNonZero != 0 {
		b[8] = 1
	}
	b[13] = byte(packet.SYN)
	if quirks&QuirkURG != 0 {
		b[13] |= byte(packet.URG)
	}
	if quirks&QuirkPSH != 0 {
		b[13] |= byte(packet.PSH)
	}
	if quirks&QuirkUrgNonZero != 0 {
		b[19] = 1
	}
	mss := generatedMSS(s, v)
	binary.BigEndian.PutUint16(b[14:], generatedWindow(t, s, mss))
	b = append(b, generateOptions(s, quirks, mss)...)
	if len(b)%4 != 0 {
		t.Fatalf("%v: options of %d bytes do not fill whole words", s, len(b)-20)
	}
	b[12] = byte(len(b) / 4 << 4)
	return b
}

func generatedMSS(s Signature, v variant) uint16 {
	switch {
	case s.MSS != Any:
		return uint16(s.MSS)
	case v.version == 6:
		return 1440
	default:
		return 1460
	}
}

func generatedWindow(t testing.TB, s Signature, mss uint16) uint16 {
	t.Helper()
	n := s.Window.N
	switch s.Window.Rule {
	case WindowAny:
		return 12345
	case WindowValue, WindowModulo:
		return uint16(n)
	case WindowMSS:
		n *= uint32(mss)
	case WindowMTU:
		n *= uint32(mss) + 40
	case WindowSegment:
		return fit(n, mss)
	}
	if n > 65535 {
		t.Fatalf("%v: no such window", s)
	}
	return uint16(n)
}

// generateOptions returns options whose length has no bounds of its own the
// smallest with which all of them fill whole words.
func generateOptions(s Signature, quirks Quirk, mss uint16) []byte {
	b := generateOptionsOf(s, quirks, mss, 0)
	for more := 1; len(b)%4 != 0 && more < 4; more++ {
		b = generateOptionsOf(s, quirks, mss, more)
	}
	return b
}

// generateOptionsOf makes the last option of free length longer by more.
func generateOptionsOf(s Signature, quirks Quirk, mss uint16, more int) []byte {
	var b []byte
	last := -1
	for i := range s.Layout.Len() {
		if kind := s.Layout.Kind(i); optionSize(kind) == 0 {
			last = i
		}
	}
	for i := range s.Layout.Len() {
		switch kind := s.Layout.Kind(i); kind {
		case packet.OptionEnd:
			b = append(b, 0)
			b = append(b, make([]byte, s.Layout.Padding())...)
			if quirks&QuirkPadding != 0 {
				b[len(b)-1] = 1
			}
		case packet.OptionNOP:
			b = append(b, 1)
		case packet.OptionMSS:
			b = binary.BigEndian.AppendUint16(append(b, 2, 4), mss)
		case packet.OptionWindowScale:
			scale := byte(9)
			if s.Scale != Any {
				scale = byte(s.Scale)
			}
			b = append(b, 3, 3, scale)
		case packet.OptionSACKPermitted:
			b = append(b, 4, 2)
		case packet.OptionTimestamps:
			b = append(b, 8, 10)
			var val, echo uint32
			if quirks&QuirkTSZero == 0 {
				val = 0x01020305
			}
			if quirks&QuirkTSPeer != 0 {
				echo = 1
			}
			b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, val), echo)
		default:
			size := 4
			if kind == packet.OptionFastOpen {
				size = 2
			}
			if i == last {
				size += more
			}
			b = append(b, byte(kind), byte(size))
			b = append(b, make([]byte, size-2)...)
		}
	}
	return b
}

// decoded is the packet of b.
func decoded(t testing.TB, b []byte) *packet.Packet {
	t.Helper()
	var p packet.Packet
	if err := packet.Decode(b, &p); err != nil {
		t.Fatalf("decoding % x: %v", b, err)
	}
	return &p
}

// signature parses what a test writes.
func signature(t testing.TB, text string) Signature {
	t.Helper()
	s, err := ParseSignature(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// syn is the packet that a signature given as text describes. Version "*"
// gives IPv4; the "+N" of an observed TTL is the number of hops.
func syn(t testing.TB, text string) *packet.Packet {
	t.Helper()
	s := signature(t, text)
	v := variant{version: max(s.Version, 4), hops: s.Hops}
	return decoded(t, generate(t, s, v))
}
