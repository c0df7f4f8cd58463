package gate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"nftknock/pkg/invalid"
	"nftknock/pkg/port"
)

// A Ruleset is the whole content of the table.
type Ruleset struct {
	// Table is the table's name; empty for DefaultTable.
	Table string
	// Mode is how grants take effect.
	Mode Mode
	// Set4 and Set6 are the sets for the grants of ModeSet, to addresses of IPv4 and of
	// IPv6. Without one of them, addresses of that family are granted nothing.
	Set4, Set6 SetName
	// Mark is the bit of the packet mark for ModeMark.
	Mark uint32
	// Hide is what becomes of packets to protected ports in ModeGate.
	Hide Hide
	// Unguarded are the interfaces whose packets the table lets pass, besides
	// lo. One that it does not know is guarded.
	Unguarded []string
	// Protected are the services that only granted sources reach; in ModeMark, those
	// whose packets get the mark if they have a grant. ModeSet has none.
	Protected []port.Range
	// Openings are what grants may open. Single addresses can be granted single
	// ports without one.
	Openings []Opening
	// Quotas bound the elements that the grants of an access may take at once,
	// for IPv4 and IPv6 each, by the name of the access: 1 or more. One that has no
	// quota may fill the sets.
	Quotas map[string]int
	// KnockPorts are the ports whose packets are logged: pure SYNs for TCP,
	// datagrams for UDP. They get no verdict: what else happens to them is
	// left to the host's other rules.
	KnockPorts []port.Range
	// Messages are where packets go that hold a whole knock in their payload: ports of
	// UDP and TCP, and port.Echo for all messages of ICMP over IPv4. Only a packet whose
	// payload can be one is logged: of UDP a datagram of a flow that this host has not
	// answered, of TCP a SYN without options. It is also logged where it goes to a
	// protected port, and once if it goes to one of KnockPorts.
	Messages []port.Range
	// Forward has maps of targets, for grants with one; Masquerade a set of those that
	// are to see this host's address.
	Forward, Masquerade bool
	// ICMP logs echo requests, too.
	ICMP bool
	// Group is the first NFLOG group (Documentation: nfnetlink_log), and
	// Workers the number of groups from there; 0 is 1. A source's packets
	// all go to the same group, which a hash of its address chooses.
	Group   uint16
	Workers int
	// Label and the one below it are the bits of conntrack's labels that mark
	// admitted connections: odd, so that no two pairs overlap, 1 to 127; 0 is
	// DefaultLabel. Nobody else may set them.
	Label uint8

	// withoutDemux: what early demux finds cannot be asked for at input.
	withoutDemux bool
	// leftover are the sets of running grants that the ruleset has no Opening for.
	leftover []grantSet
	// leftForward and leftMasquerade: running grants need the maps, or the set.
	leftForward, leftMasquerade bool
}

// An Opening is something that grants may open, and the form in which they do.
type Opening struct {
	Service port.Range
	// Bits4 and Bits6 are the lengths of the prefixes that are let in, 1 to 32
	// and 1 to 128; 0 is the whole address.
	Bits4, Bits6 int
	// Once: the first connection, or the first datagram, uses a grant up.
	Once bool
}

// DefaultLabel is the conntrack label where none is given.
const DefaultLabel = 127

// Names of nftables objects are shorter than NFT_NAME_MAXLEN, interface names
// shorter than IFNAMSIZ (linux/netfilter/nf_tables.h, linux/if.h).
const (
	maxTableName     = 255
	maxInterfaceName = 15
)

// Bounds of a table. Up to them Apply takes some seconds at most.
const (
	// maxSinglePorts bounds the ports that are in one set: the kernel takes a time to
	// add them that grows with the square of their number (16,384: one to seven seconds).
	maxSinglePorts = 32768
	// maxGrantSets bounds the sets of grants, of which each range of ports needs two
	// and each form of prefixes one: every packet to a protected port is looked up in
	// those of its protocol.
	maxGrantSets = 2048
	// maxRules bounds the rules: with 26,353 a transaction had more than 8 MB.
	maxRules = 16384
)

// Validate reports the first thing for which Apply would refuse the ruleset,
// whatever the kernel is, as an *invalid.Error.
func (r *Ruleset) Validate() error {
	if err := validateTable(r.table()); err != nil {
		return err
	}
	for _, name := range r.Unguarded {
		if err := validateInterface(name); err != nil {
			return err
		}
	}
	if r.Label >= LabelBits || r.Label != 0 && r.Label%2 == 0 {
		return invalid.Newf(fmt.Sprintf("an odd one, 1 to %d", LabelBits-1), "bad conntrack label %d", r.Label)
	}
	if r.Workers < 0 || int(r.Group)+r.workers()-1 > math.MaxUint16 {
		return invalid.Newf(fmt.Sprintf("groups up to %d", math.MaxUint16), "bad workers %d from group %d", r.Workers, r.Group)
	}
	if err := r.validateQuotas(); err != nil {
		return err
	}
	if err := r.validateServices(); err != nil {
		return err
	}
	if err := r.validateMode(); err != nil {
		return err
	}
	return r.validateSize()
}

func (r *Ruleset) validateQuotas() error {
	// In order, so that the first is the same each time.
	for _, access := range slices.Sorted(maps.Keys(r.Quotas)) {
		if n := r.Quotas[access]; n < 1 {
			return invalid.Newf("1 or more grants", "bad quota %d of access %q", n, access)
		}
	}
	return nil
}

func (r *Ruleset) validateServices() error {
	for _, o := range r.Openings {
		if err := o.validate(); err != nil {
			return err
		}
	}
	for _, s := range slices.Concat(r.Protected, r.KnockPorts) {
		if err := s.CheckService(); err != nil {
			return err
		}
	}
	for _, s := range r.Messages {
		if err := s.CheckService(); err != nil && s != port.Echo {
			return err
		}
	}
	return nil
}

// validateSize holds the table to its bounds.
func (r *Ruleset) validateSize() error {
	tooMany := func(n int, what string, limit int) error {
		return invalid.Newf(fmt.Sprintf("%d at most", limit), "%d %s are too many", n, what)
	}
	if n := len(r.watchedPorts().single); n > maxSinglePorts {
		return tooMany(n, "single ports", maxSinglePorts)
	}
	if n := len(r.openingSets()); n > maxGrantSets {
		return tooMany(n, "forms of grants and ranges of ports to open", maxGrantSets)
	}
	rules := 0
	for _, p := range protocols {
		// These alone may be millions: they are counted before any is made.
		rules += len(r.knockedAndHidden(p)) * r.workers()
	}
	if rules <= maxRules {
		rules = 0
		for _, c := range r.chains() {
			rules += len(c.rules)
		}
	}
	if rules > maxRules {
		return tooMany(rules, "rules (for ranges of ports, openings, and workers)", maxRules)
	}
	return nil
}

// String returns the table as `nft --stateless list table inet NAME` of nft
// 1.0.6 prints it, but for the flags of an owned table, which no nft of that
// age can read back. Only the text of a valid ruleset can be loaded.
func (r *Ruleset) String() string {
	var blocks []string
	l := r.layout()
	for _, s := range l.sets {
		blocks = append(blocks, s.String())
	}
	for _, c := range l.chains {
		blocks = append(blocks, c.String())
	}
	return "table inet " + r.table() + " {\n" + strings.Join(blocks, "\n") + "}\n"
}

func (r *Ruleset) table() string {
	if r.Table == "" {
		return DefaultTable
	}
	return r.Table
}

func (r *Ruleset) workers() int { return max(r.Workers, 1) }

func (r *Ruleset) label() uint8 {
	if r.Label == 0 {
		return DefaultLabel
	}
	return r.Label
}

// unguarded are the names of the unguarded interfaces, lo among them, in the
// order in which nft lists them: as numbers, the first character the lowest.
func (r *Ruleset) unguarded() []string {
	names := append([]string{"lo"}, r.Unguarded...)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(reversed(a), reversed(b)))
	})
	return slices.Compact(names)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
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

func (o Opening) validate() error {
	if err := o.Service.CheckService(); err != nil {
		return err
	}
	if o.Bits4 < 0 || o.Bits4 > 32 || o.Bits6 < 0 || o.Bits6 > 128 {
		return invalid.Newf("1 to 32 for IPv4 and 1 to 128 for IPv6, or 0", "bad prefix lengths %d and %d", o.Bits4, o.Bits6)
	}
	return nil
}

// validateTable accepts what nft reads as a name without quotes.
func validateTable(name string) error {
	if len(name) > maxTableName {
		return invalid.Newf(fmt.Sprintf("%d at most", maxTableName), "bad table name: %d bytes", len(name))
	}
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		other := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return invalid.Newf("a letter, then letters, digits, '_', '-' or '.'", "bad table name %q", name)
		}
	}
	return nil
}

func validateInterface(name string) error {
	switch {
	case name == "":
		return invalid.New("bad interface name: empty", "")
	case len(name) > maxInterfaceName:
		return invalid.Newf(fmt.Sprintf("%d bytes at most", maxInterfaceName), "bad interface name %q", name)
	case strings.ContainsFunc(name, notInterface):
		return invalid.Newf("no blanks, slashes, quotes and stars", "bad interface name %q", name)
	}
	return nil
}

func notInterface(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(`/"\*`, c)
}
