package knock

import (
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

func TestTags(t *testing.T) {
	syn := func(id, port uint16, seq uint32) packet.Packet {
		return packet.Packet{Version: 4, Protocol: packet.TCP, ID: id, SrcPort: port, TCP: packet.TCPHeader{Seq: seq}}
	}
	datagram := func(version uint8, id, port uint16) packet.Packet {
		return packet.Packet{Version: version, Protocol: packet.UDP, ID: id, SrcPort: port}
	}
	echo := func(id, echoID, seq uint16) packet.Packet {
		return packet.Packet{Version: 4, Protocol: packet.ICMP, ID: id, ICMP: packet.ICMPHeader{ID: echoID, Seq: seq}}
	}
	of := func(p packet.Packet) tag { return (&arrival{packet: &p}).tag() }
	for _, c := range []struct {
		name string
		a, b packet.Packet
		want bool
	}{
		{"a SYN, its IP ID counted up", syn(1, 40000, 7), syn(2, 40000, 7), true},
		{"another sequence number", syn(1, 40000, 7), syn(1, 40000, 8), false},
		{"another port", syn(1, 40000, 7), syn(1, 40001, 7), false},
		{"a datagram twice", datagram(4, 9, 40000), datagram(4, 9, 40000), true},
		{"another datagram", datagram(4, 9, 40000), datagram(4, 10, 40000), false},
		{"an echo request twice", echo(9, 1, 1), echo(9, 1, 1), true},
		{"another IP ID", echo(9, 1, 1), echo(10, 1, 1), false},
		{"another echo", echo(9, 1, 1), echo(9, 1, 2), false},
	} {
		if got := of(c.a) == of(c.b); got != c.want {
			t.Errorf("%s: same tag %v, want %v", c.name, got, c.want)
		}
		if of(c.a) == 0 {
			t.Errorf("%s: no tag", c.name)
		}
	}
	for name, p := range map[string]packet.Packet{
		"UDP over IPv6":       datagram(6, 0, 40000),
		"echo over IPv6":      {Version: 6, Protocol: packet.ICMPv6, ICMP: packet.ICMPHeader{ID: 5, Seq: 1}},
		"a datagram, no ID":   datagram(4, 0, 40000),
		"a SYN numbered zero": syn(1, 40000, 0),
	} {
		if g := of(p); g != 0 {
			t.Errorf("%s: tag %d, want none", name, g)
		}
	}
}

// Guards are bounded, and are freed when their time is over.
func TestGuardsAreFreed(t *testing.T) {
	sequence := []port.Range{port.Single(packet.TCP, 1000), port.Single(packet.TCP, 2000)}
	e, err := New(Config{
		Accesses:   []Access{{Name: "test", Knock: Shared{Sequence: sequence, Within: time.Minute}}},
		Tripwires:  []port.Range{port.Single(packet.TCP, 666)},
		MaxSources: 512,
	})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(0, 0)
	touch := func(src netip.Addr, port uint16) {
		e.Handle(at, &packet.Packet{Version: 4, Protocol: packet.TCP, Src: src, DstPort: port, TCP: packet.TCPHeader{Flags: packet.SYN, Seq: 7}})
	}
	for i := range uint32(100) {
		last := []uint16{2000, 666}[i%2] // complete, or voided
		touch(v4(i), 1000)
		touch(v4(i), last)
		if want := min(int(i)+1, 32); e.shared.guards.len != want {
			t.Fatalf("%d guards after %d knocks, want %d", e.shared.guards.len, i+1, want)
		}
	}
	at = at.Add(time.Duration(lastRetransmission) + time.Second)
	for range 32 / expiries {
		touch(v4(1), 443)
	}
	if n := e.shared.guards.len; n != 0 {
		t.Errorf("%d guards left, want none", n)
	}
	e.shared.guards.check(t)
}
