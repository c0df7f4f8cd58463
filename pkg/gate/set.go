package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
)

// The names of sets that hold no grants.
const (
	keptSet      = "kept"      // before the digit of a family
	usedSet      = "used"      // likewise
	servicesSet  = "_services" // behind a protocol
	portsSet     = "_ports"    // likewise
	allPortsSet  = "ports"
	echoSet      = "echo_protocols"
	unguardedSet = "unguarded"
)

const (
	// MaxGrants bounds each set of grants, in elements.
	MaxGrants = 65536

	// maxTuples bounds each set of tuples.
	maxTuples = 65535

	// keptUDP and keptTCP are how long a connection may be silent that goes on
	// because its tuple was kept: the kernel's own times for streams of UDP,
	// and a little more, and for TCP (nf_conntrack_udp_timeout_stream,
	// nf_conntrack_tcp_timeout_established).
	keptUDP = 3 * time.Minute
	keptTCP = 5 * 24 * time.Hour

	// usedTime is how long the connection that used up a grant may take to be
	// made: as long as Linux sends a SYN again (tcp_syn_retries), and a little
	// more.
	usedTime = 130 * time.Second
)

// set is one of the table's sets in both its forms. A set with a timeout keeps
// what is in it when the rules change; any other is written together with the
// rules and cannot change without them.
type set struct {
	name    string
	key     keyType
	data    keyType       // of a map's values; nil for a set
	timeout time.Duration // 0 for constant sets
	size    uint32
	dynamic bool // rules add or delete elements
	counter bool
	// elements of a constant set: its keys, and what nft prints for them
	keys  [][]byte
	words []string
}

// sets returns all sets of the table in the order in which nft lists them.
func (r *Ruleset) sets() []set {
	var list []set
	for _, m := range r.grantSets() {
		list = append(list, m.set())
	}
	list = append(list, r.forwardSets()...)
	for _, f := range families() {
		list = append(list, kept(f))
	}
	if r.anyOnce() {
		for _, f := range families() {
			list = append(list, tuples(f, usedSet, usedTime))
		}
	}
	return append(list, r.constants()...)
}

// constants returns the sets that are part of the rules.
func (r *Ruleset) constants() []set {
	var list []set
	matches := []portMatch{r.watchedPorts()}
	if r.hidesSomething() {
		matches = append(matches, r.allProtectedPorts())
	}
	for _, p := range protocols {
		matches = append(matches, r.watchedPortsOf(p), r.protectedPorts(p))
	}
	for _, m := range matches {
		if m.usesSet() {
			list = append(list, m.asSet())
		}
	}
	if r.ICMP {
		list = append(list, set{
			name: echoSet, key: keyType{nftables.TypeInetProto},
			keys: [][]byte{{byte(packet.ICMP)}, {byte(packet.ICMPv6)}}, words: []string{"icmp", "ipv6-icmp"},
		})
	}
	if names := r.unguarded(); len(names) > 1 {
		list = append(list, interfaces(names))
	}
	return list
}

// kept is the set of connections that go on by their tuples.
func kept(f family) set { return tuples(f, keptSet, keptUDP) }

// tuples is a set of connections.
func tuples(f family, name string, timeout time.Duration) set {
	return set{name: name + f.digit, key: tupleType(f), timeout: timeout, size: maxTuples, dynamic: true}
}

func (m portMatch) asSet() set {
	s := set{name: m.set, key: keyType{nftables.TypeInetService}}
	for _, port := range m.single {
		s.keys = append(s.keys, binaryutil.BigEndian.PutUint16(port))
		s.words = append(s.words, fmt.Sprint(port))
	}
	return s
}

func interfaces(names []string) set {
	s := set{name: unguardedSet, key: keyType{nftables.TypeIFName}}
	for _, name := range names {
		key := make([]byte, unix.IFNAMSIZ)
		copy(key, name)
		s.keys = append(s.keys, key)
		s.words = append(s.words, fmt.Sprintf("%q", name))
	}
	return s
}

// String returns the set as nft prints it.
func (s set) String() string {
	var b strings.Builder
	kind, mapped := "set", ""
	if s.data != nil {
		kind, mapped = "map", " : "+s.data.datatype().Name
	}
	fmt.Fprintf(&b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.name, s.key.datatype().Name, mapped)
	switch {
	case s.constant():
		if !s.hostOrder() {
			b.WriteString("\t\tflags constant\n")
		}
		fmt.Fprintf(&b, "\t\telements = { %s }\n", s.wrapped())
	default:
		fmt.Fprintf(&b, "\t\tsize %d\n", s.size)
		if s.dynamic {
			b.WriteString("\t\tflags dynamic,timeout\n")
		}
		if s.counter {
			b.WriteString("\t\tcounter\n")
		}
		// A default timeout implies "flags timeout", which nft then omits.
		fmt.Fprintf(&b, "\t\ttimeout %s\n", s.timeoutText())
	}
	b.WriteString("\t}\n")
	return b.String()
}

// wrapped writes the elements as nft does: five ports on a line, one name.
func (s set) wrapped() string {
	each := 1
	if s.key[0] == nftables.TypeInetService || s.key[0] == nftables.TypeInetProto {
		each = 5
	}
	var lines []string
	for line := range slices.Chunk(s.words, each) {
		lines = append(lines, strings.Join(line, ", "))
	}
	return strings.Join(lines, ",\n\t\t\t     ")
}

// timeoutText is how nft writes it: 3m, where Go has 3m0s.
func (s set) timeoutText() string {
	t := s.timeout.String()
	if strings.HasSuffix(t, "m0s") {
		return strings.TrimSuffix(t, "0s")
	}
	return t
}

func (s set) constant() bool { return s.timeout == 0 }

// hostOrder reports whether nft reads the keys in the order of this host's
// bytes.
func (s set) hostOrder() bool { return s.key[0] == nftables.TypeIFName }

// netlink is the set as the netlink library knows it, without its elements.
func (s set) netlink(t *nftables.Table) *nftables.Set {
	n := &nftables.Set{Table: t, Name: s.name, KeyType: s.key.datatype()}
	switch {
	case s.hostOrder():
		// The library says of every constant set that its keys are big-endian.
		n.KeyByteOrder = binaryutil.NativeEndian
		return n
	case s.constant():
		n.Constant = true
		return n
	}
	if s.data != nil {
		n.IsMap, n.DataType = true, s.data.datatype()
	}
	n.HasTimeout, n.Timeout, n.Size, n.Counter, n.Dynamic = true, s.timeout, s.size, s.counter, s.dynamic
	return n
}

// same reports whether a set found in the kernel can hold our elements. (The
// library does not read back whether it counts.)
func (s set) same(found *nftables.Set) bool {
	want := s.netlink(found.Table)
	return found.KeyType == want.KeyType && found.IsMap == want.IsMap && found.DataType == want.DataType && found.Dynamic == want.Dynamic && !found.Constant &&
		!found.Interval && found.HasTimeout && found.Timeout == want.Timeout && found.Size == want.Size
}

// elements are those of a constant set.
func (s set) elements() []nftables.SetElement {
	var list []nftables.SetElement
	for _, key := range s.keys {
		list = append(list, nftables.SetElement{Key: key})
	}
	return list
}
