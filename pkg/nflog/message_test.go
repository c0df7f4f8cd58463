package nflog

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// packetMessage returns a packet message with these attributes.
func packetMessage(group uint16, attrs ...[]byte) []byte {
	b := appendHeader(nil, packetType, 0)
	b = binary.BigEndian.AppendUint16(append(b, unix.AF_INET, unix.NFNETLINK_V0), group)
	b = append(b, bytes.Join(attrs, nil)...)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func attr(kind uint16, value ...byte) []byte { return appendAttr(nil, kind, value) }

func done() []byte { return appendHeader(nil, unix.NLMSG_DONE, 0) }

func answer(errno int32) []byte {
	b := binary.NativeEndian.AppendUint32(appendHeader(nil, unix.NLMSG_ERROR, 1), uint32(-errno))
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	return b
}

func TestParsePacket(t *testing.T) {
	const second = 1_700_000_000
	stamp := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, second), 250_000)
	for _, tt := range []struct {
		name string
		body []byte
		want *logged // nil: refused
	}{
		{"ok everything", packetMessage(258, attr(1, 8, 0, 1, 0), attr(attrTimestamp, stamp...), attr(attrInDevice, 0, 0, 1, 2),
			attr(attrSeq, 0, 0, 0, 7), attr(attrPayload, 1, 2, 3)),
			&logged{group: 258, inDevice: 258, seq: 7, sequenced: true, unixNano: second*1e9 + 250e6, payload: []byte{1, 2, 3}}},
		{"ok no attributes", packetMessage(1), &logged{group: 1}},
		{"ok unknown attributes", packetMessage(1, attr(999, 1), attr(attrPayload, 5), attr(0)), &logged{group: 1, payload: []byte{5}}},
		{"ok flags in the attribute type", packetMessage(1, attr(unix.NLA_F_NET_BYTEORDER|attrPayload, 5)), &logged{group: 1, payload: []byte{5}}},
		{"ok last attribute without padding", packetMessage(1, attr(attrPayload, 5)[:5]), &logged{group: 1, payload: []byte{5}}},
		{"bad no header", make([]byte, 19), nil},
		{"bad version", append(make([]byte, 16), 2, 1, 0, 5), nil},
		{"bad attribute header is cut", packetMessage(1, []byte{8, 0, 9}), nil},
		{"bad attribute beyond the end", packetMessage(1, append(attr(attrPayload, 1, 2, 3, 4), 9, 0, 9, 0, 1, 2, 3, 4)), nil},
		{"bad attribute shorter than its header", packetMessage(1, []byte{3, 0, 9, 0}), nil},
		{"bad device", packetMessage(1, attr(attrInDevice, 1, 2, 3)), nil},
		{"bad number", packetMessage(1, attr(attrSeq, 1, 2, 3)), nil},
		{"bad time", packetMessage(1, attr(attrTimestamp, make([]byte, 15)...)), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := logged{group: 99, payload: []byte("old")}
			ok := parsePacket(tt.body[unix.SizeofNlMsghdr:], &got)
			if ok != (tt.want != nil) {
				t.Fatalf("ok %v", ok)
			}
			if tt.want == nil {
				tt.want = &logged{}
			}
			if diff := cmp.Diff(*tt.want, got, cmp.AllowUnexported(logged{})); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStreamWalksDatagrams(t *testing.T) {
	packet := func(group uint16, seq uint32, payload string) []byte {
		return appendPacket(nil, Record{Group: group, Seq: seq, Payload: []byte(payload)})
	}
	whole := packet(5, 0, "whole")
	for _, tt := range []struct {
		name      string
		datagrams [][]byte
		want      []string
		stats     Stats
	}{
		{"ok one packet", [][]byte{whole}, []string{"whole"}, Stats{Packets: 1, Datagrams: 1}},
		{"ok batch", [][]byte{bytes.Join([][]byte{whole, packet(5, 1, "next"), done()}, nil)},
			[]string{"whole", "next"}, Stats{Packets: 2, Datagrams: 1}},
		{"ok gap in front", [][]byte{packet(5, 3, "a")}, []string{"a"}, Stats{Packets: 1, Datagrams: 1, Lost: 3}},
		{"ok gaps of two groups", [][]byte{packet(5, 0, "a"), packet(6, 2, "b"), packet(5, 4, "c"), packet(6, 3, "d")},
			[]string{"a", "b", "c", "d"}, Stats{Packets: 4, Datagrams: 4, Lost: 5}},
		{"ok no number", [][]byte{packetMessage(5, attr(attrPayload, 'x')), whole}, []string{"x", "whole"}, Stats{Packets: 2, Datagrams: 2}},
		{"ok no-op and yes", [][]byte{append(answer(0), whole...), append(appendHeader(nil, unix.NLMSG_NOOP, 0), packet(5, 1, "b")...)},
			[]string{"whole", "b"}, Stats{Packets: 2, Datagrams: 2}},
		{"ok refusal", [][]byte{answer(int32(unix.ENODEV))}, nil, Stats{Datagrams: 1, Refused: 1}},
		{"ok nothing after the end", [][]byte{append(done(), whole...)}, nil, Stats{Datagrams: 1}},
		{"ok empty", [][]byte{{}}, nil, Stats{Datagrams: 1}},
		{"bad datagram is cut", [][]byte{append(bytes.Clone(whole), packet(5, 1, "b")[:30]...), packet(5, 2, "c")},
			[]string{"whole", "c"}, Stats{Packets: 2, Datagrams: 2, Lost: 1, Malformed: 1}},
		{"bad header is cut", [][]byte{whole[:15]}, nil, Stats{Datagrams: 1, Malformed: 1}},
		{"bad length below the header", [][]byte{make([]byte, 64)}, nil, Stats{Datagrams: 1, Malformed: 1}},
		{"bad packet among good ones", [][]byte{bytes.Join([][]byte{packetMessage(5, attr(attrSeq)), whole}, nil)},
			[]string{"whole"}, Stats{Packets: 1, Datagrams: 1, Malformed: 1}},
		{"bad group", [][]byte{packet(7, 0, "x")}, nil, Stats{Datagrams: 1, Malformed: 1}},
		{"bad type", [][]byte{appendHeader(nil, 77, 0)}, nil, Stats{Datagrams: 1, Malformed: 1}},
		{"bad answer", [][]byte{appendHeader(nil, unix.NLMSG_ERROR, 0)}, nil, Stats{Datagrams: 1, Malformed: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s stream
			s.init([]uint16{5, 6})
			var got []string
			for _, d := range tt.datagrams {
				s.load(d, time.Now())
				for rec := (Record{}); s.next(&rec); {
					got = append(got, string(rec.Payload))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("payloads (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.stats, s.Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNumbersWrapAround(t *testing.T) {
	var s stream
	s.groups = []group{{number: 5, next: math.MaxUint32}}
	for _, seq := range []uint32{math.MaxUint32, 0, 3} {
		s.load(appendPacket(nil, Record{Group: 5, Seq: seq}), time.Now())
		var rec Record
		s.next(&rec)
	}
	if got := s.Stats().Lost; got != 2 {
		t.Errorf("lost %d, want 2", got)
	}
}

func TestStamp(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name string
		nano int64
		want time.Duration // before now
	}{
		{"none", 0, 0},
		{"5 ms ago", now.UnixNano() - 5e6, 5 * time.Millisecond},
		{"a minute ago", now.Add(-maxAge).UnixNano(), maxAge},
		{"too long ago", now.Add(-maxAge).UnixNano() - 1, 0},
		{"since boot", 12345e9, 0},
		{"in the future", now.UnixNano() + 1, 0},
		{"absurd", math.MinInt64, 0},
	} {
		if got := now.Sub(stamp(now, tt.nano)); got != tt.want {
			t.Errorf("%s: %v before now, want %v", tt.name, got, tt.want)
		}
	}
}

func TestParserAllocatesNothing(t *testing.T) {
	var s stream
	s.init([]uint16{5})
	datagram := append(appendPacket(nil, Record{Group: 5, Payload: make([]byte, 92)}), done()...)
	var rec Record
	if got := testing.AllocsPerRun(1000, func() {
		s.load(datagram, time.Time{})
		s.next(&rec)
	}); got != 0 || rec.Payload == nil {
		t.Errorf("%v allocations per packet", got)
	}
}

// For arbitrary bytes: no panic, every payload is part of the datagram, every message
// parses the same whatever precedes or follows it, and every message is counted.
func FuzzStream(f *testing.F) {
	one := appendPacket(nil, Record{Group: 5, InDevice: 2, Payload: []byte("payload")})
	f.Add(one)
	f.Add(bytes.Join([][]byte{one, appendPacket(nil, Record{Group: 6, Seq: 9}), done()}, nil))
	f.Add(append(answer(int32(unix.ENODEV)), one[:len(one)-3]...))
	f.Add(packetMessage(5, attr(attrTimestamp, make([]byte, 16)...), attr(attrSeq, 0, 0, 0, 1), attr(200, 1, 2, 3)))
	f.Fuzz(func(t *testing.T, datagram []byte) {
		// A read beyond the end panics if the slice has no spare capacity.
		datagram = bytes.Clone(datagram)[:len(datagram):len(datagram)]
		before := bytes.Clone(datagram)
		var s stream
		s.init([]uint16{5, 6})
		s.load(datagram, time.Unix(0, 0))
		packets := uint64(0)
		for rec := (Record{}); s.next(&rec); packets++ {
			if !within(rec.Payload, datagram) {
				t.Fatal("the payload is no part of the datagram")
			}
		}
		if !bytes.Equal(datagram, before) {
			t.Fatal("the datagram was changed")
		}
		if got := s.Stats(); got.Packets != packets || len(s.rest) != 0 {
			t.Fatalf("%d packets, %d bytes left, %+v", packets, len(s.rest), got)
		}
		fuzzMessages(t, datagram)
	})
}

// fuzzMessages parses every message twice: within the datagram and by itself.
func fuzzMessages(t *testing.T, datagram []byte) {
	for b := datagram; ; {
		m, rest, ok := cutMessage(b)
		if !ok {
			if m.body != nil || rest != nil {
				t.Fatal("ok is false, but the result is not zero")
			}
			return
		}
		if len(rest) >= len(b) || cap(m.body) != len(m.body) {
			t.Fatal("the message has no end")
		}
		var here, alone logged
		ok = parsePacket(m.body, &here)
		if ok != parsePacket(bytes.Clone(m.body), &alone) {
			t.Fatal("the result depends on the rest of the datagram")
		}
		if diff := cmp.Diff(alone, here, cmp.AllowUnexported(logged{})); diff != "" {
			t.Fatalf("the result depends on the rest of the datagram:\n%s", diff)
		}
		if !ok && (here.payload != nil || here.sequenced || here.group != 0) {
			t.Fatal("ok is false, but the result is not zero")
		}
		if !within(here.payload, m.body) {
			t.Fatal("the payload is no part of the message")
		}
		b = rest
	}
}

// within reports whether part lies within the memory of whole.
func within(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	start := uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
	return first >= start && first+uintptr(len(part)) <= start+uintptr(len(whole))
}
