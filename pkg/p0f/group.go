package p0f

import (
	"math"
	"slices"

	"nftknock/pkg/packet"
)

// group is every row of one layout, by what its window leaves to compare: the
// rows with this very window, those that want this multiple of a segment or a
// packet, and all others. Each list is in the order of the table.
type group struct {
	layout            Layout
	values, multiples []keyedRows
	firstMultiple     uint16 // the least row.entry in multiples
	rest              []row
	size              int  // number of rows
	templated         bool // has a template
}

// keyedRows are the rows with one number in their window. Lists of them ascend.
type keyedRows struct {
	n    uint16
	rows []row
}

func newGroup(l Layout) group { return group{layout: l, firstMultiple: math.MaxUint16} }

// add appends a row.
func (g *group) add(r row) {
	g.size++
	switch r.window.Rule {
	case WindowValue:
		g.values = addKeyed(g.values, r)
	case WindowMSS, WindowMTU, WindowS, WindowT:
		g.multiples = addKeyed(g.multiples, r)
		g.firstMultiple = min(g.firstMultiple, r.entry)
	default:
		g.rest = append(g.rest, r)
	}
}

func addKeyed(list []keyedRows, r row) []keyedRows {
	n := uint16(r.window.N)
	i := len(list) - len(from(list, n))
	if i == len(list) || list[i].n != n {
		list = slices.Insert(list, i, keyedRows{n: n})
	}
	list[i].rows = append(list[i].rows, r)
	return list
}

// from gives the part of an ascending list that begins at n.
func from(list []keyedRows, n uint16) []keyedRows {
	low, high := 0, len(list)
	for low < high {
		middle := (low + high) / 2
		if list[middle].n < n {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return list[low:]
}

// choose gives the row that fits best, nil if none does.
func (g *group) choose(f *features, p *packet.Packet) (*row, Confidence) {
	var c choice
	if list := from(g.values, f.window); len(list) > 0 && list[0].n == f.window {
		c.look(list[0].rows, f, p)
	}
	c.look(g.rest, f, p)
	// The bounds take divisions.
	if c.specific == nil || g.firstMultiple < c.specific.entry {
		least, most := f.multiples()
		for _, keyed := range from(g.multiples, least) {
			if keyed.n > most {
				break
			}
			c.look(keyed.rows, f, p)
		}
	}
	switch {
	case c.specific != nil:
		return c.specific, Exact
	case c.generic != nil:
		return c.generic, Family
	case c.vague != nil:
		return c.vague, Low
	}
	return nil, None
}

// choice holds the first row of each kind that fits.
type choice struct {
	specific, generic, vague *row
}

// look compares rows, as far as it matters.
func (c *choice) look(rows []row, f *features, p *packet.Packet) {
	for i := range rows {
		r := &rows[i]
		if c.specific != nil && r.entry > c.specific.entry {
			return
		}
		if (f.key^r.key)&r.fatal != 0 {
			continue
		}
		switch r.compare(f, p) {
		case fitted:
			if !r.generic {
				c.specific = r
				return
			}
			c.generic = first(c.generic, r)
		case fuzzy:
			// A system that merely resembles a tool must not be called one.
			if r.class != Tool {
				c.vague = first(c.vague, r)
			}
		}
	}
}

// first gives the row that comes first in the table; known may be nil.
func first(known, r *row) *row {
	if known == nil || r.entry < known.entry {
		return r
	}
	return known
}
