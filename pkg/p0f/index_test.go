package p0f

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/test/thorough"
)

// candidate is a row of an entry, and how a packet fits it.
type candidate struct {
	entry int
	label Label
	row   row
	fit   fitness
	clean bool // no bit of care differs
}

// specific reports whether it is the specific row of a system.
func (c candidate) specific(db *Database) bool {
	return c.label.Class == OS && !db.entries[c.entry].generic
}

// fitting returns the rows that a packet fits in whatever way, in the order of the
// table.
func fitting(db *Database, f *features, layout Layout, p *packet.Packet) (all []candidate) {
	for i, e := range db.entries {
		for _, r := range e.signature.rows(f.six == 1) {
			if r.layout != layout || (f.key^r.row.key)&r.row.fatal != 0 {
				continue
			}
			if fit := r.row.compare(f, p); fit != unfit {
				all = append(all, candidate{i, db.labels[e.label], r.row, fit, (f.key^r.row.key)&r.row.care == 0})
			}
		}
	}
	return all
}

// scan is Match without an index: it compares every row of every entry, in the order
// of the table, and follows the words of Match's comment.
func scan(db *Database, p *packet.Packet) (entry int, c Confidence) {
	var f features
	layout := f.read(p)
	rows := fitting(db, &f, layout, p)
	first := func(fits func(candidate) bool) int {
		return slices.IndexFunc(rows, fits)
	}
	generic := func(c candidate) bool { return db.entries[c.entry].generic }
	if i := first(func(c candidate) bool { return c.fit == fitted && !generic(c) }); i >= 0 {
		return rows[i].entry, scanContest(db, rows, rows[i])
	}
	best := first(func(c candidate) bool { return c.fit == fitted && c.label.Class != Stack })
	if best >= 0 && (!db.entries[rows[best].entry].weighed || rows[best].row.window.Rule != WindowAny || rows[best].label.Class != OS) {
		return rows[best].entry, Family
	}
	aside, sure := scanDespiteTTL(db, &f, layout, rows)
	switch {
	case best >= 0 && (aside < 0 || rows[aside].label.Family == rows[best].label.Family || rows[aside].row.ttl == rows[best].row.ttl):
		return rows[best].entry, Family
	case aside >= 0 && sure:
		return rows[aside].entry, Family
	case best >= 0:
		return rows[aside].entry, Low
	}
	for _, fits := range []func(candidate) bool{
		func(c candidate) bool { return !c.label.Class.first() && c.fit != far },
		func(c candidate) bool { return !c.label.Class.first() },
		func(c candidate) bool { return c.label.Class == Proxy },
	} {
		if i := first(fits); i >= 0 {
			return rows[i].entry, Low
		}
	}
	return -1, None
}

// scanContest returns the confidence of a specific row that fits in all fields.
func scanContest(db *Database, rows []candidate, of candidate) Confidence {
	if !db.entries[of.entry].weighed || !of.specific(db) {
		return Exact
	}
	for _, c := range rows {
		if c.specific(db) && c.clean && c.label.Family != of.label.Family && c.row.ttl != of.row.ttl {
			return Family
		}
	}
	return Exact
}

// scanDespiteTTL is despiteTTL and group.sure without an index.
func scanDespiteTTL(db *Database, f *features, layout Layout, rows []candidate) (first int, sure bool) {
	if !slices.ContainsFunc(db.entries, func(e entry) bool { return e.weighed }) {
		return -1, false
	}
	first = slices.IndexFunc(rows, func(c candidate) bool { return c.specific(db) && c.clean })
	sure = first >= 0 && f.quirks&(QuirkDF|QuirkFlow) != 0
	for _, c := range rows {
		if sure && c.specific(db) && c.clean && c.label.Family != rows[first].label.Family {
			sure = false
		}
	}
	for _, e := range db.entries {
		for _, r := range e.signature.rows(f.six == 1) {
			const mss = key(0xffff) << keyMSS
			if db.labels[e.label].Class.first() && r.layout == layout && (f.key^r.row.key)&r.row.care&mss == 0 && r.row.compareWindow(f) {
				sure = false
			}
		}
	}
	return first, sure
}

// Random tables and packets are made of the values in these pools, which are few
// enough that packets fit signatures.
var (
	poolLayouts  = []string{"mss,sok,ts,nop,ws", "mss,nop,ws,nop,nop,sok", "mss", "", "mss,nop,ws,nop,nop,ts,sok,eol+1", "mss,nop,nop,sok", "mss,sok,ts,nop,nop,eol+1"}
	poolOptions  = []string{"M*,S,T,N,W*", "M*,S,T,N,W7", "M%10,N,W%2,N,N,S", "M*", ".", "M1460", "M*,N,W*,N,N,T,S,E", "M*,N,N,S", "M*,S,T0,N,W0"}
	poolMSS      = []int{0, 1, 12, 13, 99, 100, 512, 536, 1240, 1360, 1440, 1448, 1460, 8960, 8961, 16396, 32768, 65495, 65535}
	poolWindows  = []string{"*", "0", "1024", "8192", "64240", "65535", "%2", "%512", "%1460", "mss*1", "mss*4", "mss*20", "mss*44", "mss*1000", "mtu*1", "mtu*31", "fit1", "fit1460", "fit33280", "fit65535", "fit65536"}
	poolWindows2 = []string{"*", "0", "1024", "65535", "%512", "S1", "S4", "S20", "S44", "S1000", "T1", "T4", "T30"}
	poolQuirks   = []string{"", "df,id+", "df,id+?", "df?,id+?,ecn?", "ecn", "ts1-?", "id-", "id-?", "df"}
	poolClasses  = []Class{OS, OS, OS, OS, OS, Tool, Proxy, Stack}
	poolTTL      = []uint8{64, 64, 64, 60, 50, 29, 28, 24, 128, 120, 255, 200, 32, 1}
)

func pick[T any](r *rand.Rand, pool []T) T { return pool[r.IntN(len(pool))] }

// randomTable makes up to 60 entries in one of the grammars.
func randomTable(t *testing.T, r *rand.Rand) *Database {
	t.Helper()
	var m builder
	kind := r.IntN(3)
	for range 1 + r.IntN(60) {
		l := Label{Name: fmt.Sprint(r.IntN(20)), Family: fmt.Sprint(r.IntN(3)), Class: pick(r, poolClasses)}
		if kind == 0 {
			mss := pick(r, []string{"*", "*", fmt.Sprint(pick(r, poolMSS))})
			m.add(l, r.IntN(4) == 0, signature(t, fmt.Sprintf("4:%s:0:%s:%s,%s:%s:%s:%s",
				pick(r, []string{"32", "64", "128", "255", "64-"}), mss, pick(r, poolWindows), pick(r, []string{"*", "7", "0"}),
				pick(r, poolLayouts), pick(r, poolQuirks), pick(r, []string{"0", "*"}))))
			continue
		}
		text := fmt.Sprintf("%s:%d:%d:%s:%s", pick(r, poolWindows2), pick(r, []int{64, 128, 255}), r.IntN(2),
			pick(r, []string{"*", "60", "52", "44", "40", "64", "48"}), pick(r, poolOptions))
		if kind == 1 {
			text += ":" + pick(r, []string{".", "P", "Z", "D", "T", "A", "Q0"})
		}
		s, err := parseSignature2(text, kind == 2)
		if err != nil {
			t.Fatal(err)
		}
		s.AnyTTL = r.IntN(5) == 0
		m.add(l, r.IntN(4) == 0, s)
	}
	return m.database()
}

// randomPacket makes a SYN that some signature may fit.
func randomPacket(t *testing.T, r *rand.Rand) *packet.Packet {
	t.Helper()
	mss := uint32(pick(r, poolMSS))
	var window uint32
	switch r.IntN(5) {
	case 0:
		window = r.Uint32N(1 << 16)
	case 1:
		window = uint32(pick(r, []int{0, 1024, 8192, 64240, 65535, 29200}))
	case 2:
		window = pick(r, []uint32{mss, mss - 12, mss + 40, mss + 60, 1460, 1448, 1500}) * pick(r, []uint32{1, 4, 20, 30, 31, 44})
	case 3:
		window = pick(r, []uint32{512, 1460}) * r.Uint32N(40)
	case 4:
		window = uint32(fit(pick(r, []uint32{1, 1460, 33280, 65535, 65536}), pick(r, append([]uint16{uint16(mss)}, unclamped[:]...))))
	}
	s := signature(t, fmt.Sprintf("4:64:0:%d:%d,%d:%s:%s:%s", mss, window%(1<<16), pick(r, []int{0, 7, 15}),
		pick(r, poolLayouts), pick(r, []string{"", "df", "df,id+", "df,id+", "id-"}), pick(r, []string{"0", "0", "+"})))
	s.TTL = pick(r, poolTTL)
	s.Quirks |= pick(r, []Quirk{0, 0, 0, 0, 0, 0, 0, 0, QuirkECN, QuirkSeqZero, QuirkAckNonZero, QuirkTSZero, QuirkTSPeer, QuirkPadding})
	return decoded(t, generate(t, s, variant{version: 4}))
}

// Templates and indexes miss no row that fits, and keep the order of the table.
func TestIndexFindsWhatAScanFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 8))
	matched := 0
	tables := thorough.Choose(40, 200)
	for range tables {
		db, err := Merge(randomTable(t, r), randomTable(t, r))
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(2) == 0 {
			db = db.weighed()
		}
		for range 200 {
			p := randomPacket(t, r)
			var f features
			found, confidence := db.choose(&f, p)
			got := -1
			if found != nil {
				got = int(found.entry)
				matched++
			}
			if want, c := scan(db, p); got != want || confidence != c {
				s, _ := Observe(p)
				t.Fatalf("%v: entry %d %v, and by a scan %d %v", s, got, confidence, want, c)
			}
		}
	}
	if matched < 7*tables {
		t.Errorf("%d packets matched: too few to tell", matched)
	}
	t.Logf("%d packets matched", matched)
}
