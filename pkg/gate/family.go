package gate

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// family holds what differs between IPv4 and IPv6.
type family struct {
	nfproto byte
	word    string // what nft calls its header
	digit   string // in the names of our sets
	bits    int    // of an address
	address nftables.SetDatatype
	saddr   uint32 // offset in the header
	daddr   uint32

	icmpWord    string
	icmp        packet.Protocol
	echoRequest byte
}

func ipv4() family {
	return family{
		nfproto: unix.NFPROTO_IPV4, word: "ip", digit: "4", bits: 32, address: nftables.TypeIPAddr, saddr: 12, daddr: 16,
		icmpWord: "icmp", icmp: packet.ICMP, echoRequest: 8, // RFC 792
	}
}

func ipv6() family {
	return family{
		nfproto: unix.NFPROTO_IPV6, word: "ip6", digit: "6", bits: 128, address: nftables.TypeIP6Addr, saddr: 8, daddr: 24,
		icmpWord: "icmpv6", icmp: packet.ICMPv6, echoRequest: 128, // RFC 4443
	}
}

// families are both, in the order in which the table has them.
func families() []family { return []family{ipv4(), ipv6()} }

// familyOf is the family of an address that is no IPv4 address inside IPv6.
func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4()
	}
	return ipv6()
}

// title is its name for people.
func (f family) title() string { return "IPv" + f.digit }

func (f family) addrLen() uint32 { return uint32(f.bits / 8) }

// guard keeps packets of the other family from what follows.
func (f family) guard() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: reg1},
		equal(f.nfproto),
	}
}

func (f family) loadSource(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.saddr, Len: f.addrLen()}
}

func (f family) loadDestination(register uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: f.daddr, Len: f.addrLen()}
}

// mask is that of a prefix.
func (f family) mask(bits int) []byte {
	m := make([]byte, f.addrLen())
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}
