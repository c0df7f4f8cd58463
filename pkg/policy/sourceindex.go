package policy

import (
	"net/netip"
	"slices"
)

// A sourceIndex finds the filters whose prefixes overlap with those of another. To
// compare all pairs of thousands of filters would take seconds.
type sourceIndex struct {
	including map[netip.Prefix][]int // the numbers of the filters that include it
	sorted    []netip.Prefix         // those prefixes, each before those inside it
}

// newSourceIndex indexes some filters, by their numbers.
func newSourceIndex(numbers []int, filter func(int) SourceFilter) *sourceIndex {
	x := &sourceIndex{including: make(map[netip.Prefix][]int)}
	for _, n := range numbers {
		for _, p := range filter(n).Include {
			if len(x.including[p]) == 0 {
				x.sorted = append(x.sorted, p)
			}
			x.including[p] = append(x.including[p], n)
		}
	}
	// Compare orders by address and then by length: each prefix stands before those that
	// lie in it, without any other one between.
	slices.SortFunc(x.sorted, netip.Prefix.Compare)
	return x
}

// find returns the number of a filter that includes an address which f includes too, and
// for which ok is true. Exclusions are not looked at.
func (x *sourceIndex) find(f SourceFilter, ok func(int) bool) (int, bool) {
	for _, p := range f.Include {
		// Two prefixes overlap if one holds the other: first those that hold p, of which
		// there is one per length,
		for bits := 0; bits <= p.Bits(); bits++ {
			around, _ := p.Addr().Prefix(bits)
			if i := slices.IndexFunc(x.including[around], ok); i >= 0 {
				return x.including[around][i], true
			}
		}
		// then those that p holds, which follow it directly.
		from, _ := slices.BinarySearchFunc(x.sorted, p, netip.Prefix.Compare)
		for _, inside := range x.sorted[from:] {
			if !p.Overlaps(inside) {
				break
			}
			if i := slices.IndexFunc(x.including[inside], ok); i >= 0 {
				return x.including[inside][i], true
			}
		}
	}
	return 0, false
}
