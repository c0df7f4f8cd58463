package gate

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Registers as nft allots them. The 16-byte registers 1 to 4 lie over the
// 4-byte registers 8 to 23 (linux/netfilter/nf_tables.h). A 4-byte register
// that begins where a 16-byte one does goes by the latter's name.
const (
	reg1 = unix.NFT_REG_1
	reg2 = unix.NFT_REG_2
)

// register is the nth 4-byte register, from 0, of the row that begins in reg1.
func register(n uint32) uint32 {
	if n%4 == 0 {
		return reg1 + n/4
	}
	return unix.NFT_REG32_00 + n
}

// words is the number of 4-byte registers that a field of some bytes takes in
// a concatenation.
func words(length uint32) uint32 { return (length + 3) / 4 }

// keyType is the type of a set's keys: one field, or several, which nft calls a
// concatenation ("ipv4_addr . inet_service").
type keyType []nftables.SetDatatype

// datatype is the key type as the netlink library knows it.
func (t keyType) datatype() nftables.SetDatatype {
	if len(t) == 1 {
		return t[0]
	}
	return nftables.MustConcatSetType(t...)
}

// encode makes a key of its fields, each as long as its type.
func (t keyType) encode(fields ...[]byte) []byte {
	if len(t) == 1 {
		// One field alone is compared in its own length: a port is 2 bytes then.
		return fields[0]
	}
	var key []byte
	for _, field := range fields {
		// Each field of a concatenation begins a 4-byte register; what loads a packet's
		// field clears the rest of the last one (nft_payload_eval).
		key = append(key, field...)
		key = append(key, make([]byte, 4*words(uint32(len(field)))-uint32(len(field)))...)
	}
	return key
}

// decode returns the fields of a key that encode made; ok is false for any other.
func (t keyType) decode(key []byte) (fields [][]byte, ok bool) {
	if len(t) == 1 {
		return [][]byte{key}, uint32(len(key)) == t[0].Bytes
	}
	for _, d := range t {
		end := 4 * words(d.Bytes)
		if uint32(len(key)) < end {
			return nil, false
		}
		for _, b := range key[d.Bytes:end] {
			if b != 0 {
				return nil, false // no packet has such a key
			}
		}
		fields = append(fields, key[:d.Bytes])
		key = key[end:]
	}
	return fields, len(key) == 0
}

// grantKey is the type of the keys in a set of grants: an address, an address and
// a port, or an address, a protocol and a port.
//
// The sets of our own table need no protocol, since each is for one. The third
// form is for sets that others made, in which `ip saddr . meta l4proto . th
// dport` is usual: readGrantKey says which form such a set has. A key
// without a port, or without a protocol, means more than the grant: it opens all that
// the rules of the other table let pass by the set.
type grantKey struct {
	family   family
	protocol bool // there is a protocol; then there is also a port
	port     bool
}

// readGrantKey reads the type of the keys of a set in the kernel, as nft numbers it;
// ok is false if no grant can be an element of such a set.
func readGrantKey(number uint32) (k grantKey, ok bool) {
	for _, f := range families() {
		for _, k := range []grantKey{{family: f}, {family: f, port: true}, {family: f, protocol: true, port: true}} {
			if d := k.fields().datatype(); d.GetNFTMagic() == number {
				return k, true
			}
		}
	}
	return grantKey{}, false
}

func (k grantKey) fields() keyType {
	t := keyType{k.family.address}
	if k.protocol {
		t = append(t, nftables.TypeInetProto)
	}
	if k.port {
		t = append(t, nftables.TypeInetService)
	}
	return t
}

// encode returns the key of a source of the key's family that may reach a single
// port. What the key has no field for is left out.
func (k grantKey) encode(source netip.Addr, s port.Range) []byte {
	fields := [][]byte{source.AsSlice()}
	if k.protocol {
		fields = append(fields, []byte{byte(s.Protocol)})
	}
	if k.port {
		fields = append(fields, binary.BigEndian.AppendUint16(nil, s.First))
	}
	return k.fields().encode(fields...)
}

// decode reads what encode wrote. What the key has no field for is 0.
func (k grantKey) decode(key []byte) (source netip.Addr, s port.Range, ok bool) {
	fields, ok := k.fields().decode(key)
	if !ok {
		return netip.Addr{}, port.Range{}, false
	}
	source, _ = netip.AddrFromSlice(fields[0]) // of 4 or 16 bytes
	rest := fields[1:]
	if k.protocol {
		s.Protocol, rest = packet.Protocol(rest[0][0]), rest[1:]
	}
	if k.port {
		s.First = binary.BigEndian.Uint16(rest[0])
		s.Last = s.First
	}
	return source, s, true
}
