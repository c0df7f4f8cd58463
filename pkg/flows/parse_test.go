package flows

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// entry returns a message about an entry in the form that the kernel writes.
func entry(p packet.Protocol, original, reply Tuple, more ...netlink.Attribute) []byte {
	list := append([]netlink.Attribute{
		{Type: netlink.Nested | attrOriginal, Data: encodeTuple(p, original)},
		{Type: netlink.Nested | attrReply, Data: encodeTuple(p, reply)},
		{Type: attrID, Data: []byte{0, 0, 1, 2}},
		{Type: attrZone, Data: []byte{0, 9}},
	}, more...)
	return append([]byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}, attributes(list...)...)
}

func tuple(source, destination string) Tuple {
	return Tuple{netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)}
}

func TestParseFlow(t *testing.T) {
	v4, v6 := tuple("192.0.2.1:1000", "198.51.100.1:22"), tuple("[2001:db8::1]:1000", "[2001:db8::2]:53")
	good := entry(packet.TCP, v4, v4.Reversed())
	for name, tt := range map[string]struct {
		data []byte
		want Flow
		ok   bool
	}{
		"ok TCP": {good, Flow{Protocol: packet.TCP, Original: v4, Reply: v4.Reversed(), ID: 0x102, Zone: 9}, true},
		"ok UDP": {entry(packet.UDP, v6, v6.Reversed(), netlink.Attribute{Type: attrLabels, Data: []byte{1, 0x80}}),
			Flow{Protocol: packet.UDP, Original: v6, Reply: v6.Reversed(), ID: 0x102, Zone: 9, Labels: [16]byte{1, 0x80}}, true},
		"bad protocol":             {entry(packet.ICMP, v4, v4.Reversed()), Flow{}, false},
		"bad mixture of families":  {entry(packet.TCP, Tuple{v4.Source, v6.Destination}, v4.Reversed()), Flow{}, false},
		"bad without a reply":      {good[:4+len(attributes(netlink.Attribute{Type: netlink.Nested | attrOriginal, Data: encodeTuple(packet.TCP, v4)}))], Flow{}, false},
		"bad, cut in an attribute": {good[:len(good)-14], Flow{}, false},
		"bad, shorter than header": {good[:3], Flow{}, false},
		"bad, nothing":             {nil, Flow{}, false},
	} {
		if got, ok := parseFlow(tt.data); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, ok, tt.want, tt.ok)
		}
	}
}

// A connection is over in TIME_WAIT and CLOSE, and not in a simultaneous open, whose
// state has a higher number.
func TestStates(t *testing.T) {
	v4 := tuple("192.0.2.1:1000", "198.51.100.1:22")
	for state, want := range map[byte]bool{1: false, 3: false, 6: false, 7: true, 8: true, 9: false} {
		tcp := attributes(netlink.Attribute{Type: netlink.Nested | 1, Data: attributes(netlink.Attribute{Type: 1, Data: []byte{state}})})
		f, ok := parseFlow(entry(packet.TCP, v4, v4.Reversed(), netlink.Attribute{Type: netlink.Nested | attrState, Data: tcp}))
		if !ok || f.Over != want {
			t.Errorf("state %d: over %v, %v; want %v", state, f.Over, ok, want)
		}
	}
}

// Without tcp_diag a listing of sockets is answered by ENOENT, which elsewhere stands for
// a connection that has ended.
func TestExplain(t *testing.T) {
	if err := explainDump(unix.ENOENT); !errors.Is(err, ErrUnsupported) || errors.Is(err, ErrGone) {
		t.Errorf("a listing: %v", err)
	}
	if err := explain(unix.ENOENT); !errors.Is(err, ErrGone) {
		t.Errorf("a connection: %v", err)
	}
}

func FuzzParseFlow(f *testing.F) {
	v4, v6 := tuple("192.0.2.1:1000", "198.51.100.1:22"), tuple("[2001:db8::1]:1000", "[2001:db8::2]:53")
	f.Add(entry(packet.TCP, v4, v4.Reversed()))
	f.Add(entry(packet.UDP, v6, v6.Reversed(), netlink.Attribute{Type: attrLabels, Data: make([]byte, 16)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		flow, ok := parseFlow(data)
		if !ok {
			if flow != (Flow{}) {
				t.Errorf("%+v and not ok", flow)
			}
			return
		}
		again, ok := parseFlow(entry(flow.Protocol, flow.Original, flow.Reply))
		if !ok || again.Protocol != flow.Protocol || again.Original != flow.Original || again.Reply != flow.Reply {
			t.Errorf("%+v, and again %+v", flow, again)
		}
	})
}

func FuzzParseSocket(f *testing.F) {
	data := make([]byte, idInMsg+sockidLen)
	data[0] = unix.AF_INET
	f.Add(data)
	six := append([]byte{}, data...)
	six[0] = unix.AF_INET6
	f.Add(six)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := parseSocket(data)
		switch {
		case !ok && s != (Socket{}):
			t.Errorf("%+v and not ok", s)
		case ok && (!s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Is4In6()):
			t.Errorf("%+v", s)
		}
	})
}
