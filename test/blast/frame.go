package blast

import (
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Frame returns a frame with Ethernet and IP headers, a transport header and payload. src
// and dst must be of one family. Its parameters: one per field of the frame that differs
// between callers.
func Frame(from, to net.HardwareAddr, src, dst netip.Addr, transport gopacket.SerializableLayer, payload []byte) ([]byte, error) {
	eth := &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	protocol := layers.IPProtocolTCP
	switch transport.(type) {
	case *layers.UDP:
		protocol = layers.IPProtocolUDP
	case *layers.ICMPv4:
		protocol = layers.IPProtocolICMPv4
	case *layers.ICMPv6:
		protocol = layers.IPProtocolICMPv6
	}
	if src.Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	// The checksums of TCP, UDP and ICMPv6 cover a pseudo header with the addresses.
	if t, ok := transport.(interface {
		SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
	}); ok {
		if err := t.SetNetworkLayerForChecksum(ip); err != nil {
			return nil, err
		}
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		eth, ip, transport, gopacket.Payload(payload))
	return b.Bytes(), err
}
