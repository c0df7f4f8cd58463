package gate

import (
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

// A grantSet is one of the table's sets that hold grants. The first field of a
// key is an address, or the first address of a prefix: a grant of a prefix is
// found by masking the sender's address, which takes one look-up, as any other.
// The second field is the port, except in the sets of ranges: there one element
// stands for the range.
type grantSet struct {
	protocol packet.Protocol
	digit    string // of its family
	ports    port.Range
	bits     int // of the address that count
	once     bool
}

// ranged reports whether the set is for one range of ports.
func (m grantSet) ranged() bool { return m.ports != port.Range{} }

func (m grantSet) family() family {
	if m.digit == "4" {
		return ipv4()
	}
	return ipv6()
}

// grantSets are all that the table has: grants of an earlier ruleset run on until
// somebody revokes them.
func (r *Ruleset) grantSets() []grantSet {
	list := r.openingSets()
	for _, m := range r.leftover {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// openingSets are those of all openings, and those that every table has, for single
// addresses at single ports, in the order in which the table lists them. The
// list is short: it grows with the forms of openings and the number of ranges.
func (r *Ruleset) openingSets() []grantSet {
	var list []grantSet
	seen := make(map[grantSet]bool)
	add := func(m grantSet) {
		if !seen[m] {
			seen[m] = true
			list = append(list, m)
		}
	}
	for _, p := range protocols {
		for _, f := range families() {
			add(grantSet{protocol: p, digit: f.digit, bits: f.bits})
		}
	}
	for _, o := range r.Openings {
		for _, f := range families() {
			m := grantSet{protocol: o.Service.Protocol, digit: f.digit, bits: o.bits(f), once: o.Once}
			// The set for single ports, too: one port of a range may be granted alone.
			add(m)
			if o.Service.Ports() > 1 {
				m.ports = o.Service
				add(m)
			}
		}
	}
	return list
}

// openIndex is openingSets for looking up.
func (r *Ruleset) openIndex() map[grantSet]bool {
	index := make(map[grantSet]bool)
	for _, m := range r.openingSets() {
		index[m] = true
	}
	return index
}

// grantSetOf is the set that an element belongs to.
func grantSetOf(e element) grantSet {
	f := familyOf(e.source.Addr())
	m := grantSet{protocol: e.service.Protocol, digit: f.digit, bits: e.source.Bits(), once: e.once}
	if e.service.Ports() > 1 {
		m.ports = e.service
	}
	return m
}

// name is the name of the set: "granted_tcp4", "granted_udp6_8000_8010",
// "granted_tcp4_net16_once".
func (m grantSet) name() string {
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

// grantSetNames is what name writes.
var grantSetNames = regexp.MustCompile(`^granted_(tcp|udp)([46])(?:_(\d+)_(\d+))?(?:_net(\d+))?(_once)?$`)

// parseGrantSet reads what name wrote.
func parseGrantSet(name string) (grantSet, bool) {
	words := grantSetNames.FindStringSubmatch(name)
	if words == nil {
		return grantSet{}, false
	}
	number := func(s string) int { n, _ := strconv.Atoi(s); return n } // of digits, or 0 for none
	m := grantSet{protocol: packet.TCP, digit: words[2], bits: number(words[5]), once: words[6] != ""}
	if words[1] == "udp" {
		m.protocol = packet.UDP
	}
	if words[3] != "" {
		m.ports = port.Range{Protocol: m.protocol, First: uint16(number(words[3])), Last: uint16(number(words[4]))}
	}
	if words[5] == "" {
		m.bits = m.family().bits
	}
	// The expression takes more than name writes: leading zeros, and ports above 65535,
	// which are cut to 16 bits here. Writing the name again shows them.
	possible := m.bits > 0 && m.bits <= m.family().bits && (!m.ranged() || m.ports.Ports() > 1 && m.ports.CheckService() == nil)
	return m, possible && m.name() == name
}

// isGrantSet reports whether a set holds grants, by its name.
func isGrantSet(set string) bool { return strings.HasPrefix(set, "granted_") }

// set is the definition of the set.
func (m grantSet) set() set {
	return set{name: m.name(), key: m.keyType().fields(), size: MaxGrants, counter: true, timeout: defaultTimeout, dynamic: m.once}
}

// in names the set for the netlink library, so that elements can be added or
// deleted.
func (m grantSet) in(t *nftables.Table) *nftables.Set {
	// Without HasTimeout the library leaves out the elements' timeouts, and they
	// would stay for the set's own.
	return &nftables.Set{Table: t, Name: m.name(), HasTimeout: true}
}

func (m grantSet) keyType() grantKey { return grantKey{family: m.family(), port: !m.ranged()} }

// key is that of a grant to a source. In the set of a range it has no port.
func (m grantSet) key(source netip.Prefix, s port.Range) []byte {
	return m.keyType().encode(source.Addr(), s)
}

// parse reads what key wrote.
func (m grantSet) parse(key []byte) (netip.Prefix, port.Range, error) {
	source, ports, ok := m.keyType().decode(key)
	ports.Protocol = m.protocol
	if m.ranged() {
		ports = m.ports
	}
	if !ok || ports.CheckService() != nil {
		return netip.Prefix{}, port.Range{}, fmt.Errorf("bad element in set %s: key %x", m.name(), key)
	}
	return netip.PrefixFrom(source, m.bits), ports, nil
}

// holds matches packets for which the set holds a grant. The port of the grant is
// compared with what x loads.
func (m grantSet) holds(x portExpr) []match {
	if !m.ranged() {
		return []match{m.lookup(x.prefix(m.protocol)+m.sourceText()+" . "+x.word(m.protocol), ofProtocol(m.protocol), m.load(x))}
	}
	text := m.sourceText()
	if m.bits != m.family().bits {
		// nft prints the operator where the left side is a computation
		// (must_print_eq_op in its src/expression.c).
		text += " =="
	}
	// The match for the range has made sure of the protocol.
	return []match{x.in(m.ports), m.lookup(text, nil, m.load(x))}
}

// lookup looks a key up in the set. What text says is what load loads; guards
// come before.
func (m grantSet) lookup(text string, guards, load []expr.Any) match {
	return match{text + " @" + m.name(), slices.Concat(m.family().guard(), guards, load, []expr.Any{lookup(m.name())})}
}

// sourceText is how nft prints the address that is looked up.
func (m grantSet) sourceText() string {
	f := m.family()
	text := f.word + " saddr"
	if m.bits != f.bits {
		mask, _ := netip.AddrFromSlice(f.mask(m.bits)) // of 4 or 16 bytes
		text += " & " + mask.String()
	}
	return text
}

// load puts the key of a packet into the row of registers.
func (m grantSet) load(x portExpr) []expr.Any {
	f := m.family()
	exprs := []expr.Any{f.loadSource(reg1)}
	if m.bits != f.bits {
		exprs = append(exprs, &expr.Bitwise{
			SourceRegister: reg1, DestRegister: reg1, Len: f.addrLen(), Mask: f.mask(m.bits), Xor: make([]byte, f.addrLen()),
		})
	}
	if !m.ranged() {
		exprs = append(exprs, x.load(register(words(f.addrLen()))))
	}
	return exprs
}

// use deletes the packet's grant from the set.
func (m grantSet) use() statement {
	key := m.sourceText()
	if !m.ranged() {
		key += " . " + destinationPort.word(m.protocol)
	}
	return statement{fmt.Sprintf("delete @%s { %s }", m.name(), key),
		append(m.load(destinationPort), &expr.Dynset{SrcRegKey: reg1, SetName: m.name(), Operation: dynsetDelete})}
}

// dynsetDelete is NFT_DYNSET_OP_DELETE (linux/netfilter/nf_tables.h, Linux 5.4).
const dynsetDelete = 2

// defaultTimeout is that of elements that name none. Grant always names one; an
// element that someone adds by hand would otherwise stay for ever.
const defaultTimeout = 30 * time.Second
