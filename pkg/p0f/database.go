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
	index   [2]index // [0] has the rows for IPv4, [1] those for IPv6
}

// entry is a signature as it was read. Entries are sorted by precedence: of two
// that fit equally well the earlier one counts.
type entry struct {
	label     LabelID
	generic   bool
	weighed   bool // see weigh.go
	signature rule
}

// maxEntries is the largest number of signatures in a database. Entries and the
// rows of a layout are indexed with 16 bits.
const maxEntries = 1 << 14

// build returns a database with an index over entries.
func build(labels []Label, entries []entry) *Database {
	db := &Database{labels: labels, entries: entries}
	families := numberFamilies(labels)
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
				r.row.weighed, r.row.family = e.weighed, families[e.label]
				groups[g].rows = append(groups[g].rows, r.row)
			}
		}
		db.index[version] = newIndex(groups)
	}
	return db
}

// numberFamilies numbers the families of labels, so that rows can be compared fast.
// Those beyond the first 255 share a number.
func numberFamilies(labels []Label) []uint8 {
	numbers := make([]uint8, len(labels))
	known := make(map[string]uint8)
	for i, l := range labels {
		n, ok := known[l.Family]
		if !ok {
			n = uint8(min(len(known), 255))
			known[l.Family] = n
		}
		numbers[i] = n
	}
	return numbers
}

// weighed returns the database with the rules of weigh.go for its signatures.
func (db *Database) weighed() *Database {
	entries := slices.Clone(db.entries)
	for i := range entries {
		entries[i].weighed = true
	}
	return build(db.labels, entries)
}

// Labels returns all labels, indexed by LabelID. The caller may change the slice.
func (db *Database) Labels() []Label { return slices.Clone(db.labels) }

// Label returns the label with an id, which must come from a Match of this
// database.
func (db *Database) Label(id LabelID) Label { return db.labels[id] }

// ErrTooMany: more signatures than a database holds, 16384.
var ErrTooMany = fmt.Errorf("p0f: more than %d signatures", maxEntries)

// Merge returns a database with the signatures of all dbs. Where two fit equally
// well, that of the earlier database counts. Equal labels become one. Its only
// error is ErrTooMany.
func Merge(dbs ...*Database) (*Database, error) {
	var m builder
	for _, db := range dbs {
		if len(m.entries)+len(db.entries) > maxEntries {
			return nil, ErrTooMany
		}
		for _, e := range db.entries {
			m.add(db.labels[e.label], e.generic, e.signature)
			m.entries[len(m.entries)-1].weighed = e.weighed
		}
	}
	return m.database(), nil
}

// builder collects the signatures of a database, in any of the grammars.
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

// toolsFirst puts the signatures of tools before those of proxies, and both before
// the others.
func (m *builder) toolsFirst() {
	rank := func(e entry) int {
		return slices.Index([]Class{Proxy, Tool}, m.labels[e.label].Class)
	}
	slices.SortStableFunc(m.entries, func(a, b entry) int { return rank(b) - rank(a) })
}

// database builds the database of the collected signatures.
func (m *builder) database() *Database { return build(m.labels, m.entries) }

// Match compares a packet with the table. It returns the first of these:
//   - the first specific signature that fits in all fields, with confidence Exact;
//   - the first generic signature that fits in all fields, with confidence Family, or
//     Low if it is a stack's;
//   - with confidence Low, the first operating system or stack that fits except for
//     fields that networks or tuning change, the TTL not among them;
//   - with confidence Low, the first operating system or stack whose TTL does not
//     fit either;
//   - with confidence Low, the first proxy that fits except for such fields.
//
// A tool fits in all fields or not at all.
//
// For the built-in table a TTL is weaker evidence than the rest of the SYN. If it fits a
// specific signature of a system in all fields but the TTL, a tool or proxy sends
// nothing like it, and DF or, over IPv6, a flow label is set, the confidence is Family;
// this precedes a generic signature of another family that names no window. If
// specific signatures of two families differ in the TTL only, the confidence is Family
// instead of Exact.
//
// It returns the zero Match for a packet that is not a pure SYN.
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
	// A TTL above the row's cannot have started there, and a random one has no
	// known start.
	initial := r.ttl
	if f.ttl > initial || r.randomTTL {
		initial = guessInitial(f.ttl)
	}
	return Match{Label: r.label, Class: r.class, Confidence: confidence, Distance: initial - f.ttl}
}

// choose fills f, which must be zero, and returns the row that fits best, or nil.
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
