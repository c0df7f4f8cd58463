package event

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"
)

// Bounds of Recent: maxSources times maxPerSource records for each of four shares. All of
// them are some megabytes.
const (
	maxSources   = 1024
	maxPerSource = 8
)

// Recent is a consumer that keeps the last knocks of each source: what they opened, or why
// they opened nothing. It keeps events that the log leaves out, too. Its methods may be
// called from several goroutines.
//
// Its memory is bounded, and a flood gets only a part of it:
//   - a source has up to maxPerSource records; a new one replaces the oldest;
//   - a new source replaces a source of the network (an IPv4 /24, an IPv6 /48) that has
//     most sources, so that forged sources of one network replace each other;
//   - there are four shares: knocks that a key or a code authenticated, and others, each
//     for IPv4 and IPv6. Without a key or a recorded knock, no number of forged sources
//     replaces a record of an authenticated knock.
type Recent struct {
	mu     sync.Mutex
	serial uint64
	shares [2][2]*share // by authenticated, IPv6
}

// NewRecent makes an empty Recent.
func NewRecent() *Recent {
	r := new(Recent)
	for authenticated := range r.shares {
		for v6 := range r.shares[authenticated] {
			r.shares[authenticated][v6] = newShare(maxSources)
		}
	}
	return r
}

// Consume implements Consumer.
func (r *Recent) Consume(rec Record) {
	source, authenticated, ok := sourceOf(rec.Event)
	if !ok {
		return
	}
	source = normalize(source)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serial++
	r.shares[index(authenticated)][index(source.Is6())].add(source, entry{rec, r.serial})
}

// sourceOf returns the source of an event about a knock, and whether a key or a code
// authenticated the knock. ok is false for other events, which are not kept.
func sourceOf(e Event) (source netip.Addr, authenticated, ok bool) {
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

// normalize returns the form of an address that is a key of the maps: netip.Addr compares an
// IPv4 address in IPv6 form, or with a zone, as different.
func normalize(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Of returns the records of a source, the newest first: Refused, Granted, GrantFailed and
// Unrecorded. A knock for another address is a record of the source that sent it.
func (r *Recent) Of(source netip.Addr) []Record {
	source = normalize(source)
	var entries []entry
	r.mu.Lock()
	// The families are apart, so only two shares can have the source.
	for authenticated := range r.shares {
		entries = append(entries, r.shares[authenticated][index(source.Is6())].of(source)...)
	}
	r.mu.Unlock()
	return newestFirst(entries)
}

// Latest returns up to n records of all sources, the newest first. It sorts all of them.
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
	r.mu.Unlock() // entries are copies
	records := newestFirst(entries)
	return records[:min(n, len(records))]
}

// newestFirst sorts by serial number: times may be equal, or go back.
func newestFirst(entries []entry) []Record {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(b.serial, a.serial) })
	records := make([]Record, len(entries))
	for i, e := range entries {
		records[i] = e.Record
	}
	return records
}
