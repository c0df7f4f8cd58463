package gate

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"

	"nftknock/pkg/flows"
	"nftknock/pkg/packet"
)

// What stood before the table did is not cut by it. A TCP connection of this
// host has a socket, which the rules ask for; all others, and TCP that is
// forwarded, are known by conntrack alone, whose entries of that time have no room
// for our label. Their tuples are put into the sets that keep connections: of all
// hidden ports when the first Apply of a Kernel makes the table, and later of the
// ports that a ruleset hides and the one before did not. A flow that begins while
// the table is missing later is not among them.

// standing is a connection that stood then.
type standing struct {
	protocol packet.Protocol
	tuple    flows.Tuple // of packets that come in
	flow     uint32      // the id of its entry
}

// maxStanding bounds them, so that connections which are admitted without a
// label find room in the same sets.
const maxStanding = maxTuples / 2

// portSet tells of each port of a protocol whether it is in the set.
type portSet map[packet.Protocol]*[1 << 16]bool

// findStanding lists the connections to hidden ports. Where conntrack cannot be
// listed there are none.
func (k *Kernel) findStanding(r *Ruleset) {
	k.stood = k.standing(r, r.hiddenPorts())
}

// standingAtOnce is how many come with the table: a transaction of more may be too
// big for who is not root of the host.
const standingAtOnce = 4096

// addRest adds those that did not come with the table.
func (k *Kernel) addRest() {
	rest := k.stood[min(len(k.stood), standingAtOnce):]
	for part := range slices.Chunk(rest, standingAtOnce) {
		elements := make(map[string][]nftables.SetElement)
		for _, s := range part {
			s.addTo(elements)
		}
		k.addTuples(elements)
	}
}

// findMissed adds what began between the listing and the table, after which
// nothing begins that is not admitted.
func (k *Kernel) findMissed(r *Ruleset, to portSet) {
	known := make(map[flows.Tuple]bool)
	for _, s := range k.stood {
		known[s.tuple] = true
	}
	elements := make(map[string][]nftables.SetElement)
	for _, s := range k.standing(r, to) {
		if !known[s.tuple] && len(k.stood) < maxStanding {
			k.stood = append(k.stood, s)
			s.addTo(elements)
		}
	}
	k.addTuples(elements)
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

func (k *Kernel) addTuples(elements map[string][]nftables.SetElement) {
	for _, f := range families() {
		if list := elements[keptSet+f.digit]; len(list) > 0 {
			encoded(k.conn.SetAddElements(tuples(f, keptSet, keptUDP).netlink(k.netlinkTable(0)), list))
		}
	}
	// What cannot be added is cut, as without conntrack; the table stands.
	_ = k.conn.Flush()
}

func (k *Kernel) standing(r *Ruleset, to portSet) []standing {
	if !to.any() {
		return nil
	}
	var here, elsewhere, sockets []standing
	err := k.flows.Flows(func(f flows.Flow) {
		if !to[f.Protocol][f.Original.Destination.Port()] || r.labels().on(f) {
			return
		}
		arriving := f.Reply.Reversed()
		list := &elsewhere
		switch local := k.local[f.Original.Destination.Addr()]; {
		case local && f.Protocol == packet.TCP && arriving == f.Original:
			list = &sockets
		case local:
			list = &here
		}
		*list = append(*list, standing{f.Protocol, f.Original, f.ID})
		if arriving != f.Original {
			*list = append(*list, standing{f.Protocol, arriving, f.ID})
		}
	})
	if err != nil {
		return nil
	}
	// What a socket speaks for needs the room least.
	all := slices.Concat(here, elsewhere, sockets)
	return all[:min(len(all), maxStanding)]
}

// takeUpStanding learns from the table that an earlier process left which
// connections go on by their tuples, so that they outlive the loss of the table.
// What conntrack does not know is not among them.
func (k *Kernel) takeUpStanding() {
	known := make(map[flows.Tuple]standing)
	err := k.flows.Flows(func(f flows.Flow) {
		known[f.Original] = standing{f.Protocol, f.Original, f.ID}
		known[f.Reply.Reversed()] = standing{f.Protocol, f.Reply.Reversed(), f.ID}
	})
	if err != nil {
		return
	}
	for _, f := range families() {
		elements, err := k.conn.GetSetElements(tuples(f, keptSet, keptUDP).netlink(k.netlinkTable(0)))
		if err != nil {
			continue
		}
		for _, e := range elements {
			p, tuple, ok := f.parseTuple(e.Key)
			if s := known[tuple]; ok && s.protocol == p && len(k.stood) < maxStanding {
				k.stood = append(k.stood, s)
			}
		}
	}
}

// dropEnded takes those UDP flows out that ended before the table was made anew:
// somebody else could go on with them. (TCP can only go on with a socket.)
func (k *Kernel) dropEnded() {
	if len(k.stood) == 0 {
		return
	}
	alive := make(map[uint32]bool)
	if err := k.flows.Flows(func(f flows.Flow) { alive[f.ID] = true }); err != nil {
		return
	}
	ended := make(map[string][]nftables.SetElement)
	var rest []standing
	for _, s := range k.stood {
		if alive[s.flow] {
			rest = append(rest, s)
		} else {
			s.addTo(ended)
		}
	}
	k.stood = rest
	k.dropTuples(ended)
}

func (k *Kernel) dropTuples(elements map[string][]nftables.SetElement) {
	for _, f := range families() {
		if list := elements[keptSet+f.digit]; len(list) > 0 {
			k.takeOut(tuples(f, keptSet, keptUDP).netlink(k.netlinkTable(0)), list)
		}
	}
	if k.conn.Flush() != nil {
		k.watch.signal()
	}
}

// addTo adds the tuple's element to those of its set.
func (s standing) addTo(elements map[string][]nftables.SetElement) {
	name := keptSet + familyOf(s.tuple.Source.Addr()).digit
	timeout := keptUDP
	if s.protocol == packet.TCP {
		timeout = keptTCP
	}
	elements[name] = append(elements[name], nftables.SetElement{Key: tupleKey(s.protocol, s.tuple), Timeout: timeout})
}

// tupleKey is the key of a tuple: protocol, source, port, destination, port,
// each padded to 4 bytes.
func tupleKey(p packet.Protocol, t flows.Tuple) []byte {
	key := []byte{byte(p), 0, 0, 0}
	key = append(key, t.Source.Addr().AsSlice()...)
	key = append(binary.BigEndian.AppendUint16(key, t.Source.Port()), 0, 0)
	key = append(key, t.Destination.Addr().AsSlice()...)
	return append(binary.BigEndian.AppendUint16(key, t.Destination.Port()), 0, 0)
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
	for _, s := range r.Protected {
		for n := range s.Ports() {
			hidden[s.Protocol][s.At(n).First] = true
		}
	}
	return hidden
}

// parseTuple reads what tupleKey wrote.
func (f family) parseTuple(key []byte) (packet.Protocol, flows.Tuple, bool) {
	n := int(f.addrLen())
	if len(key) != 4+2*(n+4) {
		return 0, flows.Tuple{}, false
	}
	end := func(at int) netip.AddrPort {
		a, _ := netip.AddrFromSlice(key[at : at+n])
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(key[at+n:]))
	}
	return packet.Protocol(key[0]), flows.Tuple{Source: end(4), Destination: end(4 + n + 4)}, true
}
