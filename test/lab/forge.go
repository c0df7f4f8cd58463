package lab

import (
	"net/netip"
	"syscall"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Stack holds the fields of a SYN that depend on the operating system.
type Stack struct {
	TTL     uint8
	ID      uint16
	Window  uint16
	Options []layers.TCPOption
}

// Windows is the SYN of Windows 10 and 11 in captures.
var Windows = Stack{
	TTL:    128,
	ID:     4711,
	Window: 64240,
	Options: []layers.TCPOption{
		{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
		{OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{8}},
		{OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindNop},
		{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
	},
}

// SYN sends one forged SYN from the client to an IPv4 address of the server.
func (c *Client) SYN(server netip.Addr, port uint16, s Stack) error {
	ip := &layers.IPv4{
		Version: 4, TTL: s.TTL, Id: s.ID, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolTCP,
		SrcIP: c.Addr4.AsSlice(), DstIP: server.AsSlice(),
	}
	tcp := &layers.TCP{
		SrcPort: 40000, DstPort: layers.TCPPort(port), Seq: 1, SYN: true, Window: s.Window, Options: s.Options,
	}
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		return err
	}
	return c.raw(server, ip, tcp)
}

// Datagram sends one datagram with a forged source address to an IPv4 address of the
// server.
func (c *Client) Datagram(from, server netip.Addr, port uint16) error {
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: from.AsSlice(), DstIP: server.AsSlice(),
	}
	udp := &layers.UDP{SrcPort: 40000, DstPort: layers.UDPPort(port)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return err
	}
	return c.raw(server, ip, udp)
}

// raw sends a packet with the IP header in parts.
func (c *Client) raw(to netip.Addr, parts ...gopacket.SerializableLayer) error {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...); err != nil {
		return err
	}
	return c.Do(func() error {
		// IPPROTO_RAW implies IP_HDRINCL (man 7 raw).
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.IPPROTO_RAW)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		return syscall.Sendto(fd, b.Bytes(), 0, &syscall.SockaddrInet4{Addr: to.As4()})
	})
}
