package knock

import (
	"math/bits"
	"net/netip"

	"nftknock/pkg/p0f"
)

// pending is one source's half-done knock for one access.
type pending struct {
	key      key
	source   netip.Addr
	access   int
	attempts [2]attempt // see Engine.advance
	since    int64      // when it was last begun anew

	chain  *pending // in the index
	prefix *prefix
	age    link[pending] // among all knocks
	peer   link[pending] // among those of the prefix
}

// begin starts an attempt with the first element: in place of the younger
// one if the older goes on.
func (k *pending) begin(positions uint32, m mark) {
	older, younger := &k.attempts[0], &k.attempts[1]
	switch {
	case older.seen == 0 && younger.seen == 0:
		older.begin(positions, m)
		return
	case older.seen == 0:
		*older, *younger = *younger, *older
	}
	younger.begin(positions, m)
}

// furthest is the attempt with the most elements.
func (k *pending) furthest() *attempt {
	older, younger := &k.attempts[0], &k.attempts[1]
	if bits.OnesCount32(younger.seen) > bits.OnesCount32(older.seen) {
		return younger
	}
	return older
}

// forgetSystems makes the fingerprints of all elements those of no system.
func (k *pending) forgetSystems() {
	for _, a := range k.attempts {
		for i := range a.marks {
			a.marks[i].os = p0f.Match{}
		}
	}
}

func (k *pending) indexKey() key        { return k.key }
func (k *pending) indexNext() **pending { return &k.chain }

// prefix is the neighbourhood that shares one fair share of the table: an
// IPv4 /24 or an IPv6 /48.
type prefix struct {
	key    key
	count  int
	knocks list[pending] // oldest first

	chain *prefix      // in the index
	rank  link[prefix] // among prefixes of the same count
}

func (p *prefix) indexKey() key       { return p.key }
func (p *prefix) indexNext() **prefix { return &p.chain }

// table holds the half-done knocks, at most max of them. When it is full the
// oldest knock of the busiest prefix makes room, so that a flood from many
// addresses of a network costs that network's knocks and not a stranger's.
// Among equally busy prefixes it is the one that has been so for longest.
// Every operation takes constant time. Memory is taken in steps as the table
// fills for the first time, and kept.
type table struct {
	max, len int
	room     int // elements a knock may have
	knocks   index[pending, *pending]
	prefixes index[prefix, *prefix]
	ages     list[pending]  // oldest first
	ranks    []list[prefix] // by count
	busiest  int            // the highest count in use

	// Unused nodes, linked through chain.
	freeKnocks   *pending
	freePrefixes *prefix
}

// growth is how many nodes are made at a time.
const growth = 256

func newTable(limit, room int) *table {
	return &table{
		max:      limit,
		room:     room,
		knocks:   newIndex[pending](limit),
		prefixes: newIndex[prefix](limit),
		ranks:    make([]list[prefix], 2),
	}
}

// find returns the source's half-done knock for an access, or nil.
func (t *table) find(k key, access int) *pending {
	for n := t.knocks.first(k); n != nil; n = t.knocks.next(n) {
		if n.access == access {
			return n
		}
	}
	return nil
}

// full reports whether the next add needs the victim removed first.
func (t *table) full() bool { return t.len == t.max }

// victim is the knock that goes first when room is needed.
func (t *table) victim() *pending { return t.ranks[t.busiest].first.of.knocks.first.of }

// oldest is the knock that began the longest time ago, or nil.
func (t *table) oldest() *pending {
	if t.ages.first == nil {
		return nil
	}
	return t.ages.first.of
}

// add makes an empty half-done knock. The table must not be full.
func (t *table) add(k key, source netip.Addr, access int, now int64) *pending {
	n := t.takeKnock()
	n.key, n.source, n.access, n.since = k, source, access, now
	t.knocks.insert(n)
	t.ages.append(&n.age)
	t.len++

	n.prefix = t.prefixOf(n)
	n.prefix.knocks.append(&n.peer)
	t.rerank(n.prefix, n.prefix.count+1)
	return n
}

// copy adds a knock as it stands in another table.
func (t *table) copy(from *pending, access int) {
	n := t.add(from.key, from.source, access, from.since)
	for i := range n.attempts {
		to, a := &n.attempts[i], &from.attempts[i]
		to.seen, to.start = a.seen, a.start
		copy(to.marks, a.marks)
	}
}

// renew makes a knock that begins anew the youngest.
func (t *table) renew(n *pending, now int64) {
	n.since = now
	t.ages.remove(&n.age)
	t.ages.append(&n.age)
	n.prefix.knocks.remove(&n.peer)
	n.prefix.knocks.append(&n.peer)
}

// remove takes a knock out.
func (t *table) remove(n *pending) {
	t.knocks.remove(n)
	t.ages.remove(&n.age)
	t.len--

	p := n.prefix
	p.knocks.remove(&n.peer)
	t.rerank(p, p.count-1)
	if p.count == 0 {
		t.prefixes.remove(p)
		p.chain, t.freePrefixes = t.freePrefixes, p
	}
	n.chain, t.freeKnocks = t.freeKnocks, n
}

// rerank moves a prefix to the list of its new count.
func (t *table) rerank(p *prefix, count int) {
	if p.count > 0 {
		t.ranks[p.count].remove(&p.rank)
	}
	p.count = count
	if count == len(t.ranks) {
		t.ranks = append(t.ranks, list[prefix]{})
	}
	if count > 0 {
		t.ranks[count].append(&p.rank)
	}
	t.busiest = max(t.busiest, count)
	for t.busiest > 0 && t.ranks[t.busiest].first == nil {
		t.busiest--
	}
}

// prefixOf finds or makes the prefix of a knock.
func (t *table) prefixOf(n *pending) *prefix {
	k := n.key
	bytes := 6 // an IPv6 /48
	if n.source.Is4() {
		bytes = 15 // an IPv4 /24, mapped
	}
	clear(k[bytes:])
	if p := t.prefixes.first(k); p != nil {
		return p
	}
	p := t.takePrefix()
	p.key = k
	t.prefixes.insert(p)
	return p
}

// takeKnock returns an unused knock with empty attempts.
func (t *table) takeKnock() *pending {
	if t.freeKnocks == nil {
		nodes := make([]pending, min(growth, t.max-t.len))
		marks := make([]mark, len(nodes)*len(nodes[0].attempts)*t.room)
		for i := range nodes {
			n := &nodes[i]
			n.age.of, n.peer.of = n, n
			for j := range n.attempts {
				n.attempts[j].marks, marks = marks[:t.room:t.room], marks[t.room:]
			}
			n.chain, t.freeKnocks = t.freeKnocks, n
		}
	}
	n := t.freeKnocks
	t.freeKnocks, n.chain = n.chain, nil
	for i := range n.attempts {
		n.attempts[i].seen = 0
	}
	return n
}

// takePrefix returns an unused prefix that counts nothing.
func (t *table) takePrefix() *prefix {
	if t.freePrefixes == nil {
		nodes := make([]prefix, growth)
		for i := range nodes {
			p := &nodes[i]
			p.rank.of = p
			p.chain, t.freePrefixes = t.freePrefixes, p
		}
	}
	p := t.freePrefixes
	t.freePrefixes, p.chain = p.chain, nil
	return p
}
