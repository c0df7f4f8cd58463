package policy

import (
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
)

// KnockPorts are ports that an access knocks on.
type KnockPorts struct {
	TCP, UDP    bool
	First, Last uint16 // inclusive
}

// KnockPorts gives the ports that the access knocks on: for a shared sequence
// each element with a port, in order, and one range for all other kinds.
func (a *Access) KnockPorts() []KnockPorts {
	if a.Knock != KnockShared {
		return []KnockPorts{a.knockRange()}
	}
	var all []KnockPorts
	for _, el := range ports(a.Sequence) {
		all = append(all, KnockPorts{
			TCP: el.Protocol == packet.TCP, UDP: el.Protocol == packet.UDP,
			First: el.Port, Last: el.Port,
		})
	}
	return all
}

// knockRange gives the ports of a knock that is no shared one.
func (a *Access) knockRange() KnockPorts {
	if a.Knock == KnockSPA {
		return KnockPorts{UDP: true, First: a.Port, Last: a.Port}
	}
	width := 256 // a byte
	switch {
	case a.Knock == KnockTOTP:
		width = totp.Lanes * totp.LaneWidth
	case a.Encoding == EncodingSIV:
		width = seal.SIVLen6 * seal.LaneWidth
	}
	return KnockPorts{
		TCP: a.Protocol != ProtocolUDP, UDP: a.Protocol != ProtocolTCP,
		First: a.PortBase, Last: a.PortBase + uint16(width-1),
	}
}

// has reports whether packets of a protocol may knock.
func (k KnockPorts) has(p packet.Protocol) bool {
	return p == packet.TCP && k.TCP || p == packet.UDP && k.UDP
}

// common gives the first port that is one of k and lies from first to last.
func (k KnockPorts) common(p packet.Protocol, first, last uint16) (knock.Element, bool) {
	low := max(k.First, first)
	return knock.Element{Protocol: p, Port: low}, k.has(p) && low <= min(k.Last, last)
}

// firstIn gives the first of the ports that is in a set.
func (k KnockPorts) firstIn(set map[knock.Element]bool) (knock.Element, bool) {
	for port := int(k.First); port <= int(k.Last); port++ {
		for _, p := range []packet.Protocol{packet.TCP, packet.UDP} {
			if el := (knock.Element{Protocol: p, Port: uint16(port)}); k.has(p) && set[el] {
				return el, true
			}
		}
	}
	return knock.Element{}, false
}
