package event

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// share holds the records of up to room sources. It is not safe for concurrent use.
type share struct {
	room     int
	sources  map[netip.Addr]*source
	networks map[netip.Prefix]*network
	heap     networkHeap // of all networks, by number of sources
}

// entry is a record and its number in the order of arrival.
type entry struct {
	Record
	serial uint64
}

// source is an address with records.
type source struct {
	addr    netip.Addr
	network *network
	place   *list.Element // in network.sources
	entries []entry       // the oldest first
}

// last is the serial number of its newest record.
func (s *source) last() uint64 { return s.entries[len(s.entries)-1].serial }

// network is a prefix with its sources.
type network struct {
	prefix  netip.Prefix
	sources *list.List // of *source, in the order of their newest records, oldest first
	index   int        // in the heap; -1 if it is not there yet
}

// oldest is the source whose newest record is the oldest.
func (n *network) oldest() *source { return n.sources.Front().Value.(*source) }

func newShare(room int) *share {
	return &share{room: room, sources: make(map[netip.Addr]*source), networks: make(map[netip.Prefix]*network)}
}

// add keeps an entry.
func (s *share) add(addr netip.Addr, e entry) {
	src := s.sources[addr]
	if src == nil {
		if len(s.sources) == s.room {
			s.evict()
		}
		src = s.insert(addr)
	}
	if len(src.entries) == maxPerSource {
		// Moved within the array: a slice that starts one further would grow for ever.
		copy(src.entries, src.entries[1:])
		src.entries = src.entries[:maxPerSource-1]
	}
	src.entries = append(src.entries, e)
	n := src.network
	n.sources.MoveToBack(src.place)
	// Only now, since Less needs an entry of every source.
	if n.index < 0 {
		heap.Push(&s.heap, n)
	} else {
		heap.Fix(&s.heap, n.index)
	}
}

// insert makes a source, and its network if that is new. The source has no entry yet, and
// the heap is not in order until add has given it one.
func (s *share) insert(addr netip.Addr) *source {
	prefix := networkOf(addr)
	n := s.networks[prefix]
	if n == nil {
		n = &network{prefix: prefix, sources: list.New(), index: -1}
		s.networks[prefix] = n
	}
	src := &source{addr: addr, network: n}
	src.place = n.sources.PushBack(src)
	s.sources[addr] = src
	return src
}

// networkOf is the prefix whose sources replace each other.
func networkOf(addr netip.Addr) netip.Prefix {
	// The longest prefixes that networks commonly announce to each other by BGP: one holder
	// often has all addresses of such a prefix.
	bits := 48
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // addr is the zero Addr
	}
	return p
}

// evict removes the oldest source of the network with most sources.
func (s *share) evict() {
	n := s.heap[0] // has a source: empty networks are removed below
	src := n.oldest()
	delete(s.sources, src.addr)
	n.sources.Remove(src.place)
	if n.sources.Len() > 0 {
		heap.Fix(&s.heap, 0)
		return
	}
	heap.Pop(&s.heap)
	delete(s.networks, n.prefix)
}

// of returns the entries of a source, the oldest first. They are not copied.
func (s *share) of(addr netip.Addr) []entry {
	if src := s.sources[addr]; src != nil {
		return src.entries
	}
	return nil
}

// networkHeap implements heap.Interface. The first network is the one with most sources, and
// of several with as many, the one with the oldest source.
type networkHeap []*network

func (h networkHeap) Len() int { return len(h) }

func (h networkHeap) Less(i, j int) bool {
	if a, b := h[i].sources.Len(), h[j].sources.Len(); a != b {
		return a > b
	}
	return h[i].oldest().last() < h[j].oldest().last()
}

func (h networkHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *networkHeap) Push(x any) {
	n := x.(*network)
	n.index = len(*h)
	*h = append(*h, n)
}

// Pop implements heap.Interface.
func (h *networkHeap) Pop() any {
	last := len(*h) - 1
	n := (*h)[last]
	(*h)[last] = nil // the array would keep the network in memory
	*h = (*h)[:last]
	return n
}
