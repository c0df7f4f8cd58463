package p0f

import (
	"slices"

	"nftknock/pkg/packet"
)

// Database is a table of signatures. It never changes once it is built and
// may be used by any number of goroutines. The zero Database is empty.
type Database struct {
	labels  []Label
	entries []entry
	index   [2]index // of the rows for IPv4 and for IPv6
}

// entry is a signature as it was read, in the order in which it counts.
type entry struct {
	label     LabelID
	generic   bool
	signature Signature
}

// maxEntries bounds what a database holds; rows and groups are counted in
// 16 bits.
const maxEntries = 1 << 14

// build makes the index over entries.
func build(labels []Label, entries []entry) *Database {
	db := &Database{labels: labels, entries: entries}
	for version := range db.index {
		var groups []group
		known := make(map[Layout]int)
		for i, e := range entries {
			s := &e.signature
			if s.Version == 6 && version == 0 || s.Version == 4 && version == 1 {
				continue
			}
			g, ok := known[s.Layout]
			if !ok {
				g = len(groups)
				known[s.Layout] = g
				groups = append(groups, group{layout: s.Layout})
			}
			groups[g].rows = append(groups[g].rows, newRow(i, e, labels[e.label].Class, version == 1))
		}
		db.index[version] = newIndex(groups)
	}
	return db
}

// Labels are the labels Match gives; the index is the LabelID. The slice is
// the caller's.
func (db *Database) Labels() []Label { return slices.Clone(db.labels) }

// Label is the label of id, which must stem from a Match of this database.
func (db *Database) Label(id LabelID) Label { return db.labels[id] }

// Len is the number of signatures.
func (db *Database) Len() int { return len(db.entries) }

// Merge gives a database that holds the signatures of all dbs; where two fit
// equally well, that of the earlier database counts. Labels that are the same
// become one. Of more than 16384 signatures the last are left out.
func Merge(dbs ...*Database) *Database {
	var m builder
	for _, db := range dbs {
		for _, e := range db.entries {
			if len(m.entries) == maxEntries {
				break
			}
			m.add(db.labels[e.label], e.generic, e.signature)
		}
	}
	return build(m.labels, m.entries)
}

// builder collects signatures from whatever grammar they were written in.
type builder struct {
	labels  []Label
	known   map[Label]LabelID
	entries []entry
}

func (m *builder) add(l Label, generic bool, s Signature) {
	id, ok := m.known[l]
	if !ok {
		if m.known == nil {
			m.known = make(map[Label]LabelID)
		}
		id = LabelID(len(m.labels))
		m.known[l] = id
		m.labels = append(m.labels, l)
	}
	m.entries = append(m.entries, entry{label: id, generic: generic, signature: s})
}

// database builds from what was collected. Tools come before systems, whose
// signatures they borrow.
func (m *builder) database() *Database {
	slices.SortStableFunc(m.entries, func(a, b entry) int {
		return int(m.labels[b.label].Class) - int(m.labels[a.label].Class)
	})
	return build(m.labels, m.entries)
}

// Match compares a packet with the table. The first specific signature that
// fits in everything counts; else the first generic one; else, with confidence
// Low, the first system that fits but for something that networks or tuning
// change. Tools stand before the systems of their file. A packet that is no
// pure SYN gives the zero Match.
//
// Match does not allocate.
func (db *Database) Match(p *packet.Packet) Match {
	if !p.PureSYN() {
		return Match{}
	}
	var f features
	f.read(p)
	r, confidence := db.choose(&f, p)
	if r == nil {
		return Match{Distance: guessInitial(f.ttl) - f.ttl}
	}
	initial := r.ttl
	if f.ttl > initial {
		initial = guessInitial(f.ttl)
	}
	return Match{Label: r.label, Class: r.class, Confidence: confidence, Distance: initial - f.ttl}
}

// choose gives the row that fits best, nil if none does.
func (db *Database) choose(f *features, p *packet.Packet) (*row, Confidence) {
	var generic, vague *row
	rows := db.index[f.six&1].find(&f.layout)
	for i := range rows {
		r := &rows[i]
		switch r.compare(f, p) {
		case fitted:
			if !r.generic {
				return r, Exact
			}
			if generic == nil {
				generic = r
			}
		case fuzzy:
			// A system that merely resembles a tool must not be called one.
			if vague == nil && r.class != Tool {
				vague = r
			}
		}
	}
	switch {
	case generic != nil:
		return generic, Family
	case vague != nil:
		return vague, Low
	}
	return nil, None
}
