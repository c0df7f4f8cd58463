package gate

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"nftknock/pkg/flows"
	"nftknock/pkg/packet"
)

// Connections that existed before the table are not cut by it. A TCP connection
// of this host has a socket, which the rules ask for; all others, and TCP that is
// forwarded, are known by conntrack alone, whose entries of that time have no room
// for our label. Their tuples are put into the sets that keep connections: of all
// hidden ports when the first Apply of a Kernel makes the table, and later of the
// ports that a ruleset hides and the one before did not. A flow that begins while
// the table is missing later is not among them.

// existingConn is a connection that existed then.
type existingConn struct {
	protocol packet.Protocol
	tuple    flows.Tuple // of packets that come in
	flow     uint32      // the id of its entry
}

// maxExisting bounds them, so that connections which are admitted without a
// label find space in the same sets.
const maxExisting = maxTuples / 2

// existingAtOnce is how many come with the table: a transaction of more may be
// too big for a process that is not root of the host.
const existingAtOnce = 4096

// portSet says of each port of a protocol whether it is in the set.
type portSet map[packet.Protocol]*[1 << 16]bool

// findExisting lists the connections to hidden ports. Where conntrack cannot be
// listed there are none.
func (k *Kernel) findExisting(r *Ruleset) {
	k.existing = k.connsTo(r, r.hiddenPorts())
}

// addRest adds those that did not come with the table.
func (k *Kernel) addRest() {
	rest := k.existing[min(len(k.existing), existingAtOnce):]
	for part := range slices.Chunk(rest, existingAtOnce) {
		k.addTuples(part)
	}
}

// findMissed adds what began between the listing and the table, after which
// nothing begins that is not admitted.
func (k *Kernel) findMissed(r *Ruleset, to portSet) {
	known := make(map[flows.Tuple]bool)
	for _, c := range k.existing {
		known[c.tuple] = true
	}
	var missed []existingConn
	for _, c := range k.connsTo(r, to) {
		if !known[c.tuple] && len(k.existing) < maxExisting {
			k.existing = append(k.existing, c)
			missed = append(missed, c)
		}
	}
	k.addTuples(missed)
}

// newlyHidden are the ports that a ruleset hides and the applied one does not.
func (k *Kernel) newlyHidden(r *Ruleset) portSet {
	hidden := r.hiddenPorts()
	for p, before := range k.applied.hiddenPorts() {
		for n := range before {
			hidden[p][n] = hidden[p][n] && !before[n]
		}
	}
	return hidden
}

func (k *Kernel) addTuples(list []existingConn) {
	// Connections that cannot be added are cut, as without conntrack; the table is
	// there all the same.
	_ = k.send(transaction{elements: tupleChanges(add, list, k.table.netlink(0))}, 0)
}

// connsTo lists the connections to some ports that have no label of ours.
func (k *Kernel) connsTo(r *Ruleset, to portSet) []existingConn {
	if !to.any() {
		return nil
	}
	var here, elsewhere, sockets []existingConn
	err := k.flows.Flows(func(f flows.Flow) {
		if !to[f.Protocol][f.Original.Destination.Port()] || r.labels().on(f) {
			return
		}
		// Where the destination was translated, later hooks see the translated address:
		// packets of the connection have this tuple there.
		arriving := f.Reply.Reversed()
		list := &elsewhere
		switch local := k.local[f.Original.Destination.Addr()]; {
		case local && f.Protocol == packet.TCP && arriving == f.Original:
			list = &sockets
		case local:
			list = &here
		}
		*list = append(*list, existingConn{f.Protocol, f.Original, f.ID})
		if arriving != f.Original {
			*list = append(*list, existingConn{f.Protocol, arriving, f.ID})
		}
	})
	if err != nil {
		return nil
	}
	// Where there are too many, those are left out first that pass by their sockets.
	all := slices.Concat(here, elsewhere, sockets)
	return all[:min(len(all), maxExisting)]
}

// adoptExisting learns from the table that an earlier process left which
// connections go on by their tuples, so that they outlive the loss of the table.
// What conntrack does not know is not among them.
func (k *Kernel) adoptExisting() {
	known := make(map[flows.Tuple]existingConn)
	err := k.flows.Flows(func(f flows.Flow) {
		known[f.Original] = existingConn{f.Protocol, f.Original, f.ID}
		known[f.Reply.Reversed()] = existingConn{f.Protocol, f.Reply.Reversed(), f.ID}
	})
	if err != nil {
		return
	}
	for _, f := range families() {
		elements, err := k.conn.GetSetElements(kept(f).netlink(k.table.netlink(0)))
		if err != nil {
			continue
		}
		for _, e := range elements {
			p, tuple, ok := f.parseTuple(e.Key)
			if c := known[tuple]; ok && c.protocol == p && len(k.existing) < maxExisting {
				k.existing = append(k.existing, c)
			}
		}
	}
}

// dropEnded takes those UDP flows out that ended before the table was made anew:
// another program with the same address and port could go on with them. (TCP can only go on with a socket.)
func (k *Kernel) dropEnded() {
	if len(k.existing) == 0 {
		return
	}
	// The id of a conntrack entry tells a new flow with the same tuple from the one
	// that ended (nf_ct_get_id hashes the entry's address and tuple).
	alive := make(map[uint32]bool)
	if err := k.flows.Flows(func(f flows.Flow) { alive[f.ID] = true }); err != nil {
		return
	}
	var rest, ended []existingConn
	for _, c := range k.existing {
		if alive[c.flow] {
			rest = append(rest, c)
		} else {
			ended = append(ended, c)
		}
	}
	k.existing = rest
	if k.send(transaction{elements: tupleChanges(remove, ended, k.table.netlink(0))}, 0) != nil {
		k.watch.signal()
	}
}

// tupleChanges adds or removes the tuples of connections in the kept sets of a
// table.
func tupleChanges(a action, list []existingConn, t *nftables.Table) []elementChange {
	var changes []elementChange
	for _, f := range families() {
		c := elementChange{set: kept(f).netlink(t), action: a}
		for _, conn := range list {
			if familyOf(conn.tuple.Source.Addr()) == f {
				c.elements = append(c.elements, conn.element())
			}
		}
		if len(c.elements) > 0 {
			changes = append(changes, c)
		}
	}
	return changes
}

// element is the element of a kept set for the connection.
func (c existingConn) element() nftables.SetElement {
	timeout := keptUDP
	if c.protocol == packet.TCP {
		timeout = keptTCP
	}
	return nftables.SetElement{Key: tupleKey(c.protocol, c.tuple), Timeout: timeout}
}

// tupleType is the type of the keys of a set of tuples: protocol, source, port,
// destination, port.
func tupleType(f family) keyType {
	return keyType{nftables.TypeInetProto, f.address, nftables.TypeInetService, f.address, nftables.TypeInetService}
}

// tupleKey is the key of a tuple.
func tupleKey(p packet.Protocol, t flows.Tuple) []byte {
	number := func(port uint16) []byte { return binary.BigEndian.AppendUint16(nil, port) }
	return tupleType(familyOf(t.Source.Addr())).encode([]byte{byte(p)},
		t.Source.Addr().AsSlice(), number(t.Source.Port()),
		t.Destination.Addr().AsSlice(), number(t.Destination.Port()))
}

// parseTuple reads what tupleKey wrote.
func (f family) parseTuple(key []byte) (packet.Protocol, flows.Tuple, bool) {
	fields, ok := tupleType(f).decode(key)
	if !ok {
		return 0, flows.Tuple{}, false
	}
	end := func(address, number []byte) netip.AddrPort {
		a, _ := netip.AddrFromSlice(address) // of 4 or 16 bytes
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(number))
	}
	return packet.Protocol(fields[0][0]), flows.Tuple{Source: end(fields[1], fields[2]), Destination: end(fields[3], fields[4])}, true
}

// any reports whether there is a port in the set.
func (s portSet) any() bool {
	for _, ports := range s {
		if *ports != [1 << 16]bool{} {
			return true
		}
	}
	return false
}

// hiddenPorts are all that a ruleset hides.
func (r *Ruleset) hiddenPorts() portSet {
	hidden := portSet{packet.TCP: new([1 << 16]bool), packet.UDP: new([1 << 16]bool)}
	for _, s := range r.Hidden() {
		for n := range s.Ports() {
			hidden[s.Protocol][s.At(n).First] = true
		}
	}
	return hidden
}
