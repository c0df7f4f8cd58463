package gate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// What tells a hidden port from a closed one with hide = "reject", by anything
// in the answer: the kernel's own reset repeats the type of service (IPv4) or
// the traffic class (IPv6) of the segment and has a flow label, and that of nf_tables
// (net/ipv4/netfilter/nf_reject_ipv4.c and its like for IPv6) has neither.
func TestRejectedPortsDifferFromClosedOnesInThis(t *testing.T) {
	r := newRoad(t, Config{})
	r.serve(":22")
	apply(t, r.gate, &Ruleset{Hide: Reject, Protected: services("tcp/22")})
	const plain, marked = 0, 0xb8 // expedited forwarding
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		class    uint8
		want     []string
	}{
		{"IPv4", addr("11.0.0.77"), addr(server4), plain, nil},
		{"IPv4 with a type of service", addr("11.0.0.77"), addr(server4), marked, []string{"TOS"}},
		{"IPv6", addr(client6), addr(server6), plain, []string{"FlowLabel"}},
		{"IPv6 with a traffic class", addr(client6), addr(server6), marked, []string{"FlowLabel", "TrafficClass"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hidden := r.answer(tt.src, tt.dst, 22, tt.class)
			closed := r.answer(tt.src, tt.dst, 2222, tt.class)
			var differ []string
			for field, value := range closed {
				if hidden[field] != value {
					differ = append(differ, field)
				}
			}
			slices.Sort(differ)
			if !slices.Equal(differ, tt.want) {
				t.Errorf("they differ in %v, want %v\nhidden %v\nclosed %v", differ, tt.want, hidden, closed)
			}
		})
	}
}

// answer sends a SYN and gives every field of the reset that comes back.
func (r *road) answer(src, dst netip.Addr, port uint16, class uint8) map[string]string {
	r.t.Helper()
	listener := r.open(true)
	sport := layers.TCPPort(30000 + port)
	f := r.frame(src, dst, &layers.TCP{SrcPort: sport, DstPort: layers.TCPPort(port), Seq: 77, SYN: true, Window: 1024}, nil)
	f = withClass(f, class)
	if _, err := r.sender.Send([][]byte{f}); err != nil {
		r.t.Fatal(err)
	}
	answer, err := listener.Receive(5*time.Second, func(f []byte) bool {
		tcp, ok := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
		return ok && tcp.RST && tcp.DstPort == sport
	})
	if err != nil {
		r.t.Fatalf("no reset from port %d: %v", port, err)
	}
	return fields(gopacket.NewPacket(answer, layers.LayerTypeEthernet, gopacket.Default))
}

// withClass sets the type of service or the traffic class of a frame.
func withClass(f []byte, class uint8) []byte {
	ip := f[14:]
	if ip[0]>>4 == 6 {
		ip[0], ip[1] = 6<<4|class>>4, class<<4|ip[1]&0xf
		return f
	}
	ip[1] = class
	// The checksum of the header, over ten words (RFC 1071).
	ip[10], ip[11] = 0, 0
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(ip[i])<<8 | uint32(ip[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	ip[10], ip[11] = byte(sum>>8), byte(sum)
	return f
}

// fields are those of a reset, but for what depends on the port.
func fields(p gopacket.Packet) map[string]string {
	all := make(map[string]string)
	put := func(name string, value any) { all[name] = fmt.Sprint(value) }
	if ip, ok := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4); ok {
		put("TOS", ip.TOS)
		put("Id", ip.Id)
		put("Flags", ip.Flags)
		put("TTL", ip.TTL)
		put("Length", ip.Length)
		put("Options", ip.Options)
	}
	if ip, ok := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6); ok {
		put("TrafficClass", ip.TrafficClass)
		put("FlowLabel", ip.FlowLabel != 0)
		put("HopLimit", ip.HopLimit)
		put("Length", ip.Length)
	}
	tcp := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	put("Flags of TCP", strings.Join([]string{fmt.Sprint(tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR)}, ""))
	put("Seq", tcp.Seq)
	put("Ack", tcp.Ack)
	put("Window", tcp.Window)
	put("Urgent", tcp.Urgent)
	put("Options of TCP", tcp.Options)
	return all
}
