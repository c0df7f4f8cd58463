package event

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// Bounds of what Recent remembers: in all, maxSources times maxPerSource records for
// each of four kinds, which is some megabytes when strangers have filled it.
const (
	maxSources   = 1024
	maxPerSource = 8
)

// Recent is a consumer that remembers what became of the last knocks of each source:
// what they opened, or why they did not. It takes no notice of limits, so that it
// knows of knocks that the log left out. Its methods may be called from several
// goroutines.
//
// Its room is fixed, and a flood takes only a part of it:
//   - a source has maxPerSource records, of which a new one replaces the oldest;
//   - a new source takes the place of one in the network (an IPv4 /24, an IPv6 /48)
//     that has most of them, so that forged sources of one network push out each
//     other;
//   - knocks that a key or a code proved, and those of IPv4 and IPv6, have room of
//     their own. Without a key or a recording of a knock, no number of forged sources
//     pushes out what became of a knock with one.
type Recent struct {
	mu     sync.Mutex
	serial uint64
	shares [2][2]*share // by proven, IPv6
}

// NewRecent makes a Recent that remembers nothing yet.
func NewRecent() *Recent {
	r := new(Recent)
	for proven := range r.shares {
		for v6 := range r.shares[proven] {
			r.shares[proven][v6] = newShare(maxSources)
		}
	}
	return r
}

// Consume implements Consumer.
func (r *Recent) Consume(rec Record) {
	source, proven, ok := origin(rec.Event)
	if !ok {
		return
	}
	source = plain(source)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	r.shares[index(proven)][index(source.Is6())].add(source, entry{rec, r.serial})
}

// origin gives the source of an event that is remembered, and whether a key or a code
// proved it.
func origin(e Event) (source netip.Addr, proven, ok bool) {
	switch e := e.(type) {
	case Refused:
		return e.Source, e.Authenticated, true
	case Granted:
		return e.Source, e.Kind != KindShared, true
	case GrantFailed:
		return e.Source, e.Kind != KindShared, true
	case Unrecorded:
		return e.Source, e.Kind != KindShared, true
	}
	return netip.Addr{}, false, false
}

// plain is the form in which an address is looked up.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of gives what is remembered of a source, the newest first: Refused, Granted,
// GrantFailed and Unrecorded. A knock that let in another address is that of the
// source that sent it.
func (r *Recent) Of(source netip.Addr) []Record {
	source = plain(source)
	var entries []entry
	r.mu.Lock()
	for proven := range r.shares {
		entries = append(entries, r.shares[proven][index(source.Is6())].of(source)...)
	}
	r.mu.Unlock()
	return newestFirst(entries)
}

// Latest gives up to n records of all sources, the newest first.
func (r *Recent) Latest(n int) []Record {
	var entries []entry
	r.mu.Lock()
	for _, families := range r.shares {
		for _, s := range families {
			for source := range s.sources {
				entries = append(entries, s.of(source)...)
			}
		}
	}
	r.mu.Unlock()
	records := newestFirst(entries)
	return records[:min(n, len(records))]
}

func newestFirst(entries []entry) []Record {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(b.serial, a.serial) })
	records := make([]Record, len(entries))
	for i, e := range entries {
		records[i] = e.Record
	}
	return records
}
