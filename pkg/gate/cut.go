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
)

// Connections are those of some sources to a service, as Connections of a Gate
// lists them and End ends them.
type Connections struct {
	flows   []flows.Flow
	tuples  [][]byte // keys in the sets of kept connections
	family  family
	sockets []flows.Socket
	count   int
}

// Len is the number of connections.
func (a *Connections) Len() int { return a.count }

// inspector reads what connections there are, over sockets of its own: the other
// methods of a Kernel need not wait for it.
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
	a, err := k.connections(from, s)
	if err != nil {
		return nil, fmt.Errorf("list connections of %s to %s: %w", source(from), s, err)
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
	a := &Connections{family: familyOf(from.Addr())}
	ends := make(map[endpoints]bool)
	err := k.inspector.flows.Flows(func(f flows.Flow) {
		if labels.on(f) && f.Protocol == s.Protocol && within(from, s, f.Original) {
			a.flows = append(a.flows, f)
			if !f.Over {
				ends[endpoints{f.Reply.Source, f.Reply.Destination}] = true
			}
		}
	})
	if err != nil && !errors.Is(err, flows.ErrUnsupported) {
		return nil, err
	}
	if err := k.inspector.findKept(a, k.table, from, s, ends); err != nil {
		return nil, k.explainElement(err)
	}
	if s.Protocol == packet.TCP {
		err = k.inspector.flows.Sockets(func(socket flows.Socket) {
			e := endpoints{socket.Local, socket.Remote}
			if ends[e] || within(from, s, flows.Tuple{Source: e.remote, Destination: e.local}) {
				a.sockets = append(a.sockets, socket)
				ends[e] = true
			}
		})
	}
	a.count = len(ends)
	return a, err
}

// within reports whether the packets of a tuple are of a source to a service.
func within(from netip.Prefix, s port.Range, t flows.Tuple) bool {
	port := t.Destination.Port()
	return from.Contains(t.Source.Addr()) && s.First <= port && port <= s.Last
}

// findKept adds connections that are known by their tuples.
func (i *inspector) findKept(a *Connections, table string, from netip.Prefix, s port.Range, ends map[endpoints]bool) error {
	t := &nftables.Table{Name: table, Family: nftables.TableFamilyINet}
	elements, err := i.conn.GetSetElements(tuples(a.family, keptSet, keptUDP).netlink(t))
	if err != nil {
		return err
	}
	for _, e := range elements {
		p, tuple, ok := a.family.parseTuple(e.Key)
		if ok && p == s.Protocol && within(from, s, tuple) {
			a.tuples = append(a.tuples, e.Key)
			ends[endpoints{tuple.Destination, tuple.Source}] = true
		}
	}
	return nil
}

// End implements Gate.
//
// A connection loses our label, so that its further packets need a grant, and its
// tuple where that was kept; a TCP connection of this host is also ended at its
// socket, which would speak for it. What conntrack knows of a connection stays:
// its entry says who began it.
func (k *Kernel) End(a *Connections) error {
	switch {
	case k.closed:
		return fmt.Errorf("end connections: %w", os.ErrClosed)
	case k.applied == nil:
		return fmt.Errorf("end connections: %w", ErrNoTable)
	}
	var errs []error
	for _, s := range a.sockets {
		errs = append(errs, k.flows.Destroy(s))
	}
	for _, f := range a.flows {
		for _, at := range places[:2] {
			if err := k.flows.ClearLabel(f, at.label(k.applied)); err != nil && !errors.Is(err, flows.ErrGone) {
				errs = append(errs, err)
			}
		}
	}
	// What stood does not come back with a table that is made anew.
	k.stood = slices.DeleteFunc(k.stood, func(s standing) bool {
		return slices.ContainsFunc(a.tuples, func(key []byte) bool { return bytes.Equal(key, tupleKey(s.protocol, s.tuple)) })
	})
	if err := errors.Join(append(errs, k.dropKept(a))...); err != nil {
		return fmt.Errorf("end connections: %w", err)
	}
	return nil
}

// dropKept takes tuples out of their set.
func (k *Kernel) dropKept(a *Connections) error {
	var keys []nftables.SetElement
	for _, key := range a.tuples {
		keys = append(keys, nftables.SetElement{Key: key})
	}
	if len(keys) == 0 {
		return nil
	}
	set := tuples(a.family, keptSet, keptUDP).netlink(k.netlinkTable(0))
	return k.retry(func() error {
		k.takeOut(set, keys)
		return k.conn.Flush()
	})
}

// labels are those of admitted connections.
type labels [2]uint8

func (r *Ruleset) labels() labels { return labels{atPrerouting.label(r), atInput.label(r)} }

// on reports whether a connection has one of them.
func (l labels) on(f flows.Flow) bool { return f.HasLabel(l[0]) || f.HasLabel(l[1]) }
