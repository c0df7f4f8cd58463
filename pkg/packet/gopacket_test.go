package packet

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nftknock/test/captures"
)

// captureFiles returns the captures of testdata, and those of captures.Corpus if
// it exists.
func captureFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*.pcap")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures in testdata: %v", err)
	}
	more, err := filepath.Glob(captures.Corpus() + "/*/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if len(more) == 0 {
		t.Logf("no captures in %s: tested with testdata only", captures.Corpus())
	}
	return append(names, more...)
}

// Decode and gopacket's decoder agree on every packet of every capture.
func TestAgreesWithGopacketOnCaptures(t *testing.T) {
	total, options := 0, 0
	for _, name := range captureFiles(t) {
		for i, b := range captures.Read(t, name) {
			total++
			options += agree(t, fmt.Sprintf("%s %d", name, i+1), b)
		}
	}
	t.Logf("%d packets, %d TCP options", total, options)
}

// The captures hold only SYNs; the other kinds of packets are written by gopacket.
func TestAgreesWithGopacketOnPacketsItWrites(t *testing.T) {
	ip4 := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TOS: 0x12, Id: 77, Flags: layers.IPv4DontFragment, TTL: 63, Protocol: p, SrcIP: src4, DstIP: dst4,
			Options: []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}}
	}
	ip6 := func(p layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, TrafficClass: 0x34, FlowLabel: 0x56789, NextHeader: p, HopLimit: 62, SrcIP: src6, DstIP: dst6}
	}
	udp := &layers.UDP{SrcPort: 1234, DstPort: 6020}
	syn := &layers.TCP{SrcPort: 1, DstPort: 65535, Seq: 1 << 31, Ack: 9, SYN: true, ACK: true, URG: true, Window: 5, Urgent: 6}
	echo4 := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 0xabcd, Seq: 0x1234}
	unreachable := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 13)}
	echo6 := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	echo6Body := &layers.ICMPv6Echo{Identifier: 0xabcd, SeqNumber: 0x1234}
	destination := &layers.IPv6Destination{Options: []*layers.IPv6DestinationOption{{OptionType: 30, OptionLength: 4, OptionData: []byte{1, 2, 3, 4}}}}
	destination.NextHeader = layers.IPProtocolUDP
	payload := gopacket.Payload("some payload")
	tests := []struct {
		name   string
		layers []gopacket.SerializableLayer
	}{
		{"datagram", []gopacket.SerializableLayer{ip4(layers.IPProtocolUDP), udp, payload}},
		{"datagram over IPv6", []gopacket.SerializableLayer{ip6(layers.IPProtocolUDP), udp, payload}},
		{"datagram behind destination options", []gopacket.SerializableLayer{ip6(layers.IPProtocolIPv6Destination), destination, udp, payload}},
		{"segment", []gopacket.SerializableLayer{ip4(layers.IPProtocolTCP), syn, payload}},
		{"segment over IPv6", []gopacket.SerializableLayer{ip6(layers.IPProtocolTCP), syn, payload}},
		{"echo", []gopacket.SerializableLayer{ip4(layers.IPProtocolICMPv4), echo4, payload}},
		{"unreachable", []gopacket.SerializableLayer{ip4(layers.IPProtocolICMPv4), unreachable, payload}},
		{"echo over IPv6", []gopacket.SerializableLayer{ip6(layers.IPProtocolICMPv6), echo6, echo6Body, payload}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			network := test.layers[0].(gopacket.NetworkLayer)
			for _, l := range []interface {
				SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
			}{udp, syn, echo6} {
				if err := l.SetNetworkLayerForChecksum(network); err != nil {
					t.Fatal(err)
				}
			}
			buf := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, test.layers...); err != nil {
				t.Fatal(err)
			}
			agree(t, test.name, buf.Bytes())
		})
	}
}

// agree decodes b with both decoders, fails the test where they differ, and
// returns the number of TCP options.
func agree(t *testing.T, name string, b []byte) int {
	t.Helper()
	var got Packet
	if err := Decode(b, &got); err != nil {
		t.Errorf("%s: %v", name, err)
		return 0
	}
	want, wantOptions, ok := byGopacket(b)
	if !ok {
		t.Errorf("%s: gopacket does not decode it", name)
		return 0
	}
	gotOptions, rest := walk(got.TCP.Options)
	if len(rest) > 0 {
		t.Errorf("%s: option cannot be read: % x", name, rest)
	}
	compared := gotOptions
	if n := len(wantOptions); n < len(gotOptions) && gotOptions[n].Kind == OptionMPTCP {
		// gopacket also decodes the content of Multipath TCP options and stops
		// at one that is too short for its subtype. Decode does not.
		t.Logf("%s: gopacket stops at %v", name, gotOptions[n])
		compared = gotOptions[:n]
	}
	if diff := cmp.Diff(wantOptions, compared, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: options (-gopacket +got):\n%s", name, diff)
	}
	// gopacket has no field for the raw bytes, only for the decoded options.
	got.TCP.Options, got.IPOptions = nil, nil
	if diff := cmp.Diff(want, got, comparing); diff != "" {
		t.Errorf("%s: (-gopacket +got):\n%s", name, diff)
	}
	return len(gotOptions)
}

// byGopacket returns the Packet that Decode should make of b, but without IPOptions
// and TCP.Options.
func byGopacket(b []byte) (p Packet, options []Option, ok bool) {
	first := layers.LayerTypeIPv4
	if b[0]>>4 == 6 {
		first = layers.LayerTypeIPv6
	}
	decoded := gopacket.NewPacket(b, first, gopacket.NoCopy)
	for _, layer := range decoded.Layers() {
		switch l := layer.(type) {
		case *layers.IPv4:
			p = fromIPv4(l)
		case *layers.IPv6:
			p = fromIPv6(l)
		case *layers.IPv6HopByHop, *layers.IPv6Destination, *layers.IPv6Routing, *layers.IPv6Fragment:
			p.Extensions++
		case *layers.TCP:
			p.Protocol = TCP
			p.SrcPort, p.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			p.TCP = fromTCP(l)
			p.Payload = l.Payload
			return p, optionsOf(l), true
		case *layers.UDP:
			p.Protocol = UDP
			p.SrcPort, p.DstPort = uint16(l.SrcPort), uint16(l.DstPort)
			p.Payload = l.Payload
			return p, nil, true
		case *layers.ICMPv4:
			p.Protocol = ICMP
			p.ICMP = ICMPHeader{Type: l.TypeCode.Type(), Code: l.TypeCode.Code(), ID: l.Id, Seq: l.Seq}
			p.Payload = l.Payload
			return p, nil, true
		case *layers.ICMPv6:
			p.Protocol = ICMPv6
			p.ICMP = ICMPHeader{Type: l.TypeCode.Type(), Code: l.TypeCode.Code()}
		case *layers.ICMPv6Echo:
			p.ICMP.ID, p.ICMP.Seq = l.Identifier, l.SeqNumber
			// gopacket's echo layer keeps identifier and number in its payload.
			p.Payload = bytes.TrimPrefix(l.Payload, l.Contents)
			return p, nil, true
		}
	}
	return Packet{}, nil, false
}

func fromIPv4(l *layers.IPv4) Packet {
	src, _ := netip.AddrFromSlice(l.SrcIP)
	dst, _ := netip.AddrFromSlice(l.DstIP)
	return Packet{
		Version: l.Version, TTL: l.TTL, TOS: l.TOS, Src: src, Dst: dst, Length: int(l.Length), ID: l.Id,
		DontFragment: l.Flags&layers.IPv4DontFragment != 0,
		EvilBit:      l.Flags&layers.IPv4EvilBit != 0,
	}
}

func fromIPv6(l *layers.IPv6) Packet {
	src, _ := netip.AddrFromSlice(l.SrcIP)
	dst, _ := netip.AddrFromSlice(l.DstIP)
	return Packet{
		Version: l.Version, TTL: l.HopLimit, TOS: l.TrafficClass, Src: src, Dst: dst,
		Length: 40 + int(l.Length), FlowLabel: l.FlowLabel,
	}
}

func fromTCP(l *layers.TCP) TCPHeader {
	h := TCPHeader{Seq: l.Seq, Ack: l.Ack, Window: l.Window, Urgent: l.Urgent}
	for i, set := range []bool{l.FIN, l.SYN, l.RST, l.PSH, l.ACK, l.URG, l.ECE, l.CWR, l.NS} {
		if set {
			h.Flags |= 1 << i
		}
	}
	// gopacket has no field for the reserved bits.
	h.Reserved = l.Contents[12] >> 1 & 7
	return h
}

// optionsOf returns gopacket's options; it ends the list with the end option
// and keeps the padding apart.
func optionsOf(l *layers.TCP) []Option {
	var all []Option
	for _, o := range l.Options {
		opt := Option{Kind: OptionKind(o.OptionType), Data: slices.Clone(o.OptionData)}
		if opt.Kind == OptionEnd {
			opt.Data = l.Padding
		}
		all = append(all, opt)
	}
	return all
}
