package knock

import "nftknock/pkg/packet"

// Protocols says over which protocols the packets of a knock may come.
type Protocols struct{ TCP, UDP bool }

func (p Protocols) has(protocol packet.Protocol) bool {
	switch protocol {
	case packet.TCP:
		return p.TCP
	case packet.UDP:
		return p.UDP
	}
	return false
}
