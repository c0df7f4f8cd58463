package doctor

import (
	"net/netip"
	"testing"
)

// The trace of another packet from the same address, such as the RST of the proof before, is
// not that of this one.
func TestFollowOnePacket(t *testing.T) {
	source := netip.MustParseAddr("192.0.2.2")
	s := &stage{source: source, packets: make(chan []byte), traces: make(chan trace, 8), sent: flow{dns, source.Next(), 40002}}
	step := func(id uint32, port uint16, verdict uint32) trace {
		return trace{traceStep: traceStep{kind: traceRule, name: "c", handle: uint64(id), verdict: verdict}, id: id, from: source, port: port}
	}
	const drop, accept = 0, 1
	for _, tr := range []trace{step(7, 40001, accept), step(8, 40002, accept), step(7, 0, accept), step(8, 0, drop)} {
		s.traces <- tr
	}
	got, err := s.follow(t.Context())
	if err != nil || !got.stopped || got.steps != 2 || got.last.handle != 8 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Where the networks for documentation are in use, another one is taken.
func TestFreeNetwork(t *testing.T) {
	h := &Host{Links: []Link{{Name: "eth0", Index: 2, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.77/24")}}},
		Routes: []Route{{netip.MustParsePrefix("198.51.100.0/24"), 2}, {netip.MustParsePrefix("0.0.0.0/0"), 2}}}
	if got, err := freeNetwork(false, h); err != nil || got.String() != "203.0.113.0/30" {
		t.Errorf("got %v, %v", got, err)
	}
	h.Routes = append(h.Routes, Route{netip.MustParsePrefix("203.0.0.0/8"), 2})
	if got, err := freeNetwork(false, h); err == nil {
		t.Errorf("got %v", got)
	}
}

// A trace is parsed or refused, and one that stops a packet says where.
func FuzzTrace(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 3, 6, 0, 1, 0, 't', 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parseTrace(b)
		if err != nil && got != (trace{}) {
			t.Errorf("%v with %+v", err, got)
		}
		if got.stops() && got.kind != traceRule && got.kind != tracePolicy {
			t.Errorf("%+v stops", got)
		}
	})
}
