package gate

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/google/nftables"

	"nftknock/pkg/invalid"
	"nftknock/pkg/port"
)

// Mode is how a grant takes effect.
type Mode uint8

const (
	// ModeGate: our table drops what goes to a protected port without a grant.
	ModeGate Mode = iota
	// ModeSet: each grant is also an element of a set in another table, whose rules let
	// pass what is in it. Our table hides nothing.
	ModeSet
	// ModeMark: packets that a grant lets through get a bit of the packet mark, by which
	// the rules of another table let them pass. Our table hides nothing.
	ModeMark
)

// String returns the word that a policy has for it.
func (m Mode) String() string {
	switch m {
	case ModeSet:
		return "set"
	case ModeMark:
		return "mark"
	}
	return "gate"
}

// SetName names a set in a table that is not ours. The zero value names none.
type SetName struct{ Family, Table, Name string }

// setFamilies are the families of tables that can have a set for grants.
var setFamilies = []tableFamily{
	inet,
	{nftables.TableFamilyIPv4, "ip"},
	{nftables.TableFamilyIPv6, "ip6"},
	{nftables.TableFamilyNetdev, "netdev"},
	{nftables.TableFamilyBridge, "bridge"},
}

// maxSetName is the longest name of a set (NFT_SET_MAXNAMELEN, linux/netfilter/nf_tables.h).
const maxSetName = 255

// ParseSetName reads a name as it is written behind "set" in nft: "inet filter
// ssh_clients". The family cannot be left out.
func ParseSetName(s string) (SetName, error) {
	words := strings.Fields(s)
	const want = `family, table and set, such as "inet filter ssh_clients"`
	if len(words) != 3 || strings.Join(words, " ") != s {
		return SetName{}, invalid.Newf(want, "bad set %q", s)
	}
	i := slices.IndexFunc(setFamilies, func(f tableFamily) bool { return f.word == words[0] })
	if i < 0 {
		return SetName{}, invalid.Newf("inet, ip, ip6, netdev or bridge", "bad family %q of set %q", words[0], s)
	}
	if len(words[2]) > maxSetName || validateTable(words[1]) != nil || validateTable(words[2]) != nil {
		return SetName{}, invalid.Newf(want, "bad set %q", s)
	}
	return SetName{words[0], words[1], words[2]}, nil
}

// String returns what ParseSetName reads, or nothing for the zero value.
func (n SetName) String() string {
	if n == (SetName{}) {
		return ""
	}
	return n.Family + " " + n.Table + " " + n.Name
}

// table is the table of the set.
func (n SetName) table() tableName {
	i := slices.IndexFunc(setFamilies, func(f tableFamily) bool { return f.word == n.Family })
	if i < 0 {
		panic("gate: set in a table of unknown family: " + n.String())
	}
	return tableName{setFamilies[i], n.Table}
}

// valid reports whether there can be such a set.
func (n SetName) valid() bool {
	_, err := ParseSetName(n.String())
	return err == nil
}

// sees reports whether rules that can look into the set see packets of a family.
func (n SetName) sees(f family) bool {
	switch n.table().family.number {
	case nftables.TableFamilyIPv4:
		return f.bits == 32
	case nftables.TableFamilyIPv6:
		return f.bits == 128
	}
	return true
}

// MaxSetPorts bounds the ports of a service in ModeSet: a set whose keys have a port needs
// an element for each of them.
const MaxSetPorts = 256

// validateMode reports what the mode does not go with.
func (r *Ruleset) validateMode() error {
	if r.Mode != ModeSet && (r.Set4 != SetName{} || r.Set6 != SetName{}) {
		return invalid.Newf("none", "sets for grants in mode %s", r.Mode)
	}
	if r.Mode != ModeMark && r.Mark != 0 {
		return invalid.Newf("none", "a packet mark in mode %s", r.Mode)
	}
	switch r.Mode {
	case ModeSet:
		return r.validateSetMode()
	case ModeMark:
		if bits.OnesCount32(r.Mark) != 1 {
			return invalid.Newf("exactly one bit, such as 0x10000", "bad mark %#x", r.Mark)
		}
	}
	return nil
}

func (r *Ruleset) validateSetMode() error {
	if r.Set4 == (SetName{}) && r.Set6 == (SetName{}) {
		return invalid.New("no set for grants", "a set for IPv4, one for IPv6, or both")
	}
	if r.Set4 == r.Set6 {
		return invalid.Newf("one set for IPv4 and another for IPv6", "one set %s for both", r.Set4)
	}
	for _, f := range families() {
		n := r.target(f)
		switch {
		case n == SetName{}:
		case !n.valid():
			return invalid.Newf("one that ParseSetName reads", "bad set %q", n)
		case !n.sees(f):
			return invalid.Newf("a set whose table sees "+f.title(), "set %s for grants over %s", n, f.title())
		case n.table() == tableName{inet, r.table()}:
			return invalid.New("a set for grants in our own table", "a set of another table")
		}
	}
	if r.Forward {
		return invalid.Newf("another mode: with this one our table only logs", "grants that lead to other hosts in mode %s", r.Mode)
	}
	if len(r.Protected) > 0 {
		return invalid.Newf("none: the rules that look into the set decide", "services to hide in mode %s", r.Mode)
	}
	for _, o := range r.Openings {
		switch {
		case o.Once:
			return invalid.Newf("grants that only end with their time", "a single-use grant of %s in mode %s", o.Service, r.Mode)
		case o.bits(ipv4()) != 32 || o.bits(ipv6()) != 128:
			return invalid.Newf("single addresses", "a grant of %s to a prefix in mode %s", o.Service, r.Mode)
		case o.Service.Ports() > MaxSetPorts:
			return invalid.Newf(fmt.Sprintf("%d at most", MaxSetPorts), "%s has %d ports, too many for mode %s", o.Service, o.Service.Ports(), r.Mode)
		}
	}
	return nil
}

// target names the set for grants to addresses of a family, or none.
func (r *Ruleset) target(f family) SetName {
	if f.bits == 32 {
		return r.Set4
	}
	return r.Set6
}

// Hidden are the services that the table itself hides: none but in ModeGate.
func (r *Ruleset) Hidden() []port.Range {
	if !r.hides() {
		return nil
	}
	return r.Protected
}

// hides reports whether the table refuses packets.
func (r *Ruleset) hides() bool { return r.Mode == ModeGate && len(r.Protected) > 0 }

// marks reports whether the table marks packets and refuses none.
func (r *Ruleset) marks() bool { return r.Mode == ModeMark }
