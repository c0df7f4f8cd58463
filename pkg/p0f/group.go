package p0f

import (
	"math/bits"

	"nftknock/pkg/packet"
)

// group holds the rows of one layout.
type group struct {
	layout  Layout
	rows    []row // in the order of the table
	windows windowIndex
}

// finish makes the index over windows; the rows must be complete.
func (g *group) finish() {
	g.windows = newWindowIndex(g.rows)
	for i := range g.rows {
		r := &g.rows[i]
		r.contested = r.weighed && g.contests(r)
	}
}

// choose returns the row that fits best, or nil. See Database.Match for the order.
func (g *group) choose(f *features, p *packet.Packet) (*row, Confidence) {
	var generic, vague, distant, proxy *row
	var aside despiteTTL
	for _, i := range g.windows.find(f.window) {
		r := &g.rows[i]
		// The exclusive or has a bit for each difference in any of the fields
		// that key packs.
		if (f.key^r.key)&r.fatal != 0 || !r.near(f) {
			continue
		}
		fit := r.compare(f, p)
		switch {
		case fit == fitted && !r.generic:
			return r, g.confidence(f, p, r)
		// A generic row of a stack names no stack in particular.
		case fit == fitted && r.class != Stack:
			if generic == nil {
				generic = r
			}
		// A system that merely resembles a tool must not be called one.
		case fit == unfit || r.class == Tool:
		case r.class == Proxy:
			if proxy == nil {
				proxy = r
			}
		case fit != far:
			if vague == nil {
				vague = r
			}
		default:
			if distant == nil {
				distant = r
			}
			aside.add(f, r)
		}
	}
	if generic != nil && !generic.contested {
		return generic, Family
	}
	switch {
	case generic != nil && (aside.row == nil || aside.row.family == generic.family):
		return generic, Family
	case aside.row != nil && g.sure(f, &aside):
		return aside.row, Family
	case generic != nil:
		return aside.row, Low
	case vague != nil:
		return vague, Low
	case distant != nil:
		return distant, Low
	case proxy != nil:
		return proxy, Low
	}
	return nil, None
}

// windowIndex maps a window to the rows that it may fit, mostly one or two. It has
// an entry for each window that a row names, and for each that a row's rule yields
// at the usual segment sizes. It is a hash table with open addressing.
type windowIndex struct {
	slots  []windowRows
	shift  uint     // from a hash to a slot
	others []uint16 // the rows to try for windows without an entry
}

// windowRows holds the indices of the rows that a window may fit, in ascending
// order; rows is nil in a free slot.
type windowRows struct {
	window uint16
	rows   []uint16
}

// indexRoom bounds the memory of a windowIndex: the number of row indices in it,
// besides 8 per row.
const indexRoom = 1 << 16

func newWindowIndex(rows []row) windowIndex {
	var x windowIndex
	room := indexRoom + 8*len(rows)
	known := make(map[uint16][]uint16)
	add := func(window uint16) {
		// An entry may have an index of every row.
		if known[window] != nil || room < len(rows) {
			return
		}
		for i := range rows {
			if rows[i].window.possible(window) {
				known[window] = append(known[window], uint16(i))
			}
		}
		room -= len(known[window])
	}
	for i := range rows {
		n := uint16(rows[i].window.N)
		if rows[i].window.Rule == WindowValue {
			add(n)
		}
		// A row for one window needs to be tried for others only if there was no
		// room for an entry.
		if rows[i].window.Rule != WindowValue || known[n] == nil {
			x.others = append(x.others, uint16(i))
		}
	}
	// After the windows that rows name, which take precedence if there is not enough room.
	for i := range rows {
		for _, window := range rows[i].window.usual() {
			add(window)
		}
	}
	// At most half full, so find ends at a free slot.
	width := bits.Len(uint(2*len(known) + 1))
	x.slots, x.shift = make([]windowRows, 1<<width), uint(32-width)
	for window, rows := range known {
		slot := x.slot(window)
		for x.slots[slot].rows != nil {
			slot = (slot + 1) % len(x.slots)
		}
		x.slots[slot] = windowRows{window, rows}
	}
	return x
}

func (x *windowIndex) slot(window uint16) int {
	// Fibonacci hashing: 2^32 divided by the golden ratio; the upper bits are mixed
	// best.
	return int(uint32(window) * 0x9e3779b1 >> x.shift)
}

// find returns the indices of the rows that a window may fit.
func (x *windowIndex) find(window uint16) []uint16 {
	for slot := x.slot(window); x.slots[slot].rows != nil; slot = (slot + 1) % len(x.slots) {
		if x.slots[slot].window == window {
			return x.slots[slot].rows
		}
	}
	return x.others
}
