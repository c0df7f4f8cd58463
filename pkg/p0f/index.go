package p0f

import (
	"math/bits"
	"slices"

	"nftknock/pkg/packet"
)

// index finds the rows of a layout: by templates for the layouts with most rows, by
// a hash table with open addressing for all others. The zero index is empty.
type index struct {
	groups    []group
	slots     []uint32                      // index into groups plus one; 0 is a free slot
	shift     uint                          // from a hash to a slot
	templates [maxTemplate/4 + 1][]template // by the length of the options in 32-bit words
}

// newIndex makes an index over groups, which it keeps. No two may have the same
// layout.
func newIndex(groups []group) index {
	// At most a quarter full, so that for most layouts without rows the first slot
	// is free and the search ends there.
	width := bits.Len(uint(4*len(groups) + 1))
	x := index{
		groups: groups,
		slots:  make([]uint32, 1<<width),
		shift:  uint(64 - width),
	}
	for i := range groups {
		groups[i].finish()
		slot := x.slot(&groups[i].layout)
		for x.slots[slot] != 0 {
			slot = (slot + 1) % len(x.slots)
		}
		x.slots[slot] = uint32(i + 1)
	}
	x.addTemplates()
	return x
}

func (x *index) slot(l *Layout) int { return int(l.hash() >> x.shift) }

// find returns the rows of a layout, or nil.
func (x *index) find(l *Layout) *group {
	if len(x.slots) == 0 { // the zero index
		return nil
	}
	for slot := x.slot(l); x.slots[slot] != 0; slot = (slot + 1) % len(x.slots) {
		if g := &x.groups[x.slots[slot]-1]; g.layout == *l {
			return g
		}
	}
	return nil
}

// maxTemplates is the largest number of templates of one length. They are tried one
// after the other; trying more would take longer than reading the options does.
const maxTemplates = 3

// addTemplates makes templates of the layouts with most rows: these belong to the
// common systems, which send most SYNs.
func (x *index) addTemplates() {
	order := make([]*group, len(x.groups))
	for i := range x.groups {
		order[i] = &x.groups[i]
	}
	slices.SortStableFunc(order, func(a, b *group) int { return len(b.rows) - len(a.rows) })
	for _, g := range order {
		if words := g.layout.words(); words >= 0 && len(x.templates[words]) < maxTemplates {
			x.templates[words] = append(x.templates[words], newTemplate(g))
		}
	}
}

// recognise compares the options of a packet with the templates. If one fits, it
// fills f from the options and returns the rows; else it returns nil and leaves f
// as it was.
func (x *index) recognise(f *features, options packet.Options) *group {
	words := len(options) / 4
	if words >= len(x.templates) || len(x.templates[words]) == 0 || len(options)%4 != 0 {
		return nil
	}
	templates := x.templates[words]
	c := newChunks(options)
	for i := range templates {
		if t := &templates[i]; t.fits(c) {
			t.read(f, options)
			return t.group
		}
	}
	return nil
}
