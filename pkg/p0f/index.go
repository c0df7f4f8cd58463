package p0f

import (
	"math/bits"
	"slices"

	"nftknock/pkg/packet"
)

// index finds the rows of a layout: by templates for those with most rows, by
// an open hash table for all others. The zero index is empty.
type index struct {
	groups    []group
	slots     []uint32                      // index into groups plus one; 0 is a free slot
	shift     uint                          // from a hash to a slot
	templates [maxTemplate/4 + 1][]template // by the length of the options in words
}

// newIndex takes over groups, whose layouts differ.
func newIndex(groups []group) index {
	// At most a quarter full, so that most layouts that are in no table are
	// told by one look.
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

// find gives the rows of a layout, nil if there are none.
func (x *index) find(l *Layout) *group {
	if len(x.slots) == 0 {
		return nil
	}
	for slot := x.slot(l); x.slots[slot] != 0; slot = (slot + 1) % len(x.slots) {
		if g := &x.groups[x.slots[slot]-1]; g.layout.equal(l) {
			return g
		}
	}
	return nil
}

// maxTemplates is how many templates of one length are tried one after the
// other. More than these few would cost more than the walk they spare.
const maxTemplates = 3

// addTemplates makes templates of the layouts with most rows: those are what
// the table knows best, and so what is met most.
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

// recognise gives the rows for the options of a packet, and fills f with what
// is in them, if they are those of a template; else nil, and f is as it was.
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
