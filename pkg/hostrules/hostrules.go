// Package hostrules reads the nftables rules of the host, all families and tables, and
// says what becomes of a packet of which only a part is known: a SYN to tcp/22 that
// arrives on eth0 from anyone. Walk follows it through the chains and names each rule
// that drops it for certain or perhaps.
//
// It decodes the kernel's messages itself, because the library that writes our own table
// leaves out, without an error, the expressions that it does not know. A rule that lost a
// condition would seem to match every packet. Here such an expression is one whose result
// is unknown.
//
// What a ruleset holds is bounded by Read, and what Walk does by a number of steps.
package hostrules

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Family is the protocol family of a table (NFPROTO_*, linux/netfilter.h).
type Family uint8

// The families that hold chains for packets of IP.
const (
	FamilyINet   Family = unix.NFPROTO_INET
	FamilyIPv4   Family = unix.NFPROTO_IPV4
	FamilyARP    Family = unix.NFPROTO_ARP
	FamilyNetDev Family = unix.NFPROTO_NETDEV
	FamilyBridge Family = unix.NFPROTO_BRIDGE
	FamilyIPv6   Family = unix.NFPROTO_IPV6
)

// String returns the word that nft uses.
func (f Family) String() string {
	switch f {
	case FamilyINet:
		return "inet"
	case FamilyIPv4:
		return "ip"
	case FamilyARP:
		return "arp"
	case FamilyNetDev:
		return "netdev"
	case FamilyBridge:
		return "bridge"
	case FamilyIPv6:
		return "ip6"
	}
	return fmt.Sprintf("family-%d", uint8(f))
}

// Hook is a place in the path of a packet, in the order in which packets pass them.
type Hook uint8

// The hooks that a packet that arrives can pass.
const (
	NoHook Hook = iota // of a chain that is only jumped to
	Ingress
	Prerouting
	Input
	Forward
	Postrouting
	Output
	Egress
)

// String returns the word that nft uses.
func (h Hook) String() string {
	return [...]string{"none", "ingress", "prerouting", "input", "forward", "postrouting", "output", "egress"}[h]
}

// A Ruleset is what the kernel holds. Nothing of it may be changed while it is used.
type Ruleset struct {
	Tables []*Table
}

// A Table is a table with its chains and sets.
type Table struct {
	Family Family
	Name   string
	// Owned: a process owns it (NFT_TABLE_F_OWNER), so that nobody else can change it.
	Owned  bool
	Chains []*Chain
	sets   map[string]*set
}

// String returns "inet filter".
func (t *Table) String() string { return t.Family.String() + " " + t.Name }

// A Chain is a chain with its rules, in their order.
type Chain struct {
	Table    *Table
	Name     string
	Hook     Hook // NoHook if no packet enters it by itself
	Priority int32
	Type     string   // "filter", "nat" or "route", of a base chain
	Devices  []string // the interfaces of a chain at Ingress
	Drops    bool     // the policy is to drop
	Rules    []*Rule
}

// String returns "inet filter input".
func (c *Chain) String() string { return c.Table.String() + " " + c.Name }

// A Rule is a rule of a chain.
type Rule struct {
	Chain  *Chain
	Handle uint64
	exprs  []expr
}

// Table returns the table of a name, or nil.
func (r *Ruleset) Table(f Family, name string) *Table {
	for _, t := range r.Tables {
		if t.Family == f && t.Name == name {
			return t
		}
	}
	return nil
}

// chain returns the chain of a name, or nil.
func (t *Table) chain(name string) *Chain {
	for _, c := range t.Chains {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Base returns the chains at a hook that a packet of a family passes, in the order in
// which it passes them. At Ingress these are the chains of the device.
func (r *Ruleset) Base(h Hook, f Family, device string) []*Chain {
	var found []*Chain
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			if c.Hook == h && t.sees(h, f) && (h != Ingress || slices.Contains(c.Devices, device)) {
				found = append(found, c)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *Chain) int { return cmp.Compare(a.Priority, b.Priority) })
	return found
}

// sees reports whether the table's chains at a hook see packets of a family.
func (t *Table) sees(h Hook, f Family) bool {
	switch {
	case f == FamilyBridge || t.Family == FamilyBridge:
		return f == t.Family
	case t.Family == FamilyINet:
		return true
	case h == Ingress:
		return t.Family == FamilyNetDev
	}
	return t.Family == f
}

// HasSet reports whether there is a set or map of a name such as "inet filter clients".
func (r *Ruleset) HasSet(name string) bool {
	for _, t := range r.Tables {
		for _, s := range t.sets {
			if t.String()+" "+s.name == name {
				return true
			}
		}
	}
	return false
}

// Size returns the number of rules.
func (r *Ruleset) Size() int {
	n := 0
	for _, t := range r.Tables {
		for _, c := range t.Chains {
			n += len(c.Rules)
		}
	}
	return n
}
