package gate

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/google/nftables"

	"nftknock/pkg/flows"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Connections are those of some sources to a service, as Connections of a Gate
// lists them and End ends them.
type Connections struct {
	// Whose connections they are, and to what.
	sources netip.Prefix
	service port.Range

	flows   []flows.Flow
	tuples  [][]byte // keys in the set of kept connections
	sockets []flows.Socket
	// ends are the ends of all of them: one connection may be known in several ways.
	ends map[endpoints]bool
}

// Len is the number of connections.
func (a *Connections) Len() int { return len(a.ends) }

// include reports whether the packets of a tuple are of one of the sources to the
// service.
func (a *Connections) include(t flows.Tuple) bool {
	return a.sources.Contains(t.Source.Addr()) && a.service.Has(a.service.Protocol, t.Destination.Port())
}

// keptSet is the set in which their tuples would be.
func (a *Connections) keptSet(t *nftables.Table) *nftables.Set {
	return kept(familyOf(a.sources.Addr())).netlink(t)
}

// inspector reads what connections there are, over netlink sockets of its own: the
// other methods of a Kernel need not wait for it.
type inspector struct {
	mu    sync.Mutex
	flows *flows.Table
	conn  *nftables.Conn
}

func openInspector() (*inspector, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, err
	}
	table, err := flows.Open()
	if err != nil {
		return nil, errors.Join(err, conn.CloseLasting())
	}
	return &inspector{flows: table, conn: conn}, nil
}

func (i *inspector) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return errors.Join(i.flows.Close(), i.conn.CloseLasting())
}

// endpoints are both ends of a TCP connection as its socket has them.
type endpoints struct{ local, remote netip.AddrPort }

// Connections implements Gate.
func (k *Kernel) Connections(from netip.Prefix, s port.Range) (*Connections, error) {
	if err := errors.Join(validateRange(from), s.CheckService()); err != nil {
		return nil, err
	}
	from = normalSource(from)
	var a *Connections
	err := k.inspector.retry(func() (err error) {
		a, err = k.connections(from, s)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list connections of %s to %s: %w", wording.Prefix(from), s, err)
	}
	return a, nil
}

func (k *Kernel) connections(from netip.Prefix, s port.Range) (*Connections, error) {
	k.inspector.mu.Lock()
	defer k.inspector.mu.Unlock()
	labels := k.labels.Load()
	if labels == nil {
		return nil, ErrNoTable
	}
	a := &Connections{sources: from, service: s, ends: make(map[endpoints]bool)}
	if err := k.inspector.findKept(a, k.table); err != nil {
		return nil, err
	}
	err := k.inspector.flows.Flows(func(f flows.Flow) {
		if labels.on(f) && f.Protocol == s.Protocol && a.include(f.Original) {
			a.flows = append(a.flows, f)
			// An entry outlives its connection by minutes. It loses its label all the same.
			if !f.Over {
				a.ends[endpoints{f.Reply.Source, f.Reply.Destination}] = true
			}
		}
	})
	if err != nil && !errors.Is(err, flows.ErrUnsupported) {
		return nil, err
	}
	if s.Protocol == packet.TCP {
		err = k.inspector.findSockets(a)
	}
	return a, err
}

// findKept adds connections that are known by their tuples.
func (i *inspector) findKept(a *Connections, table tableName) error {
	elements, err := i.conn.GetSetElements(a.keptSet(table.netlink(0)))
	if err != nil {
		return err
	}
	for _, e := range elements {
		p, tuple, ok := familyOf(a.sources.Addr()).parseTuple(e.Key)
		if ok && p == a.service.Protocol && a.include(tuple) {
			a.tuples = append(a.tuples, e.Key)
			a.ends[endpoints{tuple.Destination, tuple.Source}] = true
		}
	}
	return nil
}

// findSockets adds the sockets of the connections that were found, and those that
// are known by nothing else.
func (i *inspector) findSockets(a *Connections) error {
	return i.flows.Sockets(func(socket flows.Socket) {
		e := endpoints{socket.Local, socket.Remote}
		// The socket has the port that was translated to, the flow that which was dialled.
		if a.ends[e] || a.include(flows.Tuple{Source: e.remote, Destination: e.local}) {
			a.sockets = append(a.sockets, socket)
			a.ends[e] = true
		}
	})
}

// End implements Gate.
//
// A connection loses our label, so that its further packets need a grant, and its
// tuple where that was kept; a TCP connection of this host is also ended at its
// socket, by which it would pass otherwise. The entry in conntrack stays: it says
// which side began the connection, so that the other cannot begin it anew. Only where
// the dialled port is not hidden, as that of a forwarded connection may be, does the entry
// go: it is what leads the packets to the target.
func (k *Kernel) End(a *Connections) error {
	switch {
	case k.closed:
		return fmt.Errorf("end connections: %w", os.ErrClosed)
	case k.applied == nil:
		return fmt.Errorf("end connections: %w", ErrNoTable)
	}
	var errs []error
	// Sockets first: while one is there, its packets pass without label and tuple.
	for _, s := range a.sockets {
		errs = append(errs, k.flows.Destroy(s))
	}
	for _, f := range a.flows {
		for _, at := range []checkpoint{atPrerouting, atInput} {
			if err := k.flows.ClearLabel(f, at.label(k.applied)); err != nil && !errors.Is(err, flows.ErrGone) {
				errs = append(errs, err)
			}
		}
		if k.forwardedByOpenPort(f) {
			if err := k.flows.Delete(f); err != nil && !errors.Is(err, flows.ErrGone) {
				errs = append(errs, err)
			}
		}
	}
	// Ended connections are not restored when the table is rebuilt.
	k.existing = slices.DeleteFunc(k.existing, func(c existingConn) bool {
		return slices.ContainsFunc(a.tuples, func(key []byte) bool { return bytes.Equal(key, c.element().Key) })
	})
	if err := errors.Join(append(errs, k.dropKept(a))...); err != nil {
		return fmt.Errorf("end connections: %w", err)
	}
	return nil
}

// dropKept takes their tuples out of the kept set.
func (k *Kernel) dropKept(a *Connections) error {
	if len(a.tuples) == 0 {
		return nil
	}
	c := elementChange{set: a.keptSet(k.table.netlink(0)), action: remove}
	for _, key := range a.tuples {
		c.elements = append(c.elements, nftables.SetElement{Key: key})
	}
	return k.retry(func() error { return k.send(transaction{elements: []elementChange{c}}, 0) })
}

// labels are those of admitted connections.
type labels [2]uint8

func (r *Ruleset) labels() labels { return labels{atPrerouting.label(r), atInput.label(r)} }

// on reports whether a connection has one of them.
func (l labels) on(f flows.Flow) bool { return f.HasLabel(l[0]) || f.HasLabel(l[1]) }
