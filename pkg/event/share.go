package event

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// share is room for the records of a number of sources. It is not safe for
// concurrent use.
type share struct {
	room     int
	sources  map[netip.Addr]*source
	networks map[netip.Prefix]*network
	crowds   crowds
}

// entry is a record, and when it came in relation to others.
type entry struct {
	Record
	serial uint64
}

// source is an address that knocked.
type source struct {
	addr    netip.Addr
	of      *network
	place   *list.Element // in of.sources
	entries []entry       // the oldest first
}

// last is the serial number of its newest record.
func (s *source) last() uint64 { return s.entries[len(s.entries)-1].serial }

// network is a prefix with the sources in it that are remembered.
type network struct {
	prefix  netip.Prefix
	sources *list.List // of *source; the one that has been silent for longest first
	index   int        // in crowds
}

// silent is the source that has been silent for longest.
func (n *network) silent() *source { return n.sources.Front().Value.(*source) }

func newShare(room int) *share {
	return &share{room: room, sources: make(map[netip.Addr]*source), networks: make(map[netip.Prefix]*network)}
}

// add remembers an entry.
func (s *share) add(addr netip.Addr, e entry) {
	src := s.sources[addr]
	if src == nil {
		if len(s.sources) == s.room {
			s.evict()
		}
		src = s.enter(addr)
	}
	if len(src.entries) == maxPerSource {
		copy(src.entries, src.entries[1:])
		src.entries = src.entries[:maxPerSource-1]
	}
	src.entries = append(src.entries, e)
	src.of.sources.MoveToBack(src.place)
	if src.of.index < 0 {
		heap.Push(&s.crowds, src.of)
	} else {
		heap.Fix(&s.crowds, src.of.index)
	}
}

// enter makes a source. It has no entry yet: add puts it in order.
func (s *share) enter(addr netip.Addr) *source {
	prefix := networkOf(addr)
	n := s.networks[prefix]
	if n == nil {
		n = &network{prefix: prefix, sources: list.New(), index: -1}
		s.networks[prefix] = n
	}
	src := &source{addr: addr, of: n}
	src.place = n.sources.PushBack(src)
	s.sources[addr] = src
	return src
}

// networkOf is the prefix within which sources have their room in common.
func networkOf(addr netip.Addr) netip.Prefix {
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // of no address
	}
	return p
}

// evict forgets a source of the network that has most of them.
func (s *share) evict() {
	n := s.crowds[0]
	src := n.silent()
	delete(s.sources, src.addr)
	n.sources.Remove(src.place)
	if n.sources.Len() > 0 {
		heap.Fix(&s.crowds, 0)
		return
	}
	heap.Pop(&s.crowds)
	delete(s.networks, n.prefix)
}

// of gives the entries of a source, the oldest first.
func (s *share) of(addr netip.Addr) []entry {
	if src := s.sources[addr]; src != nil {
		return src.entries
	}
	return nil
}

// crowds are networks, as a heap: the one with most sources first, and of those with
// as many the one whose source has been silent for longest.
type crowds []*network

func (c crowds) Len() int { return len(c) }

func (c crowds) Less(i, j int) bool {
	if a, b := c[i].sources.Len(), c[j].sources.Len(); a != b {
		return a > b
	}
	return c[i].silent().last() < c[j].silent().last()
}

func (c crowds) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].index, c[j].index = i, j
}

// Push implements heap.Interface.
func (c *crowds) Push(x any) {
	n := x.(*network)
	n.index = len(*c)
	*c = append(*c, n)
}

// Pop implements heap.Interface.
func (c *crowds) Pop() any {
	last := len(*c) - 1
	n := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return n
}
