package p0f

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nftknock/pkg/packet"
	"nftknock/test/scoring"
)

// update makes the tests rewrite the files that they compare with: the sightings, if
// the corpus exists, the table in the documentation, and buffersFile.
var update = flag.Bool("update", false, "rewrite files in testdata and the table in docs/fingerprints.md")

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
	p0fHow   string // scoring.P0fSpecific and so on
	p0fLabel string
	syn      Signature
}

// key orders sightings.
func (s sighting) key() string {
	s.count = 0
	return fmt.Sprintf("%d %s %v %s", s.year, s.family, s.syn, s)
}

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
			year:   time.Unix(int64(at), 0).UTC().Year(),
			family: evidence[src.name+" "+row[1]+" "+row[2]],
			syn:    seen(&src.packets[i]),
		}
		s.p0fHow, s.p0fLabel = scoring.P0fRow{Kind: theirs[1], Answer: theirs[2], Params: theirs[3], RawSig: theirs[5]}.How()
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

// verdictOf classifies an answer.
func verdictOf(db *Database, m Match, family string) scoring.Verdict {
	a := scoring.Answer{Class: m.Class.String(), Confidence: m.Confidence.String()}
	if m.Confidence != None {
		a.Family = db.Label(m.Label).Family
	}
	return scoring.Judge(a, family)
}

// scored returns the table of all sightings.
func scored(t testing.TB) *scoring.Table {
	t.Helper()
	db := Builtin()
	table := scoring.NewTable("linux", "windows", "apple")
	for _, s := range readSightings(t) {
		table.Add(scoring.SYN{
			Number: s.count, Version: s.syn.Version, Year: s.year, Want: s.family,
			Ours: verdictOf(db, db.Match(s.packet(t)), s.family),
			P0f:  scoring.JudgeP0f(s.p0fHow, FamilyOf(s.p0fLabel), s.family),
		})
	}
	return table
}

// The score in the documentation is that of the present table and matcher, and it
// reaches the targets.
func TestScore(t *testing.T) {
	scores := scored(t)
	table := scores.String()
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

	evidence, all := scores.Row(scoring.Evidence).Ours, scores.Row(scoring.All).Ours
	recent, ipv6 := scores.Row(scoring.Recent).Ours, scores.Row(scoring.IPv6).Ours
	for _, target := range []struct {
		name        string
		got         float64
		least, most float64
	}{
		{"wrong with evidence", evidence.Share(scoring.Wrong, scoring.WrongAtLow), 0, 0.4},
		{"unknown with evidence", evidence.Share(scoring.Unknown), 0, 0},
		{"unknown", all.Share(scoring.Unknown), 0, 1},
		{"exact since 2019", recent.Share(scoring.Right, scoring.Tool, scoring.Proxy), 80, 100},
		{"exact over IPv6", ipv6.Share(scoring.Right), 95, 100},
	} {
		t.Logf("%s: %.2f %%", target.name, target.got)
		if target.got < target.least || target.got > target.most {
			t.Errorf("%s: %.2f %%, want %v to %v", target.name, target.got, target.least, target.most)
		}
	}
}

// The program that scores captures prints the table of the documentation for captures
// that hold the sightings.
func TestScoreProgramAgrees(t *testing.T) {
	dir := t.TempDir()
	var capture bytes.Buffer
	w := pcapgo.NewWriter(&capture)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	labels, theirs := "# of the sightings\n", "n\tkind\tanswer\tparams\tdist\traw_sig\n"
	n := 0
	for _, s := range readSightings(t) {
		b := generate(t, s.syn, variant{version: s.syn.Version, hops: s.syn.Hops})
		info := gopacket.CaptureInfo{
			Timestamp:     time.Date(s.year, 7, 1, 0, 0, 0, 0, time.UTC),
			CaptureLength: len(b), Length: len(b),
		}
		for range s.count {
			n++
			if err := w.WritePacket(info, b); err != nil {
				t.Fatal(err)
			}
			labels += fmt.Sprintf("%d\t%s\n", n, cmp.Or(s.family, "?"))
			theirs += s.p0fRow(n)
		}
	}
	for name, content := range map[string]string{"a.pcap": capture.String(), "a.tsv": labels, "a.p0f.tsv": theirs} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command("go", "run", "nftknock/test/score", dir).CombinedOutput()
	if want := scored(t).String(); err != nil || !strings.Contains(string(out), "Packets:\n\n"+want+"\n") {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// p0fRow is a line of X.p0f.tsv that gives p0f's answer to packet n.
func (s sighting) p0fRow(n int) string {
	answer, params, signature := s.p0fLabel, "none", "4:64"
	switch s.p0fHow {
	case scoring.P0fUnknown:
		answer = "???"
	case scoring.P0fGeneric:
		params = "generic"
	case scoring.P0fSilent:
		signature = ""
	}
	return fmt.Sprintf("%d\tos\t%s\t%s\t0\t%s\n", n, answer, params, signature)
}

// TestShowWhatIsNotRight logs the answers that are wrong, unknown or doubtful, for
// work on the table.
func TestShowWhatIsNotRight(t *testing.T) {
	db := Builtin()
	for _, s := range readSightings(t) {
		p := s.packet(t)
		if verdict := verdictOf(db, db.Match(p), s.family); verdict != scoring.Right {
			t.Logf("%-7v %4d of %d, %s %v: %s", verdict, s.count, s.year, s.family, s.syn, answer(db, p))
		}
	}
}
