package gate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"

	"nftknock/pkg/flows"
)

// Cut implements Gate.
//
// A connection loses our label, so that its further packets need a grant, and
// its tuple where that was kept; a TCP connection of this host is also ended at
// its socket, which would speak for it. What conntrack knows of a connection
// stays: its entry says who began it.
func (k *Kernel) Cut(from netip.Prefix, s Service) (ended int, err error) {
	if err := validateSource(from); err != nil {
		return 0, err
	}
	if err := s.validate(); err != nil {
		return 0, err
	}
	from = normalSource(from)
	switch {
	case k.closed:
		err = os.ErrClosed
	case k.applied == nil:
		err = ErrNoTable
	default:
		ended, err = k.cut(from, s)
	}
	if err != nil {
		return ended, fmt.Errorf("cut %s of %s: %w", s, source(from), err)
	}
	return ended, nil
}

// endpoints are both ends of a TCP connection as its socket has them.
type endpoints struct{ local, remote netip.AddrPort }

func (k *Kernel) cut(from netip.Prefix, s Service) (int, error) {
	victims := make(map[endpoints]bool)
	var found []flows.Flow
	err := k.flows.Flows(func(f flows.Flow) {
		if k.applied.hasAdmitted(f) && within(from, s, f.Protocol == s.Protocol, f.Original) {
			found = append(found, f)
			victims[endpoints{f.Reply.Source, f.Reply.Destination}] = true
		}
	})
	var errs []error
	if err != nil && !errors.Is(err, flows.ErrUnsupported) {
		errs = append(errs, err)
	}
	for _, f := range found {
		for _, at := range places[:2] {
			if err := k.flows.ClearLabel(f, at.label(k.applied)); err != nil && !errors.Is(err, flows.ErrGone) {
				errs = append(errs, err)
			}
		}
	}
	tuples, err := k.cutKept(from, s)
	errs = append(errs, err)
	for _, t := range tuples {
		victims[endpoints{t.Destination, t.Source}] = true
	}
	if s.Protocol == protocols[0] {
		errs = append(errs, k.cutSockets(victims))
	}
	return len(victims), errors.Join(errs...)
}

// hasAdmitted reports whether the ruleset's labels are on a connection.
func (r *Ruleset) hasAdmitted(f flows.Flow) bool {
	return f.HasLabel(atPrerouting.label(r)) || f.HasLabel(atInput.label(r))
}

// within reports whether the packets of a tuple are of a source to a service.
func within(from netip.Prefix, s Service, sameProtocol bool, t flows.Tuple) bool {
	port := t.Destination.Port()
	return sameProtocol && from.Contains(t.Source.Addr()) && s.First <= port && port <= s.Last
}

// cutKept takes the tuples of connections that were admitted without a label out
// of their set. Those that stood before the table stay.
func (k *Kernel) cutKept(from netip.Prefix, s Service) ([]flows.Tuple, error) {
	stood := make(map[flows.Tuple]bool)
	for _, t := range k.stood {
		stood[t.tuple] = true
	}
	f := familyOf(from.Addr())
	set := tuples(f, keptSet, keptUDP).netlink(k.netlinkTable(0))
	elements, err := k.conn.GetSetElements(set)
	if err != nil {
		return nil, k.explainElement(err)
	}
	var gone []flows.Tuple
	var keys []nftables.SetElement
	for _, e := range elements {
		p, t, ok := f.parseTuple(e.Key)
		if ok && !stood[t] && within(from, s, p == s.Protocol, t) {
			gone = append(gone, t)
			keys = append(keys, nftables.SetElement{Key: e.Key})
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	err = k.retry(func() error {
		encoded(k.conn.SetAddElements(set, keys)) // one may have ended
		encoded(k.conn.SetDeleteElements(set, keys))
		return k.conn.Flush()
	})
	return gone, err
}

// cutSockets ends connections at this host's end.
func (k *Kernel) cutSockets(victims map[endpoints]bool) error {
	if len(victims) == 0 {
		return nil
	}
	var found []flows.Socket
	err := k.flows.Sockets(func(s flows.Socket) {
		if victims[endpoints{s.Local, s.Remote}] {
			found = append(found, s)
		}
	})
	errs := []error{err}
	for _, s := range found {
		errs = append(errs, k.flows.Destroy(s))
	}
	return errors.Join(errs...)
}
