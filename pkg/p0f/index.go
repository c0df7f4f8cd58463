package p0f

import "math/bits"

// index finds the rows of a layout: an open hash table of groups. The zero
// index is empty.
type index struct {
	groups []group
	slots  []uint16 // index into groups plus one; 0 is a free slot
	shift  uint     // from a hash to a slot
}

// group is every row of one layout, in the order of the table.
type group struct {
	layout Layout
	rows   []row
}

// newIndex takes over groups, whose layouts differ.
func newIndex(groups []group) index {
	// At most a quarter full, so that most layouts that are in no table are
	// told by one look.
	width := bits.Len(uint(4*len(groups) + 1))
	x := index{
		groups: groups,
		slots:  make([]uint16, 1<<width),
		shift:  uint(64 - width),
	}
	for i := range groups {
		slot := x.slot(&groups[i].layout)
		for x.slots[slot] != 0 {
			slot = (slot + 1) % len(x.slots)
		}
		x.slots[slot] = uint16(i + 1)
	}
	return x
}

func (x *index) slot(l *Layout) int { return int(l.hash() >> x.shift) }

// find gives the rows of a layout.
func (x *index) find(l *Layout) []row {
	if len(x.slots) == 0 {
		return nil
	}
	for slot := x.slot(l); x.slots[slot] != 0; slot = (slot + 1) % len(x.slots) {
		if g := &x.groups[x.slots[slot]-1]; g.layout.equal(l) {
			return g.rows
		}
	}
	return nil
}
