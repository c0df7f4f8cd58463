package gate

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

var (
	// ErrNoGrant: nothing was granted that could be revoked.
	ErrNoGrant = errors.New("no such grant")
	// ErrNoTable: the table is not there, because no ruleset was applied or
	// because someone deleted it since. Apply builds it.
	ErrNoTable = errors.New("the table does not exist")
	// ErrOwned: another process owns the table.
	ErrOwned = errors.New("another process owns the table")
	// ErrForeign: a table has our name and something in it that we did not make.
	ErrForeign = errors.New("a table of this name is there and is not ours: choose another name with [nftables] table, or delete it")
	// ErrNoRoom: the ruleset has no Opening for such a grant.
	ErrNoRoom = errors.New("the table has no set for such a grant")
	// ErrQuota: the access has as many grants as it may.
	ErrQuota = errors.New("the access has used up its share of the grants")
)

// errChanged: another process changed the ruleset between our reading of it and
// our transaction, or while we read.
var errChanged = errors.New("the ruleset changed meanwhile")

// errCannotOwn comes with the kernel's EOPNOTSUPP, which means more than one
// thing.
var errCannotOwn = errors.New(`the kernel cannot keep a table owned (Linux 6.9 or newer can; owner = "auto" goes without)`)

// errNotAllowed: the process lacks a capability.
var errNotAllowed = errors.New("not allowed to use nf_tables: run with CAP_NET_ADMIN (as root, or AmbientCapabilities=CAP_NET_ADMIN in the unit)")

// transient reports an error after which the same transaction may well
// succeed. ENOBUFS also hides what became of the transaction, so that every
// operation has to bear being done twice.
func transient(err error) bool {
	for _, t := range []error{errChanged, unix.ERESTART, unix.EINTR, unix.EAGAIN, unix.ENOBUFS} {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// explain says what an error of the kernel means here and what to do. Errors
// that do not come from the kernel are left as they are.
func (k *Kernel) explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		return k.forbidden() // which asks the kernel
	}
	return explainErrno(err)
}

// explainErrno is explain for errors other than EPERM. It uses no connection.
func explainErrno(err error) error {
	var errno unix.Errno
	if !errors.As(err, &errno) && !transient(err) {
		return err
	}
	switch {
	case errors.Is(err, unix.EMSGSIZE):
		// netlink_sendmsg: the batch is larger than the socket's send buffer, which
		// only root of the host may make larger than wmem_max.
		return errors.New("the change is too big for one transaction: raise the sysctl net.core.wmem_max")
	case errors.Is(err, unix.ENFILE):
		return errFull()
	case transient(err):
		return fmt.Errorf("other processes keep changing the ruleset: try again: %w", err)
	}
	return fmt.Errorf("nf_tables: %w", err)
}

// explainApply adds what only a whole ruleset can run into.
func (k *Kernel) explainApply(err error) error {
	switch {
	case errors.Is(err, errCannotOwn):
		return err
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel lacks a part of nf_tables that the rules need (modprobe -a nf_tables nf_conntrack nft_ct nft_fib_inet nft_socket nft_log nft_hash nft_reject_inet, and for forward nft_chain_nat nft_nat nft_masq; Linux 5.10 or newer): %w", err)
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY):
		return fmt.Errorf("table inet %s holds something that is not ours (move it away, or: nft delete table inet %s): %w", k.table, k.table, err)
	}
	return k.explain(err)
}

// explainElement adds what a missing table looks like to operations on
// elements.
func (k *Kernel) explainElement(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return ErrNoTable
	}
	return k.explain(err)
}

// explain says what an error of the inspector's connection means, for any goroutine:
// explainElement may use that of the Kernel, which belongs to another one.
func (i *inspector) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case missing(err):
		return ErrNoTable
	case errors.Is(err, unix.EPERM): // to read, the capability is enough, whoever owns the table
		return errNotAllowed
	}
	return explainErrno(err)
}

// explainOpen adds what a kernel without nf_tables answers: the socket
// family, the subsystem, or only the message is unknown to it.
func (k *Kernel) explainOpen(err error) error {
	for _, missing := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOENT} {
		if errors.Is(err, missing) {
			return fmt.Errorf("the kernel has no nf_tables (modprobe nf_tables): %w", err)
		}
	}
	return k.explain(err)
}

// forbidden says which of the two reasons for EPERM it is: without the capability
// tables cannot even be listed.
func (k *Kernel) forbidden() error {
	t, err := k.find()
	if errors.Is(err, unix.EPERM) {
		return errNotAllowed
	}
	if err != nil || t == nil {
		return fmt.Errorf("%w, or did a moment ago: try again", ErrOwned)
	}
	return ownedBy(t)
}

func ownedBy(t *nftables.Table) error {
	return fmt.Errorf("%w inet %s (netlink port %d%s): one daemon per table; stop the other one first", ErrOwned, t.Name, t.Owner, processOf(t.Owner))
}

// processOf names the process behind a netlink port. The kernel gives the
// first such socket of a process the process's id for a port (af_netlink.c,
// netlink_autobind), and later ones a number above all ids.
func processOf(port uint32) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", port))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(", process %q", strings.TrimSpace(string(comm)))
}

func errFull() error {
	return fmt.Errorf("the set of grants is full (%d elements): wait for grants to end", MaxGrants)
}

func errTable(got, want string) error {
	return fmt.Errorf("ruleset is for table %q, the gate for %q", got, want)
}
