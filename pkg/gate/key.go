package gate

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"nftknock/pkg/packet"
)

// The key of an element is the concatenation of its fields, each padded to
// the 4 bytes of a register: address, protocol, port in network order.

// serviceKey is that of a port in the sets of services.
func serviceKey(p packet.Protocol, port uint16) []byte {
	key := []byte{byte(p), 0, 0, 0}
	key = binary.BigEndian.AppendUint16(key, port)
	return append(key, 0, 0)
}

// grantKey is that of a port in the sets of grants.
func grantKey(source netip.Addr, p packet.Protocol, port uint16) []byte {
	return append(source.AsSlice(), serviceKey(p, port)...)
}

// parseGrantKey reads what grantKey wrote.
func parseGrantKey(key []byte) (netip.Addr, Service, error) {
	source, ok := netip.AddrFromSlice(key[:max(0, len(key)-8)])
	if !ok {
		return netip.Addr{}, Service{}, fmt.Errorf("key of a grant has %d bytes", len(key))
	}
	service := key[len(key)-8:]
	port := binary.BigEndian.Uint16(service[4:])
	return source, Service{Protocol: packet.Protocol(service[0]), First: port, Last: port}, nil
}

// grantSet names the set in which a source's grants are.
func grantSet(source netip.Addr) string {
	if source.Is4() {
		return granted4
	}
	return granted6
}
