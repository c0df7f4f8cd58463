package packet

import (
	"errors"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	addrSrc4 = netip.MustParseAddr("192.0.2.1")
	addrDst4 = netip.MustParseAddr("198.51.100.9")
	addrSrc6 = netip.MustParseAddr("2001:db8::1")
	addrDst6 = netip.MustParseAddr("2001:db8::2")
)

// comparing makes cmp.Diff treat an empty slice like nil.
var comparing = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })}

// from4 and from6 return the Packet that Decode should make of what ip4 and ip6
// return.
func from4(proto Protocol, length int, change func(*Packet)) Packet {
	p := Packet{Version: 4, Protocol: proto, TTL: 64, Src: addrSrc4, Dst: addrDst4, Length: length}
	change(&p)
	return p
}

func from6(proto Protocol, length int, change func(*Packet)) Packet {
	p := Packet{Version: 6, Protocol: proto, TTL: 64, Src: addrSrc6, Dst: addrDst6, Length: length}
	change(&p)
	return p
}

// isSYN sets the fields that segment writes.
func isSYN(options []byte, payload string) func(*Packet) {
	return func(p *Packet) {
		p.SrcPort, p.DstPort = 40001, 443
		p.TCP = TCPHeader{
			Seq: 0x01020304, Ack: 0x05060708, Flags: SYN, Window: 64240, Urgent: 0x090a, Options: options,
		}
		p.Payload = []byte(payload)
	}
}

func isDatagram(payload string) func(*Packet) {
	return func(p *Packet) {
		p.SrcPort, p.DstPort = 40002, 6020
		p.Payload = []byte(payload)
	}
}

func isEcho(kind uint8, payload string) func(*Packet) {
	return func(p *Packet) {
		p.ICMP = ICMPHeader{Type: kind, ID: 0x0102, Seq: 0x0304}
		p.Payload = []byte(payload)
	}
}

func both(f ...func(*Packet)) func(*Packet) {
	return func(p *Packet) {
		for _, f := range f {
			f(p)
		}
	}
}

func TestDecode(t *testing.T) {
	syn := segment(linuxOptions, "")
	isLinux := isSYN(linuxOptions, "")
	tests := []struct {
		name  string
		bytes []byte
		want  Packet
	}{
		{"SYN", ip4(TCP, syn), from4(TCP, 60, isLinux)},
		{"SYN with payload", ip4(TCP, segment(nil, "data")), from4(TCP, 44, isSYN(nil, "data"))},
		{"SYN over IPv6", ip6(6, syn), from6(TCP, 80, isLinux)},
		{"datagram", ip4(UDP, datagram("knock")), from4(UDP, 33, isDatagram("knock"))},
		{"empty datagram", ip4(UDP, datagram("")), from4(UDP, 28, isDatagram(""))},
		{"datagram over IPv6", ip6(17, datagram("knock")), from6(UDP, 53, isDatagram("knock"))},
		{"echo request", ip4(ICMP, echo(8, "ping")), from4(ICMP, 32, isEcho(8, "ping"))},
		{"echo request over IPv6", ip6(58, echo(128, "ping")), from6(ICMPv6, 52, isEcho(128, "ping"))},

		{"every field of IPv4", ip4(TCP, syn, func(b []byte) {
			b[1], b[4], b[5], b[6], b[8] = 0xb9, 0x12, 0x34, 0xc0, 57
		}), from4(TCP, 60, both(isLinux, func(p *Packet) {
			p.TOS, p.ID, p.EvilBit, p.DontFragment, p.TTL = 0xb9, 0x1234, true, true, 57
		}))},
		{"every field of IPv6", ip6(6, syn, func(b []byte) {
			b[0], b[1], b[2], b[3], b[7] = 0x6b, 0x9c, 0xde, 0xf1, 57
		}), from6(TCP, 80, both(isLinux, func(p *Packet) {
			p.TOS, p.FlowLabel, p.TTL = 0xb9, 0xcdef1, 57
		}))},
		{"every flag of TCP", ip4(TCP, syn, func(b []byte) {
			b[20+12] |= 0x0f
			b[20+13] = 0xff
		}), from4(TCP, 60, both(isLinux, func(p *Packet) {
			p.TCP.Flags = FIN | SYN | RST | PSH | ACK | URG | ECE | CWR | AE
			p.TCP.Reserved = 7
		}))},

		{"IPv4 options", ip4Options([]byte{148, 4, 0, 0}, TCP, syn), from4(TCP, 64, both(isLinux, func(p *Packet) {
			p.IPOptions = []byte{148, 4, 0, 0}
		}))},
		{"most IPv4 options", ip4Options(make([]byte, 40), UDP, datagram("x")), from4(UDP, 69, both(isDatagram("x"), func(p *Packet) {
			p.IPOptions = make([]byte, 40)
		}))},
		{"padding of the link layer", append(ip4(UDP, datagram("knock")), 0, 0, 0, 0), from4(UDP, 33, isDatagram("knock"))},
		{"padding of the link layer, IPv6", append(ip6(17, datagram("knock")), 0, 0), from6(UDP, 53, isDatagram("knock"))},
		{"payload cut by the snapshot length", ip4(UDP, datagram("knock"))[:30], from4(UDP, 33, isDatagram("kn"))},
		{"payload cut by the snapshot length, IPv6", ip6(17, datagram("knock"))[:50], from6(UDP, 53, isDatagram("kn"))},
		{"datagram shorter than its packet", ip4(UDP, datagram("knock"), func(b []byte) { b[25] = 10 }), from4(UDP, 33, isDatagram("kn"))},
		{"datagram that claims more than there is", ip4(UDP, datagram("knock"), func(b []byte) { b[25] = 200 }), from4(UDP, 33, isDatagram("knock"))},

		{"hop-by-hop options", ip6(0, slices.Concat(extension(6, 0), syn)), from6(TCP, 88, both(isLinux, func(p *Packet) { p.Extensions = 1 }))},
		{"long destination options", ip6(60, slices.Concat(extension(6, 3), syn)), from6(TCP, 112, both(isLinux, func(p *Packet) { p.Extensions = 1 }))},
		{"routing header", ip6(43, slices.Concat(extension(17, 2), datagram("x"))), from6(UDP, 73, both(isDatagram("x"), func(p *Packet) { p.Extensions = 1 }))},
		{"atomic fragment", ip6(44, slices.Concat(fragment(6, 0, false), syn)), from6(TCP, 88, both(isLinux, func(p *Packet) { p.Extensions = 1 }))},
		{"all extension headers", ip6(0, slices.Concat(
			extension(60, 0), extension(43, 1), extension(44, 2), fragment(60, 0, false), extension(58, 0), echo(128, ""),
		)), from6(ICMPv6, 112, both(isEcho(128, ""), func(p *Packet) { p.Extensions = 5 }))},
		{"most extension headers", ip6(60, slices.Concat(
			extension(60, 0), extension(60, 0), extension(60, 0), extension(60, 0),
			extension(60, 0), extension(60, 0), extension(60, 0), extension(6, 0), syn,
		)), from6(TCP, 144, both(isLinux, func(p *Packet) { p.Extensions = 8 }))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got Packet
			if err := Decode(test.bytes, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, comparing); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	syn := segment(linuxOptions, "")
	set := func(i int, v byte) func([]byte) { return func(b []byte) { b[i] = v } }
	tests := []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing", nil, ErrTruncated},
		{"IPv5", ip4(TCP, syn, set(0, 0x55)), ErrVersion},
		{"version 0", make([]byte, 60), ErrVersion},
		{"IPv4 header cut", ip4(TCP, syn)[:19], ErrTruncated},
		{"IPv4 header length below 20", ip4(TCP, syn, set(0, 0x44)), ErrMalformed},
		{"IPv4 total length below header", ip4(TCP, syn, set(3, 19)), ErrMalformed},
		{"IPv4 total length zero", ip4(TCP, syn, set(3, 0)), ErrMalformed},
		{"IPv4 options cut", ip4Options(make([]byte, 40), TCP, nil)[:59], ErrTruncated},
		{"IPv4 options beyond total length", ip4Options(make([]byte, 4), TCP, nil)[:20], ErrTruncated},
		{"IPv4 first fragment", ip4(TCP, syn, set(6, 0x20)), ErrFragment},
		{"IPv4 middle fragment", ip4(TCP, syn, set(6, 0x20), set(7, 1)), ErrFragment},
		{"IPv4 last fragment", ip4(TCP, syn, set(7, 1)), ErrFragment},
		{"IPv4 fragment at the greatest offset", ip4(TCP, syn, set(6, 0x1f)), ErrFragment},
		{"IPv4 other protocol", ip4(47, syn), ErrProtocol},
		{"ICMPv6 over IPv4", ip4(ICMPv6, echo(128, "")), ErrProtocol},

		{"IPv6 header cut", ip6(6, syn)[:39], ErrTruncated},
		{"IPv6 no next header", ip6(59, nil), ErrProtocol},
		{"IPv6 payload length zero", ip6(6, syn, set(5, 0)), ErrTruncated},
		{"IPv6 other protocol", ip6(47, syn), ErrProtocol},
		{"ICMP over IPv6", ip6(1, echo(8, "")), ErrProtocol},
		{"encrypted payload", ip6(50, syn), ErrProtocol},
		{"IPv6 extension cut", ip6(0, []byte{6}), ErrTruncated},
		{"IPv6 extension longer than the packet", ip6(0, extension(6, 3)[:24]), ErrTruncated},
		{"IPv6 extension without transport", ip6(0, extension(6, 0)), ErrTruncated},
		{"IPv6 fragment header cut", ip6(44, fragment(6, 0, false)[:7]), ErrTruncated},
		{"IPv6 first fragment", ip6(44, slices.Concat(fragment(6, 0, true), syn)), ErrFragment},
		{"IPv6 last fragment", ip6(44, slices.Concat(fragment(6, 1, false), syn)), ErrFragment},
		{"IPv6 fragment behind other headers", ip6(0, slices.Concat(extension(44, 0), fragment(6, 9, true), syn)), ErrFragment},
		{"IPv6 too many extensions", ip6(60, slices.Concat(
			extension(60, 0), extension(60, 0), extension(60, 0), extension(60, 0), extension(60, 0),
			extension(60, 0), extension(60, 0), extension(60, 0), extension(6, 0), syn,
		)), ErrExtensions},

		{"TCP header cut", ip4(TCP, syn)[:39], ErrTruncated},
		{"TCP header cut by the total length", ip4(TCP, syn, set(3, 39)), ErrTruncated},
		{"TCP options cut", ip4(TCP, syn)[:59], ErrTruncated},
		{"TCP options cut by the total length", ip4(TCP, syn, set(3, 59)), ErrTruncated},
		{"TCP data offset below 20", ip4(TCP, syn, set(20+12, 0x40)), ErrMalformed},
		{"UDP header cut", ip4(UDP, datagram(""))[:27], ErrTruncated},
		{"UDP length below 8", ip4(UDP, datagram("x"), set(20+5, 7)), ErrMalformed},
		{"ICMP header cut", ip4(ICMP, echo(8, ""))[:27], ErrTruncated},
		{"ICMPv6 header cut", ip6(58, echo(128, ""))[:47], ErrTruncated},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Packet{Version: 9, Payload: []byte("left over")}
			if err := Decode(test.bytes, &got); !errors.Is(err, test.want) {
				t.Errorf("got error %v, want %v", err, test.want)
			}
			if !reflect.ValueOf(got).IsZero() {
				t.Errorf("error, but also %+v", got)
			}
		})
	}
}

func TestDecodeResetsThePacket(t *testing.T) {
	var got Packet
	for _, b := range [][]byte{
		ip6(0, slices.Concat(extension(6, 0), segment(linuxOptions, "data"))),
		ip4Options(make([]byte, 4), TCP, segment(nil, "")),
		ip4(ICMP, echo(8, "")),
		ip4(UDP, datagram("x")),
	} {
		if err := Decode(b, &got); err != nil {
			t.Fatal(err)
		}
	}
	want := from4(UDP, 29, isDatagram("x"))
	if diff := cmp.Diff(want, got, comparing); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKindsOfPackets(t *testing.T) {
	flagged := func(flags TCPFlags) Packet { return Packet{Protocol: TCP, TCP: TCPHeader{Flags: flags}} }
	message := func(proto Protocol, kind uint8) Packet { return Packet{Protocol: proto, ICMP: ICMPHeader{Type: kind}} }
	tests := []struct {
		name     string
		p        Packet
		syn, req bool
	}{
		{"SYN", flagged(SYN), true, false},
		{"SYN that asks for ECN", flagged(SYN | ECE | CWR | AE), true, false},
		{"SYN with push and urgent", flagged(SYN | PSH | URG), true, false},
		{"SYN and ACK", flagged(SYN | ACK), false, false},
		{"SYN and RST", flagged(SYN | RST), false, false},
		{"SYN and FIN", flagged(SYN | FIN), false, false},
		{"no flag", flagged(0), false, false},
		{"datagram", Packet{Protocol: UDP, TCP: TCPHeader{Flags: SYN}}, false, false},
		{"echo request", message(ICMP, 8), false, true},
		{"echo reply", message(ICMP, 0), false, false},
		{"echo request of IPv6", message(ICMPv6, 128), false, true},
		{"echo reply of IPv6", message(ICMPv6, 129), false, false},
		{"ICMP with ICMPv6's number", message(ICMP, 128), false, false},
		{"ICMPv6 with ICMP's number", message(ICMPv6, 8), false, false},
		{"nothing", Packet{}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.p.PureSYN(); got != test.syn {
				t.Errorf("PureSYN: %v", got)
			}
			if got := test.p.EchoRequest(); got != test.req {
				t.Errorf("EchoRequest: %v", got)
			}
		})
	}
}

func TestProtocolNames(t *testing.T) {
	for proto, want := range map[Protocol]string{ICMP: "icmp", TCP: "tcp", UDP: "udp", ICMPv6: "ipv6-icmp", 47: "unknown"} {
		if got := proto.String(); got != want {
			t.Errorf("%d: got %q, want %q", proto, got, want)
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	var p Packet
	syn := segment(linuxOptions, "")
	for name, b := range map[string][]byte{
		"SYN":       ip4(TCP, syn),
		"SYN, IPv6": ip6(0, slices.Concat(extension(6, 0), syn)),
		"datagram":  ip4(UDP, datagram("knock")),
		"echo":      ip6(58, echo(128, "ping")),
		"refused":   ip4(TCP, syn, func(b []byte) { b[6] = 0x20 }),
		"truncated": ip4(TCP, syn)[:50],
		"nothing":   nil,
	} {
		if n := testing.AllocsPerRun(100, func() { _ = Decode(b, &p) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// inside reports whether part lies within whole.
func inside(whole, part []byte) bool {
	if len(part) == 0 {
		return true
	}
	start, end := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(len(whole))
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at >= start && at-start+uintptr(len(part)) <= end
}

func FuzzDecode(f *testing.F) {
	syn := segment(linuxOptions, "data")
	for _, b := range [][]byte{
		ip4(TCP, syn), ip6(6, syn), ip4Options(make([]byte, 8), TCP, syn),
		ip4(UDP, datagram("knock")), ip6(17, datagram("")),
		ip4(ICMP, echo(8, "ping")), ip6(58, echo(128, "ping")),
		ip6(0, slices.Concat(extension(60, 1), extension(43, 0), extension(44, 0), fragment(6, 0, false), syn)),
		ip4(TCP, segment([]byte{5, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, "")),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := slices.Clone(b)
		p := Packet{Version: 9}
		if err := Decode(b, &p); err != nil {
			if !reflect.ValueOf(p).IsZero() {
				t.Fatalf("%v, but also %+v", err, p)
			}
			return
		}
		for _, part := range [][]byte{p.IPOptions, p.TCP.Options, p.Payload} {
			if !inside(b, part) {
				t.Fatal("a slice outside of the input")
			}
		}
		if int(p.Version) != int(b[0]>>4) || !p.Src.IsValid() || !p.Dst.IsValid() || p.Src.Is4() != (p.Version == 4) {
			t.Fatalf("version and addresses: %+v", p)
		}
		if len(p.Payload) > p.Length || len(p.IPOptions) > 40 || len(p.TCP.Options) > 40 || p.Extensions > maxExtensions {
			t.Fatalf("out of bounds: %+v", p)
		}
		walked := 0
		rest := p.TCP.Options
		for opt, next, ok := rest.Next(); ok; opt, next, ok = next.Next() {
			walked++
			if !inside(b, opt.Data) || !inside(b, next) || len(next) >= len(rest) {
				t.Fatal("an option outside of the input, or no progress")
			}
			rest = next
		}
		if walked > 40 {
			t.Fatalf("%d options in 40 bytes", walked)
		}
		if !slices.Equal(b, before) {
			t.Fatal("the input was changed")
		}
	})
}
