package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/capture"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/test/scoring"
)

// kind is a kind of SYN: what counts as one of the distinct SYNs. The TTL is part of the
// signature, and so is how many routers it tells of.
type kind struct {
	want, signature string
	version         uint8
}

// counted is what is kept of a kind of SYN.
type counted struct {
	kind
	scoring.SYN
	match p0f.Match
}

// score counts the SYNs of captures.
type score struct {
	db       *p0f.Database
	packets  *scoring.Table
	kinds    map[kind]*counted
	leftOut  int // SYNs without TCP options and without a label
	captures int
}

func newScore(db *p0f.Database) *score {
	return &score{db: db, packets: scoring.NewTable("linux", "windows", "apple"), kinds: map[kind]*counted{}}
}

// read counts the SYNs of a capture.
func (s *score) read(name string) error {
	base := strings.TrimSuffix(name, filepath.Ext(name))
	own, err := readSheet(base + ".tsv")
	if err != nil {
		return err
	}
	common, err := readSheet(filepath.Join(filepath.Dir(name), "LABELLED.tsv"))
	if err != nil {
		return err
	}
	if common != nil && common.last.line > 0 {
		return fmt.Errorf("%s:%d: a packet number here names no capture: write it into the file beside the capture", common.name, common.last.line)
	}
	theirs, err := readP0f(base + ".p0f.tsv")
	if err != nil {
		return err
	}
	l := labels{filepath.Base(base), own, common}
	packets, err := eachSYN(name, func(number int, at time.Time, p *packet.Packet) {
		row := theirs[number] // silent without a file
		s.add(l.of(number, netip.AddrPortFrom(p.Src, p.SrcPort)), at.UTC().Year(), p, row)
	})
	if err != nil {
		return err
	}
	s.captures++
	return l.check(packets)
}

// eachSYN calls f for the SYNs of a capture, with their number, and returns the number of
// all packets. It skips what is not IP or cannot be decoded.
func eachSYN(name string, f func(int, time.Time, *packet.Packet)) (int, error) {
	r, err := capture.Open(name)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for {
		at, b, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return r.Packets(), nil
		case errors.Is(err, capture.ErrNotIP):
			continue
		case err != nil:
			return 0, err
		}
		var p packet.Packet
		if packet.Decode(b, &p) != nil {
			continue
		}
		if _, ok := p0f.Observe(&p); ok {
			f(r.Packets(), at, &p)
		}
	}
}

// add counts a SYN whose sender is known as want.
func (s *score) add(want string, year int, p *packet.Packet, row scoring.P0fRow) {
	if want == "" && len(p.TCP.Options) == 0 {
		s.leftOut++
		return
	}
	m := s.db.Match(p)
	a := scoring.Answer{Class: m.Class.String(), Confidence: m.Confidence.String()}
	if m.Confidence != p0f.None {
		a.Family = s.db.Label(m.Label).Family
	}
	how, label := row.How()
	family := p0f.FamilyOf(label)
	if row.Kind == "app" { // as p0f calls what is no system
		family = scoring.ToolLabel
	}
	syn := scoring.SYN{
		Number: 1, Version: p.Version, Year: year, Want: want,
		Ours: scoring.Judge(a, want), P0f: scoring.JudgeP0f(how, family, want),
	}
	s.packets.Add(syn)

	signature, _ := p0f.Observe(p)
	k := kind{want, signature.String(), p.Version}
	before := s.kinds[k]
	if before == nil {
		s.kinds[k] = &counted{k, syn, m}
		return
	}
	before.Number++
	before.Year = max(before.Year, year)
	if before.P0f == scoring.Silent {
		before.P0f = syn.P0f
	}
}

// distinct is the table with every kind of SYN counted once.
func (s *score) distinct() *scoring.Table {
	t := scoring.NewTable("linux", "windows", "apple")
	for _, c := range s.sorted() {
		syn := c.SYN
		syn.Number = 1
		t.Add(syn)
	}
	return t
}

// sorted returns the kinds of SYN, the most frequent first.
func (s *score) sorted() []*counted {
	return slices.SortedFunc(maps.Values(s.kinds), func(a, b *counted) int {
		return cmp.Or(b.Number-a.Number, cmp.Compare(a.signature, b.signature), cmp.Compare(a.want, b.want))
	})
}

// requirements are the families that docs/fingerprints.md tells how to require.
var requirements = []struct{ family, requireOS string }{
	{"linux", "linux"}, {"windows", "windows"}, {"apple", "macos/ios"}, {"bsd", "bsd"},
}

// amount is a number of packets, and of distinct SYNs among them.
type amount struct{ packets, distinct int }

func (a *amount) add(c *counted) {
	a.packets += c.Number
	a.distinct++
}

func (a amount) String() string { return fmt.Sprintf("%d (%d)", a.packets, a.distinct) }

// required returns what a policy with this requirement does to the SYNs whose sender is
// known: those of the family that it lets in and keeps out, and others that it lets in.
func (s *score) required(family, requireOS string) (in, out, others amount) {
	expression := regexp.MustCompile("(?i)" + requireOS)
	for _, c := range s.kinds {
		admitted := c.match.Confidence >= p0f.Family && s.db.Label(c.match.Label).Satisfies(expression)
		switch {
		case c.want == family && admitted:
			in.add(c)
		case c.want == family:
			out.add(c)
		case c.want != "" && admitted:
			others.add(c)
		}
	}
	return in, out, others
}

// print writes the tables, and if asked to the SYNs that are not right.
func (s *score) print(w io.Writer, verbose bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d captures. Packets:\n\n%v\nDistinct SYNs:\n\n%v\n", s.captures, s.packets, s.distinct())
	fmt.Fprintf(&b, "With evidence, packets (distinct SYNs):\n\n")
	b.WriteString("| require_os | let in, of the family | kept out, of the family | let in, others |\n|---|---|---|---|\n")
	for _, r := range requirements {
		in, out, others := s.required(r.family, r.requireOS)
		fmt.Fprintf(&b, "| `%s` | %v | %v | %v |\n", r.requireOS, in, out, others)
	}
	if s.leftOut > 0 {
		fmt.Fprintf(&b, "\nLeft out: %d SYNs without TCP options and without a label.\n", s.leftOut)
	}
	if verbose {
		s.list(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// list writes the SYNs that are not right, by verdict, the most frequent first.
func (s *score) list(b *strings.Builder) {
	all := s.sorted()
	for _, v := range []scoring.Verdict{scoring.Wrong, scoring.WrongAtLow, scoring.Low, scoring.Unknown, scoring.Tool, scoring.Proxy} {
		fmt.Fprintf(b, "\n%v:\n", v)
		for _, c := range all {
			if c.Ours != v {
				continue
			}
			answer := "unknown"
			if c.match.Confidence != p0f.None {
				answer = fmt.Sprintf("%v (%v)", s.db.Label(c.match.Label), c.match.Confidence)
			}
			fmt.Fprintf(b, "%6d  %s: %s; %s\n", c.Number, cmp.Or(c.want, "?"), answer, c.signature)
		}
	}
}
