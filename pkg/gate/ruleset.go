package gate

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Ruleset is what the table says, all of it.
type Ruleset struct {
	// Table is the table's name; empty for DefaultTable.
	Table string
	// Hide is what becomes of packets to protected ports.
	Hide Hide
	// Interfaces are those on which the table acts; a name that ends in "*"
	// stands for all that begin so. Empty: all but lo.
	Interfaces []string
	// Protected are the services that only granted sources reach.
	Protected []Service
	// KnockPorts are the ports whose packets are logged: pure SYNs for TCP,
	// datagrams for UDP. They get no verdict: what else happens to them is
	// left to the host's other rules.
	KnockPorts []Service
	// ICMP logs echo requests, too.
	ICMP bool
	// Group is the first NFLOG group (Documentation: nfnetlink_log), and
	// Workers the number of groups from there; 0 is 1. A source's packets
	// all go to the same group, which a hash of its address chooses.
	Group   uint16
	Workers int
}

// Names of nftables objects are shorter than NFT_NAME_MAXLEN, interface names
// shorter than IFNAMSIZ (linux/netfilter/nf_tables.h, linux/if.h).
const (
	maxTableName     = 255
	maxInterfaceName = 15
)

// Validate reports the first thing that makes the ruleset impossible.
func (r *Ruleset) Validate() error {
	if err := validateTable(r.table()); err != nil {
		return err
	}
	for _, name := range r.Interfaces {
		if err := validateInterface(name); err != nil {
			return err
		}
	}
	for _, list := range [][]Service{r.Protected, r.KnockPorts} {
		for _, s := range list {
			if err := s.validate(); err != nil {
				return err
			}
		}
	}
	if r.Workers < 0 || int(r.Group)+r.workers()-1 > math.MaxUint16 {
		return fmt.Errorf("bad workers %d from group %d: the groups end at %d", r.Workers, r.Group, math.MaxUint16)
	}
	return nil
}

// String gives the table as `nft --stateless list table inet NAME` of nft
// 1.0.6 prints it, but for the flags of an owned table, which no nft of that
// age can read back. Only the text of a valid ruleset can be loaded.
func (r *Ruleset) String() string {
	var blocks []string
	for _, s := range r.sets() {
		blocks = append(blocks, s.String())
	}
	blocks = append(blocks, r.chain().String())
	return "table inet " + r.table() + " {\n" + strings.Join(blocks, "\n") + "}\n"
}

func (r *Ruleset) table() string {
	if r.Table == "" {
		return DefaultTable
	}
	return r.Table
}

func (r *Ruleset) workers() int { return max(r.Workers, 1) }

// validateTable accepts what nft reads as a name without quotes.
func validateTable(name string) error {
	if len(name) > maxTableName {
		return fmt.Errorf("bad table name: %d bytes, the kernel takes %d", len(name), maxTableName)
	}
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		other := c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.'
		if !letter && (i == 0 || !other) {
			return fmt.Errorf("bad table name %q: want a letter, then letters, digits, '_', '-' or '.'", name)
		}
	}
	return nil
}

func validateInterface(name string) error {
	bare := strings.TrimSuffix(name, "*")
	switch {
	case bare == "":
		return errors.New("bad interface name: empty")
	case len(bare) > maxInterfaceName:
		return fmt.Errorf("bad interface name %q: longer than %d bytes", name, maxInterfaceName)
	case strings.ContainsFunc(bare, notInterface):
		return fmt.Errorf("bad interface name %q: blanks, slashes, quotes and a '*' before the end do not belong in it", name)
	}
	return nil
}

func notInterface(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune(`/"\*`, c)
}
