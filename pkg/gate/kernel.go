package gate

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/flows"
)

// Config says which table a Kernel is to own and how.
type Config struct {
	Table string // empty for DefaultTable
	Owner OwnerMode
}

// Kernel is the Gate in the kernel's nf_tables, over one netlink connection
// for its whole life. It needs CAP_NET_ADMIN, and belongs to one goroutine.
type Kernel struct {
	conn   *nftables.Conn
	port   uint32 // the connection's netlink port: the owner's name
	watch  *watcher
	table  tableName
	mode   OwnerMode // never OwnerAuto once the kernel was found not to own
	owned  bool
	closed bool

	applied  *Ruleset          // what Repair goes back to, or nil
	openings map[grantSet]bool // of the sets that it has openings for
	// ledger is what the kernel holds of grants; stale where that is not certain.
	ledger  *ledger
	stale   bool
	alone   map[element]bool // of the last listing: those of a map without one in a set
	pending []element        // of the ledger, which a new table does not hold yet
	// snapshot is that of the table as we left it, nil where it is not known.
	snapshot []byte
	// handle is that of the table that was applied, 0 before. Another one of its name
	// was made by another process: saved rulesets bring theirs along.
	handle tableHandle
	query  *netlink.Conn // for what the library does not read

	inspector *inspector
	labels    atomic.Pointer[labels]     // of the ruleset that was applied, for the inspector
	surveyed  atomic.Pointer[[]grantSet] // those of the ruleset that was applied, for the inspector

	flows    *flows.Table
	existing []existingConn      // connections that existed before the table
	listed   bool                // whether they were listed for this Apply
	local    map[netip.Addr]bool // this host's addresses when the Kernel was opened
	// withoutDemux: see Ruleset.
	withoutDemux bool

	mirror   *mirror
	unsynced bool  // the mirror may differ from the ledger
	trouble  error // what Trouble returns
}

var _ Gate = (*Kernel)(nil)

// Open connects to the nf_tables of the calling thread's network namespace.
// It changes nothing there. ErrOwned if another process owns the table, ErrForeign
// if it holds something that we did not make.
func Open(c Config) (*Kernel, error) {
	if c.Table == "" {
		c.Table = DefaultTable
	}
	if err := validateTable(c.Table); err != nil {
		return nil, err
	}
	k := &Kernel{table: tableName{inet, c.Table}, mode: c.Owner, ledger: newLedger()}
	k.mirror = newMirror(kernelSets{k}, c.Table)
	if err := k.open(); err != nil {
		return nil, fmt.Errorf("open table %s: %w", k.table, err)
	}
	return k, nil
}

func (k *Kernel) open() error {
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(largeBuffers))
	if err != nil {
		return k.explainOpen(err)
	}
	k.conn = conn
	if err := k.check(); err != nil {
		return errors.Join(err, conn.CloseLasting())
	}
	if k.query, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return errors.Join(err, conn.CloseLasting())
	}
	if k.watch, err = newWatcher(k.table, k.port); err != nil {
		return errors.Join(err, k.query.Close(), conn.CloseLasting())
	}
	if k.flows, err = flows.Open(); err != nil {
		return errors.Join(err, k.watch.close(), k.query.Close(), conn.CloseLasting())
	}
	if k.inspector, err = openInspector(); err != nil {
		return errors.Join(err, k.flows.Close(), k.watch.close(), k.query.Close(), conn.CloseLasting())
	}
	k.local = localAddresses()
	k.withoutDemux = !demuxes()
	return nil
}

// largeBuffers makes room for the largest transaction and its answers.
//
// NB: without options the library enlarges the buffers itself, and by too little: it
// does not count the messages that begin and end a batch, the padding, and the 32
// bytes that the kernel keeps to itself (netlink_sendmsg). A transaction a little
// smaller than the default buffer then fails with EMSGSIZE.
func largeBuffers(c *netlink.Conn) error {
	const size = 32 << 20 // an upper bound: memory is taken by what is under way
	return errors.Join(c.SetWriteBuffer(size), c.SetReadBuffer(size))
}

// localAddresses are those of this host. Without them no existing connection
// goes before another where there are too many.
func localAddresses() map[netip.Addr]bool {
	local := make(map[netip.Addr]bool)
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			local[p.Addr()] = true
		}
	}
	return local
}

// demuxes reports whether the kernel looks for the socket of a TCP packet before
// it routes it (Documentation/networking/ip-sysctl.rst).
func demuxes() bool {
	for _, name := range []string{"ip_early_demux", "tcp_early_demux"} {
		value, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if err != nil || strings.TrimSpace(string(value)) != "1" {
			return false
		}
	}
	return true
}

func (k *Kernel) check() (err error) {
	if k.port, err = k.conn.GetPortID(); err != nil {
		return err
	}
	// NB: of the first request that the kernel refuses the library keeps no more
	// than the text, unless it is for a table.
	t, err := k.find()
	if errors.Is(err, unix.EPERM) {
		return k.explain(err)
	}
	if err != nil {
		return k.explainOpen(err)
	}
	if k.foreign(t) {
		return ownedBy(t)
	}
	if t == nil {
		return nil
	}
	if ours, err := k.isOurs(t); err != nil || !ours {
		return cmp.Or(err, ErrForeign)
	}
	return nil
}

// find returns the table, or nil.
func (k *Kernel) find() (*nftables.Table, error) {
	t, err := k.conn.ListTableOfFamily(k.table.name, k.table.family.number)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return t, err
}

// foreign reports whether another process owns the table.
func (k *Kernel) foreign(t *nftables.Table) bool {
	return t != nil && t.Flags&nftables.TableFlagOwner != 0 && t.Owner != k.port
}

// retry repeats an operation while it fails for reasons that pass.
func (k *Kernel) retry(operation func() error) error {
	if k.closed {
		return os.ErrClosed
	}
	const attempts = 20
	var err error
	for range attempts {
		// Retry at once: other transactions take microseconds.
		if err = operation(); !transient(err) {
			break
		}
	}
	return err
}

// Owned implements Gate.
func (k *Kernel) Owned() bool { return k.owned }

// Changes implements Gate.
func (k *Kernel) Changes() <-chan struct{} { return k.watch.changes }

// Exists implements Gate.
func (k *Kernel) Exists() (bool, error) {
	there := false
	err := k.retry(func() error {
		t, err := k.find()
		there = t != nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for table %s: %w", k.table, k.explain(err))
	}
	return there, nil
}

// Remove implements Gate.
func (k *Kernel) Remove() error {
	k.leaveTargets(k.mirror.follow(&Ruleset{}))
	k.trouble = nil
	err := k.retry(func() error {
		k.conn.DelTable(k.table.netlink(0))
		return k.conn.Flush()
	})
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove table %s: %w", k.table, k.explain(err))
	}
	k.owned, k.applied, k.handle, k.snapshot, k.existing = false, nil, 0, nil, nil
	k.ledger.clear()
	k.labels.Store(nil)
	k.surveyed.Store(nil)
	return nil
}

// Close implements Gate. A table that was owned is then anyone's to change,
// and the next Apply of any Kernel takes it over.
func (k *Kernel) Close() error {
	if k.closed {
		return nil
	}
	k.closed = true
	k.owned = false
	return errors.Join(k.inspector.close(), k.flows.Close(), k.watch.close(), k.query.Close(), k.conn.CloseLasting())
}
