package p0f

import (
	"math/bits"

	"nftknock/pkg/packet"
)

// group is every row of one layout.
type group struct {
	layout  Layout
	rows    []row // in the order of the table
	windows windowIndex
}

// finish makes the index, when the rows are complete.
func (g *group) finish() { g.windows = newWindowIndex(g.rows) }

// choose gives the row that fits best, nil if none does.
func (g *group) choose(f *features, p *packet.Packet) (*row, Confidence) {
	var generic, vague, distant *row
	for _, i := range g.windows.find(f.window) {
		r := &g.rows[i]
		if (f.key^r.key)&r.fatal != 0 || !r.near(f) {
			continue
		}
		switch r.compare(f, p) {
		case fitted:
			if !r.generic {
				return r, Exact
			}
			if generic == nil {
				generic = r
			}
		// A system that merely resembles a tool must not be called one.
		case fuzzy:
			if vague == nil && r.class != Tool {
				vague = r
			}
		case far:
			if distant == nil && r.class != Tool {
				distant = r
			}
		}
	}
	switch {
	case generic != nil:
		return generic, Family
	case vague != nil:
		return vague, Low
	case distant != nil:
		return distant, Low
	}
	return nil, None
}

// windowIndex tells for the windows that rows speak of, and for those they give at
// the usual segment sizes, which rows can fit at all: mostly one or two. It is an
// open hash table.
type windowIndex struct {
	slots  []windowRows
	shift  uint     // from a hash to a slot
	others []uint16 // the rows for windows that are not in it
}

// windowRows are the rows a window may fit, as ascending indices; none in a free
// slot.
type windowRows struct {
	window uint16
	rows   []uint16
}

// indexRoom bounds what an index holds beside a few numbers for each row.
const indexRoom = 1 << 16

func newWindowIndex(rows []row) windowIndex {
	var x windowIndex
	room := indexRoom + 8*len(rows)
	known := make(map[uint16][]uint16)
	add := func(window uint16) {
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
		if rows[i].window.Rule != WindowValue || known[n] == nil {
			x.others = append(x.others, uint16(i))
		}
	}
	for i := range rows {
		for _, window := range rows[i].window.usual() {
			add(window)
		}
	}
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
	return int(uint32(window) * 0x9e3779b1 >> x.shift)
}

// find gives the rows a window may fit.
func (x *windowIndex) find(window uint16) []uint16 {
	for slot := x.slot(window); x.slots[slot].rows != nil; slot = (slot + 1) % len(x.slots) {
		if x.slots[slot].window == window {
			return x.slots[slot].rows
		}
	}
	return x.others
}
