// Package gate owns the nftables table that hides services and lets granted
// sources through to them.
//
// A Ruleset says what the table is to hold, Apply makes it so in one
// transaction, and a Grant is an element with a timeout in one of the
// table's sets: the kernel deletes it in time, whatever becomes of the process
// that gave it. Kernel is the real thing, Fake has the same behaviour without a
// kernel.
//
// A connection that was admitted outlives its grant: its packets are known by a
// label of conntrack that only such connections have. What the kernel calls an
// established connection does not count.
//
// What it cannot do: a packet that this table lets pass may still be dropped
// by another table.
package gate

import (
	"net/netip"

	"nftknock/pkg/port"
)

// DefaultTable is the name of the table where none is given. Its family is
// inet.
const DefaultTable = "nftknock"

// Gate is a table of rules and the grants in it. Every method of a Kernel
// blocks until the kernel has answered, which takes it microseconds (listing a
// full set of grants up to a second), and belongs to one goroutine: the
// connection's buffer is shared.
type Gate interface {
	// Apply writes the ruleset into the table, in one transaction:
	// at no moment is a service of both the old and the new ruleset open or
	// a grant missing. Running grants stay, with the time they have left. On
	// error nothing has changed.
	Apply(*Ruleset) error

	// Repair writes the table again as the last Apply wrote it, and reports
	// whether it had to: after another process deleted it or changed
	// its rules or services. Grants that went with the table are given again,
	// for the time they had left; one that was deleted by itself stays so.
	// Single-use grants are not: only the lost table knew whether they were used.
	// ErrNoTable if there is nothing to go back to.
	Repair() (repaired bool, err error)

	// Changes receives when another process changed the table, or may have:
	// time to Repair; so is a change of a set that ModeSet grants into. Several changes
	// may be one. While the table is owned it receives none of the table, and after
	// Close none at all. It also receives when Apply or Repair left something to be
	// done later. Unlike the other methods it is
	// for any goroutine.
	Changes() <-chan struct{}

	// Grant lets a source through to a service until the timeout is over.
	// It never shortens: a running grant that has more time left than the new
	// timeout keeps it, unless the new one leads to another target; any other gets the
	// new timeout in full. ErrNoRoom if the ruleset has no Opening for it, ErrQuota if the access has used up its
	// quota. A grant that breaks a rule of (*Grant).Validate never leaves the
	// process.
	Grant(Grant) error

	// Lasts reports whether a grant with the same Source, Service and Once is there: it
	// has not ended, was not revoked, and no connection has used it up.
	Lasts(Grant) (bool, error)

	// Revoke ends the grants of sources within a prefix to services within a
	// service, and returns them ordered by source, protocol and port; ErrNoGrant when
	// there is none. Connections that are established stay.
	Revoke(netip.Prefix, port.Range) (ended []Grant, err error)

	// Withdraw ends one grant, the one with the same Source, Service and Once, and no
	// other that lies within it; ErrNoGrant when there is none. Connections that are
	// established stay.
	Withdraw(Grant) error

	// Connections lists the connections that sources within a prefix have to a
	// service: what a grant admitted, now or earlier, and what existed before
	// the table. It takes 2 microseconds for each connection of the host. Unlike the
	// other methods it is for any goroutine.
	Connections(netip.Prefix, port.Range) (*Connections, error)

	// End ends them. It revokes nothing: while there is a grant, they may begin
	// anew.
	End(*Connections) error

	// Grants lists what is granted at this moment, ordered by source, protocol
	// and port. Its time grows with their number: 30,000 take half a second.
	Grants() ([]Grant, error)

	// Survey is Grants over a connection of its own: unlike the other methods it is
	// for any goroutine, and none of them waits for it but Connections and Close.
	Survey() ([]Grant, error)

	// Trouble returns what keeps grants from taking effect although the table is there,
	// or nil: in ModeSet, a set that is missing, or that takes no grants (ErrTarget).
	// It is as of the last Apply or Repair. Grants that such a set lost are given again
	// by a later Repair; new ones are refused with ErrTarget.
	Trouble() error

	// Owned reports whether the last Apply left the table where no other
	// process can change or flush it. A table that is not owned is to be
	// repaired whenever Changes says so.
	Owned() bool

	// Exists reports whether there is a table of this name.
	Exists() (bool, error)

	// Remove deletes the table and all grants. A table that is not there is
	// no error.
	Remove() error

	// Close closes the connections to the kernel. The table stays, and so do
	// its grants until their time is over.
	Close() error
}

// Hide is what becomes of a packet to a protected port.
type Hide uint8

// The ways to hide.
const (
	// Drop makes protected ports look filtered: no answer.
	Drop Hide = iota
	// Reject makes them look closed: a reset for TCP, an ICMP port
	// unreachable for everything else.
	Reject
)

// String returns the word that nft has for it.
func (h Hide) String() string {
	if h == Reject {
		return "reject"
	}
	return "drop"
}

// OwnerMode says whether the table is to be owned: closed to changes by
// other processes, and skipped by `nft flush ruleset`.
type OwnerMode uint8

// The modes of ownership. The kernel has both flags it takes (owner and
// persist) from Linux 6.9; owner alone, from 5.12, would delete the table
// together with the daemon and is not used.
const (
	// OwnerAuto owns the table where the kernel can.
	OwnerAuto OwnerMode = iota
	// OwnerOn makes Apply fail where the kernel cannot.
	OwnerOn
	// OwnerOff leaves the table open to everyone, so that a saved ruleset
	// that holds it can be loaded by an nft that does not know the flags.
	OwnerOff
)
