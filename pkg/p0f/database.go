package p0f

import (
	"fmt"
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
	signature rule
}

// maxEntries bounds what a database holds; rows of a layout are counted in 16
// bits.
const maxEntries = 1 << 14

// build makes the index over entries.
func build(labels []Label, entries []entry) *Database {
	db := &Database{labels: labels, entries: entries}
	for version := range db.index {
		var groups []group
		known := make(map[Layout]int)
		for i, e := range entries {
			for _, r := range e.signature.rows(version == 1) {
				g, ok := known[r.layout]
				if !ok {
					g = len(groups)
					known[r.layout] = g
					groups = append(groups, group{layout: r.layout})
				}
				r.row.entry, r.row.label, r.row.class, r.row.generic = uint16(i), e.label, labels[e.label].Class, e.generic
				groups[g].rows = append(groups[g].rows, r.row)
			}
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

// ErrTooMany: more signatures than a database holds, 16384.
var ErrTooMany = fmt.Errorf("p0f: more than %d signatures", maxEntries)

// Merge gives a database that holds the signatures of all dbs; where two fit
// equally well, that of the earlier database counts. Labels that are the same
// become one. Its only error is ErrTooMany.
func Merge(dbs ...*Database) (*Database, error) {
	var m builder
	for _, db := range dbs {
		if len(m.entries)+len(db.entries) > maxEntries {
			return nil, ErrTooMany
		}
		for _, e := range db.entries {
			m.add(db.labels[e.label], e.generic, e.signature)
		}
	}
	return m.database(), nil
}

// builder collects signatures from whatever grammar they were written in.
type builder struct {
	labels  []Label
	known   map[Label]LabelID
	entries []entry
}

func (m *builder) add(l Label, generic bool, s rule) {
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

// toolsFirst puts tools before systems.
func (m *builder) toolsFirst() {
	slices.SortStableFunc(m.entries, func(a, b entry) int {
		return int(m.labels[b.label].Class) - int(m.labels[a.label].Class)
	})
}

// database builds from what was collected.
func (m *builder) database() *Database { return build(m.labels, m.entries) }

// Match compares a packet with the table. The first specific signature that
// fits in everything counts; else the first generic one; else, with confidence
// Low, the first system that fits but for something that networks or tuning
// change, and of these rather one whose TTL is right. A packet that is no pure
// SYN gives the zero Match.
//
// Match does not allocate.
func (db *Database) Match(p *packet.Packet) Match {
	if !p.PureSYN() {
		return Match{}
	}
	var f features
	r, confidence := db.choose(&f, p)
	if r == nil {
		return Match{Distance: guessInitial(f.ttl) - f.ttl}
	}
	initial := r.ttl
	if f.ttl > initial || r.randomTTL {
		initial = guessInitial(f.ttl)
	}
	return Match{Label: r.label, Class: r.class, Confidence: confidence, Distance: initial - f.ttl}
}

// choose fills f, which is zero, and gives the row that fits best, nil if none
// does.
func (db *Database) choose(f *features, p *packet.Packet) (*row, Confidence) {
	f.readHeaders(p)
	x := &db.index[f.six&1]
	g := x.recognise(f, p.TCP.Options)
	if g == nil {
		layout := f.readOptions(p.TCP.Options)
		g = x.find(&layout)
	}
	if g == nil {
		return nil, None
	}
	f.makeKey()
	return g.choose(f, p)
}
