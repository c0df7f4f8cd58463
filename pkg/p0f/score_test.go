package p0f

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/packet"
)

// update makes the tests rewrite the files that they compare with: the sightings, if
// the corpus exists, and the table in the documentation.
var update = flag.Bool("update", false, "rewrite testdata/sightings.tsv and the table in docs/fingerprints.md")

const (
	sightingsFile = "testdata/sightings.tsv"
	scorePage     = "../../docs/fingerprints.md"
	scoreBegin    = "<!-- score: begin -->\n"
	scoreEnd      = "<!-- score: end -->\n"
)

// sighting is one kind of SYN in the public captures: its signature, when it was
// captured, what is known about its sender, and the answer of p0f 3.09b.
type sighting struct {
	count    int
	year     int
	family   string // "" without evidence
	p0fHow   string // "specific", "generic" (or fuzzy), "unknown", or silent
	p0fLabel string
	syn      Signature
}

// key orders sightings.
func (s sighting) key() string {
	s.count = 0
	return fmt.Sprintf("%d %s %v %s", s.year, s.family, s.syn, s)
}

// silent means that p0f printed no answer, as for a SYN that is sent again.
const silent = "silent"

// String is a line of testdata/sightings.tsv.
func (s sighting) String() string {
	return fmt.Sprintf("%d\t%d\t%s\t%s\t%s\t%v", s.count, s.year, s.family, s.p0fHow, s.p0fLabel, s.syn)
}

// readSightings reads testdata/sightings.tsv, which has everything of the captures
// that a match depends on.
func readSightings(t testing.TB) []sighting {
	t.Helper()
	var all []sighting
	for _, f := range readLines(t, sightingsFile)[1:] {
		s := sighting{family: f[2], p0fHow: f[3], p0fLabel: f[4], syn: signature(t, f[5])}
		s.count, _ = strconv.Atoi(f[0])
		s.year, _ = strconv.Atoi(f[1])
		if s.count == 0 || s.year == 0 {
			t.Fatalf("bad line in %s: %v", sightingsFile, f)
		}
		all = append(all, s)
	}
	return all
}

// packet returns a packet with the signature of the sighting.
func (s sighting) packet(t testing.TB) *packet.Packet {
	t.Helper()
	return decoded(t, generate(t, s.syn, variant{version: s.syn.Version, hops: s.syn.Hops}))
}

// seen is Observe with the window as a number, from which a packet can be generated.
func seen(p *packet.Packet) Signature {
	s, _ := Observe(p)
	s.Window = Window{WindowValue, uint32(p.TCP.Window)}
	return s
}

// evidenceFamilies maps the names of systems in the corpus to families.
var evidenceFamilies = map[string]string{"Linux": "linux", "Windows": "windows", "Apple": "apple"}

// withOptions iterates over the packets that have TCP options: the source, and the
// index of the packet in it.
func withOptions(sources []source) iter.Seq2[source, int] {
	return func(yield func(source, int) bool) {
		for _, src := range sources {
			for i := range src.packets {
				if len(src.packets[i].TCP.Options) > 0 && !yield(src, i) {
					return
				}
			}
		}
	}
}

// distil makes sightings of the SYNs with options in the captures.
func distil(t testing.TB, sources []source) []sighting {
	t.Helper()
	evidence := map[string]string{}
	for _, row := range readLines(t, corpus+"/public/LABELLED.tsv")[1:] {
		// A proxy's SYNs under a browser's user agent.
		if strings.Contains(row[1], "three_http_streams") || strings.Contains(row[1], "http-packets2") {
			continue
		}
		evidence[strings.Join(row[:3], " ")] = evidenceFamilies[row[9]]
	}
	count := map[sighting]int{}
	for src, i := range withOptions(sources) {
		row, theirs := src.rows[i], src.p0f[i]
		at, _ := strconv.ParseFloat(row[3], 64)
		s := sighting{
			year:     time.Unix(int64(at), 0).UTC().Year(),
			family:   evidence[src.name+" "+row[1]+" "+row[2]],
			p0fHow:   "specific",
			p0fLabel: theirs[2],
			syn:      seen(&src.packets[i]),
		}
		switch {
		case theirs[5] == "":
			s.p0fHow, s.p0fLabel = silent, ""
		case theirs[1] == "none" || theirs[2] == "???":
			s.p0fHow, s.p0fLabel = "unknown", ""
		case strings.Contains(theirs[3], "generic") || strings.Contains(theirs[3], "fuzzy"):
			s.p0fHow = "generic"
		}
		count[s]++
	}
	var all []sighting
	for s, n := range count {
		s.count = n
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b sighting) int {
		return strings.Compare(a.key(), b.key())
	})
	return all
}

// If the captures exist, the sightings are those in them, and a match of a
// sighting's generated packet equals the match of the captured packet.
func TestSightingsAreTheCaptures(t *testing.T) {
	sources := readPublic(t)
	if len(sources) == 0 {
		return
	}
	var b strings.Builder
	b.WriteString("count\tyear\tevidence\tp0f\tp0f's answer\tSYN\n")
	for _, s := range distil(t, sources) {
		b.WriteString(s.String() + "\n")
	}
	if *update {
		if err := os.WriteFile(sightingsFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(sightingsFile); err != nil || string(want) != b.String() {
		t.Errorf("%s is not what the captures hold (%v): run make score", sightingsFile, err)
	}
	db := Builtin()
	for src, i := range withOptions(sources) {
		p := &src.packets[i]
		syn := seen(p)
		if got, want := db.Match(sighting{syn: syn}.packet(t)), db.Match(p); got != want {
			t.Errorf("%s %d, %v: %+v, and of the sighting %+v", src.name, i+1, syn, want, got)
		}
	}
}

// tally counts answers by how good they are.
type tally struct{ right, generic, unknown, wrong, tool int }

func (c *tally) add(verdict string, n int) {
	switch verdict {
	case "right":
		c.right += n
	case "generic":
		c.generic += n
	case "unknown":
		c.unknown += n
	case "wrong":
		c.wrong += n
	case "tool":
		c.tool += n
	}
}

func (c tally) all() int { return c.right + c.generic + c.unknown + c.wrong + c.tool }

// share is n of all in per cent.
func (c tally) share(n int) float64 { return 100 * float64(n) / float64(max(c.all(), 1)) }

// verdictOf classifies an answer. Without evidence of the family every family counts
// as right.
func verdictOf(db *Database, m Match, family string) string {
	switch {
	case m.Confidence == None:
		return "unknown"
	case m.Class == Tool || m.Class == Proxy:
		return "tool"
	case family != "" && db.Label(m.Label).Family != family:
		return "wrong"
	case m.Confidence == Exact:
		return "right"
	}
	return "generic"
}

// verdictOfP0f classifies the answer of p0f.
func verdictOfP0f(s sighting) string {
	switch {
	case s.p0fHow == "unknown":
		return "unknown"
	case s.family != "" && familyOf("", s.p0fLabel) != s.family:
		return "wrong"
	case s.p0fHow == "specific":
		return "right"
	}
	return "generic"
}

// scoreRow is a row of the table: a group of sightings, and both tallies.
type scoreRow struct {
	name      string
	ours, p0f tally
}

// scores classifies the answers to all sightings.
func scores(t testing.TB) (rows []*scoreRow) {
	t.Helper()
	const since = 2019
	db := Builtin()
	known := map[string]*scoreRow{}
	row := func(name string) *scoreRow {
		if known[name] == nil {
			known[name] = &scoreRow{name: name}
			rows = append(rows, known[name])
		}
		return known[name]
	}
	for _, family := range []string{"Linux", "Windows", "Apple"} {
		for _, version := range []int{4, 6} {
			row(fmt.Sprintf("%s, IPv%d", family, version))
		}
	}
	for _, name := range []string{"all with evidence", "all, IPv4", "all, IPv6", "all", fmt.Sprintf("all since %d", since)} {
		row(name)
	}
	for _, s := range readSightings(t) {
		ours, theirs := verdictOf(db, db.Match(s.packet(t)), s.family), verdictOfP0f(s)
		add := func(name string) {
			row(name).ours.add(ours, s.count)
			if s.p0fHow != silent {
				row(name).p0f.add(theirs, s.count)
			}
		}
		for name, family := range evidenceFamilies {
			if family == s.family {
				add(fmt.Sprintf("%s, IPv%d", name, s.syn.Version))
				add("all with evidence")
			}
		}
		add("all")
		add(fmt.Sprintf("all, IPv%d", s.syn.Version))
		if s.year >= since {
			add(fmt.Sprintf("all since %d", since))
		}
	}
	return rows
}

// scoreTable formats the table for the documentation.
func scoreTable(rows []*scoreRow) string {
	var b strings.Builder
	b.WriteString("| SYNs | number | right | generic | unknown | wrong | tool | p0f: right | generic | unknown | wrong |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		o, p := r.ours, r.p0f
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d |\n", r.name, o.all(),
			o.right, o.generic, o.unknown, o.wrong, o.tool, p.right, p.generic, p.unknown, p.wrong)
	}
	return b.String()
}

// The score in the documentation is that of the present table and matcher, and it
// reaches the targets.
func TestScore(t *testing.T) {
	rows := scores(t)
	table := scoreTable(rows)
	t.Logf("\n%s", table)
	page, err := os.ReadFile(scorePage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), scoreBegin)
	shown, after, ok2 := strings.Cut(rest, scoreEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the score", scorePage)
	}
	if *update {
		shown = table
		if err := os.WriteFile(scorePage, []byte(before+scoreBegin+table+scoreEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if shown != table {
		t.Errorf("the table in %s is not this one: run make score", scorePage)
	}

	by := map[string]*scoreRow{}
	for _, r := range rows {
		by[r.name] = r
	}
	for _, target := range []struct {
		name        string
		got         float64
		least, most float64
	}{
		{"wrong with evidence", by["all with evidence"].ours.share(by["all with evidence"].ours.wrong), 0, 0.4},
		{"unknown with evidence", by["all with evidence"].ours.share(by["all with evidence"].ours.unknown), 0, 0},
		{"unknown", by["all"].ours.share(by["all"].ours.unknown), 0, 1},
		{"exact since 2019", by["all since 2019"].ours.share(by["all since 2019"].ours.right + by["all since 2019"].ours.tool), 80, 100},
		{"exact over IPv6", by["all, IPv6"].ours.share(by["all, IPv6"].ours.right), 95, 100},
	} {
		t.Logf("%s: %.2f %%", target.name, target.got)
		if target.got < target.least || target.got > target.most {
			t.Errorf("%s: %.2f %%, want %v to %v", target.name, target.got, target.least, target.most)
		}
	}
}

// TestShowWhatIsNotRight logs the answers that are wrong, unknown or doubtful, for
// work on the table.
func TestShowWhatIsNotRight(t *testing.T) {
	db := Builtin()
	for _, s := range readSightings(t) {
		p := s.packet(t)
		if verdict := verdictOf(db, db.Match(p), s.family); verdict != "right" {
			t.Logf("%-7s %4d of %d, %s %v: %s", verdict, s.count, s.year, s.family, s.syn, answer(db, p))
		}
	}
}
