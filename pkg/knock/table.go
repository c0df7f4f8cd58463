package knock

import (
	"iter"
	"net/netip"
)

// pending is one source's half-done knock, of the kind that S describes. group
// distinguishes the knocks that a source may have half-done at the same time.
type pending[S any] struct {
	key    key
	source netip.Addr
	group  int
	state  S
	since  int64 // when it was begun or last renewed

	chain  *pending[S] // in the index
	prefix *prefix[S]
	age    link[pending[S]] // among all knocks
	peer   link[pending[S]] // among those of the prefix
}

func (k *pending[S]) indexKey() key           { return k.key }
func (k *pending[S]) indexNext() **pending[S] { return &k.chain }

// prefix counts the half-done knocks of an IPv4 /24 or an IPv6 /48: the networks
// that the table is divided among.
type prefix[S any] struct {
	key    key
	count  int
	knocks list[pending[S]] // oldest first

	chain *prefix[S]      // in the index
	rank  link[prefix[S]] // among prefixes of the same count
}

func (p *prefix[S]) indexKey() key          { return p.key }
func (p *prefix[S]) indexNext() **prefix[S] { return &p.chain }

// table holds the half-done knocks, at most max of them. When it is full the
// oldest knock of the busiest prefix makes room, so that a flood from many
// addresses of a network costs that network's knocks and not those of others.
// Among equally busy prefixes it is the one that has been so for longest.
// Every operation takes constant time. Memory is allocated in steps as the table
// fills for the first time, and kept.
type table[S any] struct {
	max, len int
	prepare  func(*S) // allocates what a state points to, once
	reset    func(*S) // empties a state
	knocks   index[pending[S], *pending[S]]
	prefixes index[prefix[S], *prefix[S]]
	ages     list[pending[S]]  // oldest first
	ranks    []list[prefix[S]] // by count
	busiest  int               // the highest count in use

	// Unused nodes, linked through chain.
	freeKnocks   *pending[S]
	freePrefixes *prefix[S]
}

// growth is how many nodes are made at a time.
const growth = 256

func newTable[S any](limit int, prepare, reset func(*S)) *table[S] {
	return &table[S]{
		max:      limit,
		prepare:  prepare,
		reset:    reset,
		knocks:   newIndex[pending[S]](limit),
		prefixes: newIndex[prefix[S]](limit),
		ranks:    make([]list[prefix[S]], 2),
	}
}

// find returns the source's half-done knock of a group, or nil.
func (t *table[S]) find(k key, group int) *pending[S] {
	for n := t.knocks.first(k); n != nil; n = t.knocks.next(n) {
		if n.group == group {
			return n
		}
	}
	return nil
}

// full reports whether the next add needs the victim removed first.
func (t *table[S]) full() bool { return t.len == t.max }

// victim returns the knock that makes room for the next one. The table must be full.
func (t *table[S]) victim() *pending[S] {
	busiest := t.ranks[t.busiest].first.of // for the longest time
	return busiest.knocks.first.of
}

// oldest returns the knock whose since is the longest ago, or nil.
func (t *table[S]) oldest() *pending[S] {
	if t.ages.first == nil {
		return nil
	}
	return t.ages.first.of
}

// add makes a half-done knock with an empty state. The table must not be full.
func (t *table[S]) add(k key, source netip.Addr, group int, now int64) *pending[S] {
	n := t.takeKnock()
	n.key, n.source, n.group, n.since = k, source, group, now
	t.knocks.insert(n)
	t.ages.append(&n.age)
	t.len++

	n.prefix = t.prefixOf(n)
	n.prefix.knocks.append(&n.peer)
	t.rerank(n.prefix, n.prefix.count+1)
	return n
}

// adopt adds an empty knock for one of another table, at the expense of the
// oldest where there is no room.
func (t *table[S]) adopt(n *pending[S], group int) *pending[S] {
	if t.full() {
		t.remove(t.oldest())
	}
	return t.add(n.key, n.source, group, n.since)
}

// all yields the knocks, the oldest first. The table must not change meanwhile.
func (t *table[S]) all() iter.Seq[*pending[S]] {
	return func(yield func(*pending[S]) bool) {
		for l := t.ages.first; l != nil && yield(l.of); l = l.next {
		}
	}
}

// renew makes a knock the youngest.
func (t *table[S]) renew(n *pending[S], now int64) {
	n.since = now
	t.ages.remove(&n.age)
	t.ages.append(&n.age)
	n.prefix.knocks.remove(&n.peer)
	n.prefix.knocks.append(&n.peer)
}

// remove takes a knock out. Its state may be used until the next add.
func (t *table[S]) remove(n *pending[S]) {
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
func (t *table[S]) rerank(p *prefix[S], count int) {
	if p.count > 0 {
		t.ranks[p.count].remove(&p.rank)
	}
	p.count = count
	// A count grows by one, so a list more is enough.
	if count == len(t.ranks) {
		t.ranks = append(t.ranks, list[prefix[S]]{})
	}
	if count > 0 {
		t.ranks[count].append(&p.rank)
	}
	// count differs from the one before by one, so the loop takes one step at most.
	t.busiest = max(t.busiest, count)
	for t.busiest > 0 && t.ranks[t.busiest].first == nil {
		t.busiest--
	}
}

// prefixOf finds or makes the prefix of a knock.
func (t *table[S]) prefixOf(n *pending[S]) *prefix[S] {
	k := n.key
	bytes := 6 // an IPv6 /48
	if n.source.Is4() {
		bytes = 15 // an IPv4 /24: 12 bytes before the address, and 3 of it
	}
	clear(k[bytes:]) // k is a copy
	if p := t.prefixes.first(k); p != nil {
		return p
	}
	p := t.takePrefix()
	p.key = k
	t.prefixes.insert(p)
	return p
}

// takeKnock returns an unused knock with an empty state.
func (t *table[S]) takeKnock() *pending[S] {
	if t.freeKnocks == nil {
		// All nodes made so far are in the table: len of them.
		nodes := make([]pending[S], min(growth, t.max-t.len))
		for i := range nodes {
			n := &nodes[i]
			n.age.of, n.peer.of = n, n
			t.prepare(&n.state)
			n.chain, t.freeKnocks = t.freeKnocks, n
		}
	}
	n := t.freeKnocks
	t.freeKnocks, n.chain = n.chain, nil
	t.reset(&n.state)
	return n
}

// takePrefix returns an unused prefix that counts nothing.
func (t *table[S]) takePrefix() *prefix[S] {
	if t.freePrefixes == nil {
		nodes := make([]prefix[S], growth)
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
