package gate

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// An Opening is something that grants may open, and the form in which they do.
type Opening struct {
	Service port.Range
	// Bits4 and Bits6 are the lengths of the prefixes that are let in, 1 to 32
	// and 1 to 128; 0 is the whole address.
	Bits4, Bits6 int
	// Once: the first connection, or the first datagram, uses a grant up.
	Once bool
}

// A room is one of the sets that hold grants. The first field of a key is an
// address, or the first address of a prefix: a grant of a prefix is found by
// masking the sender's address, which takes one look-up, as any other. The
// second field is the port, except in the rooms of ranges: there one element
// stands for the range.
type room struct {
	protocol packet.Protocol
	digit    string // of its family
	ports    port.Range
	bits     int // of the address that count
	once     bool
}

// ranged reports whether the room is that of one range.
func (m room) ranged() bool { return m.ports != port.Range{} }

func (m room) family() family {
	if m.digit == "4" {
		return ipv4()
	}
	return ipv6()
}

// rooms are all that the table has: grants of an earlier ruleset run on until
// somebody revokes them.
func (r *Ruleset) rooms() []room {
	list := r.openRooms()
	for _, m := range r.leftover {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// openRooms are those of all openings, and those that every table has, for single
// addresses at single ports, in the order in which the table lists them. The
// list is short: it grows with the forms of openings and the number of ranges.
func (r *Ruleset) openRooms() []room {
	var list []room
	seen := make(map[room]bool)
	add := func(m room) {
		if !seen[m] {
			seen[m] = true
			list = append(list, m)
		}
	}
	for _, p := range []packet.Protocol{packet.TCP, packet.UDP} {
		for _, f := range families() {
			add(room{protocol: p, digit: f.digit, bits: f.bits})
		}
	}
	for _, o := range r.Openings {
		for _, f := range families() {
			m := room{protocol: o.Service.Protocol, digit: f.digit, bits: o.bits(f), once: o.Once}
			add(m)
			if o.Service.Ports() > 1 {
				m.ports = o.Service
				add(m)
			}
		}
	}
	return list
}

// openIndex is openRooms for looking up.
func (r *Ruleset) openIndex() map[room]bool {
	index := make(map[room]bool)
	for _, m := range r.openRooms() {
		index[m] = true
	}
	return index
}

func (o Opening) bits(f family) int {
	bits := o.Bits6
	if f.bits == 32 {
		bits = o.Bits4
	}
	if bits == 0 {
		return f.bits
	}
	return bits
}

// roomOf is where an element belongs.
func roomOf(e element) room {
	f := familyOf(e.source.Addr())
	m := room{protocol: e.service.Protocol, digit: f.digit, bits: e.source.Bits(), once: e.once}
	if e.service.Ports() > 1 {
		m.ports = e.service
	}
	return m
}

// name is the name of its set: "granted_tcp4", "granted_udp6_8000_8010",
// "granted_tcp4_net16_once".
func (m room) name() string {
	var b strings.Builder
	b.WriteString("granted_" + m.protocol.String() + m.digit)
	if m.ranged() {
		fmt.Fprintf(&b, "_%d_%d", m.ports.First, m.ports.Last)
	}
	if m.bits != m.family().bits {
		fmt.Fprintf(&b, "_net%d", m.bits)
	}
	if m.once {
		b.WriteString("_once")
	}
	return b.String()
}

// roomNames is what name writes.
var roomNames = regexp.MustCompile(`^granted_(tcp|udp)([46])(?:_(\d+)_(\d+))?(?:_net(\d+))?(_once)?$`)

// parseRoom reads what name wrote.
func parseRoom(name string) (room, bool) {
	words := roomNames.FindStringSubmatch(name)
	if words == nil {
		return room{}, false
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n } // of digits, or empty
	m := room{protocol: packet.TCP, digit: words[2], bits: number(words[5]), once: words[6] != ""}
	if words[1] == "udp" {
		m.protocol = packet.UDP
	}
	if words[3] != "" {
		m.ports = port.Range{Protocol: m.protocol, First: uint16(number(words[3])), Last: uint16(number(words[4]))}
	}
	if words[5] == "" {
		m.bits = m.family().bits
	}
	possible := m.bits > 0 && m.bits <= m.family().bits && (!m.ranged() || m.ports.Ports() > 1 && m.ports.CheckService() == nil)
	return m, possible && m.name() == name
}

// isRoom tells a set of grants by its name.
func isRoom(set string) bool { return strings.HasPrefix(set, "granted_") }

// set is the room's set.
func (m room) set() set {
	types := []nftables.SetDatatype{m.family().address}
	if !m.ranged() {
		types = append(types, nftables.TypeInetService)
	}
	return set{name: m.name(), types: types, size: MaxGrants, counter: true, timeout: defaultTimeout, dynamic: m.once}
}

// key is that of an element. The fields of a concatenation are padded to the
// 4 bytes of a register.
func (m room) key(source netip.Prefix, number uint16) []byte {
	key := source.Addr().AsSlice()
	if m.ranged() {
		return key
	}
	return append(binary.BigEndian.AppendUint16(key, number), 0, 0)
}

// parse reads what key wrote.
func (m room) parse(key []byte) (netip.Prefix, port.Range, error) {
	length, ports := int(m.family().addrLen()), m.ports
	if !m.ranged() && len(key) == length+4 {
		number := binary.BigEndian.Uint16(key[length:])
		key, ports = key[:length], port.Single(m.protocol, number)
	}
	source, ok := netip.AddrFromSlice(key)
	if !ok || len(key) != length || ports.CheckService() != nil {
		return netip.Prefix{}, port.Range{}, fmt.Errorf("bad element in set %s: key %x", m.name(), key)
	}
	return netip.PrefixFrom(source, m.bits), ports, nil
}

// holds matches packets for which the room holds a grant.
func (m room) holds(by portOf) rule {
	var r rule
	if m.ranged() {
		r = append(r, by.in(m.ports))
	}
	f := m.family()
	source, exprs := f.word+" saddr", append(f.guard(), m.checks()...)
	exprs = append(exprs, m.load(by)...)
	if m.bits != f.bits {
		source += " & " + netip.PrefixFrom(unmask(f, m.bits), f.bits).Addr().String()
	}
	text := source
	switch {
	case !m.ranged():
		text = by.prefix(m.protocol) + source + " . " + by.word(m.protocol)
	case m.bits != f.bits:
		text += " =="
	}
	return r.with(statement{text + " @" + m.name(), append(exprs, &expr.Lookup{SourceRegister: reg1, SetName: m.name()})})
}

// checks make sure that the packet has a port. The rule of a range has done so.
func (m room) checks() []expr.Any {
	if m.ranged() {
		return nil
	}
	return ofProtocol(m.protocol)
}

// load puts the key of a packet into the row of registers.
func (m room) load(by portOf) []expr.Any {
	f := m.family()
	exprs := []expr.Any{f.loadSource(reg1)}
	if m.bits != f.bits {
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: f.addrLen(), Mask: f.mask(m.bits), Xor: make([]byte, f.addrLen()),
		})
	}
	if !m.ranged() {
		exprs = append(exprs, by.load(register(words(f.addrLen()))))
	}
	return exprs
}

// use takes the packet's grant out of the room.
func (m room) use() statement {
	source := m.family().word + " saddr"
	if m.bits != m.family().bits {
		source += " & " + unmask(m.family(), m.bits).String()
	}
	key := source
	if !m.ranged() {
		key += " . " + header.word(m.protocol)
	}
	return statement{fmt.Sprintf("delete @%s { %s }", m.name(), key),
		append(m.load(header), &expr.Dynset{SrcRegKey: reg1, SetName: m.name(), Operation: dynsetDelete})}
}

// dynsetDelete is NFT_DYNSET_OP_DELETE (linux/netfilter/nf_tables.h, Linux 5.4).
const dynsetDelete = 2

// unmask writes a mask as an address.
func unmask(f family, bits int) netip.Addr {
	a, _ := netip.AddrFromSlice(f.mask(bits)) // of 4 or 16 bytes
	return a
}

// defaultTimeout is that of elements that name none. Grant always names one; an
// element that someone adds by hand would otherwise stay for ever.
const defaultTimeout = 30 * time.Second
