// Package scoring counts how good the answers of a fingerprint matcher are. The table in
// docs/fingerprints.md and the program test/score are made with it. It knows no matcher:
// answers come as the words that pkg/p0f prints, so that the tests of that package can
// use it, too.
package scoring

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Tool and Proxy are what a label names in place of a family.
const (
	ToolLabel  = "tool"
	ProxyLabel = "proxy"
)

// Answer is the answer of a matcher to one SYN.
type Answer struct {
	Class      string // "os", "tool", "proxy" or "stack"
	Confidence string // "none", "low", "family" or "exact"
	Family     string // "linux", for example
}

// Verdict is how good an answer is.
type Verdict int

const (
	// Right: the family, with confidence exact.
	Right Verdict = iota
	// Generic: the family, with confidence family.
	Generic
	// Low: the family, with confidence low, which satisfies no requirement by default.
	Low
	// Unknown: no answer.
	Unknown
	// Wrong: another family, with confidence family or exact.
	Wrong
	// WrongAtLow: another family, with confidence low.
	WrongAtLow
	// Tool: a tool, whatever was sought.
	Tool
	// Proxy: a proxy or a stack that is no system's, whatever was sought.
	Proxy
	// Silent: not asked. It is never counted.
	Silent
)

var verdictNames = [...]string{"right", "generic", "low", "unknown", "wrong", "wrong at low", "tool", "proxy", "silent"}

// String returns the heading of the verdict's column.
func (v Verdict) String() string { return verdictNames[v] }

// Judge classifies an answer. want is the family of the sender, ToolLabel or ProxyLabel,
// or "" if nothing is known of it: then every family counts as the right one.
func Judge(a Answer, want string) Verdict {
	switch {
	case a.Confidence == "none":
		return Unknown
	case a.Class == "tool":
		return Tool
	case a.Class != "os":
		return Proxy
	case want != "" && a.Family != want:
		if a.Confidence == "low" {
			return WrongAtLow
		}
		return Wrong
	case a.Confidence == "low":
		return Low
	case a.Confidence == "exact":
		return Right
	}
	return Generic
}

// How p0f 3.09b answered.
const (
	P0fSpecific = "specific"
	P0fGeneric  = "generic" // or fuzzy
	P0fUnknown  = "unknown"
	P0fSilent   = "silent" // no answer, as for a SYN that is sent again
)

// P0fRow is p0f's answer to a packet: columns of a file X.p0f.tsv.
type P0fRow struct{ Kind, Answer, Params, RawSig string }

// How returns how p0f answered, and the label if it gave one.
func (r P0fRow) How() (how, label string) {
	switch {
	case r.RawSig == "":
		return P0fSilent, ""
	case r.Kind == "none" || r.Answer == "???":
		return P0fUnknown, ""
	case strings.Contains(r.Params, "generic") || strings.Contains(r.Params, "fuzzy"):
		return P0fGeneric, r.Answer
	}
	return P0fSpecific, r.Answer
}

// JudgeP0f classifies an answer of p0f: how it answered, and the family of its label. p0f
// has no tools, no proxies and no confidence low.
func JudgeP0f(how, family, want string) Verdict {
	switch {
	case how == P0fSilent:
		return Silent
	case how == P0fUnknown:
		return Unknown
	case want != "" && family != want:
		return Wrong
	case how == P0fSpecific:
		return Right
	}
	return Generic
}

// Tally counts verdicts.
type Tally [Silent]int

// All returns the number of all verdicts.
func (c Tally) All() (n int) {
	for _, count := range c {
		n += count
	}
	return n
}

// Share returns in per cent how many of all verdicts are one of those given.
func (c Tally) Share(verdicts ...Verdict) float64 {
	n := 0
	for _, v := range verdicts {
		n += c[v]
	}
	return 100 * float64(n) / float64(max(c.All(), 1))
}

// SYN is one kind of SYN, with the verdicts about it.
type SYN struct {
	Number  int // how many there are
	Version uint8
	Year    int    // of the capture
	Want    string // as for Judge
	Ours    Verdict
	P0f     Verdict
}

// Row is a row of the table.
type Row struct {
	Name      string
	Ours, P0f Tally
}

// since is the first year of the last row: systems that are still in use.
const since = 2019

// The rows below those of the families.
const (
	Evidence = "all with evidence"
	IPv4     = "all, IPv4"
	IPv6     = "all, IPv6"
	All      = "all"
	Recent   = "all since 2019"
)

var totals = []string{Evidence, IPv4, IPv6, All, Recent}

// Table groups SYNs by family and IP version.
type Table struct {
	declared []string        // names of the first rows
	rows     map[string]*Row // by name
}

// NewTable returns a table whose first rows are those of these families, even if no SYN is
// theirs. Another family gets a row per IP version with its first SYN.
func NewTable(families ...string) *Table {
	t := &Table{rows: map[string]*Row{}}
	for _, family := range families {
		for _, version := range []uint8{4, 6} {
			name := rowName(family, version)
			t.declared = append(t.declared, name)
			t.row(name)
		}
	}
	for _, name := range totals {
		t.row(name)
	}
	return t
}

func rowName(family string, version uint8) string {
	name := strings.ToUpper(family[:1]) + family[1:]
	if family == "bsd" {
		name = "BSD"
	}
	return fmt.Sprintf("%s, IPv%d", name, version)
}

// row returns the row of that name, which it adds if there is none.
func (t *Table) row(name string) *Row {
	if t.rows[name] == nil {
		t.rows[name] = &Row{Name: name}
	}
	return t.rows[name]
}

// Add counts a SYN in every row that it belongs to.
func (t *Table) Add(s SYN) {
	names := []string{All, fmt.Sprintf("all, IPv%d", s.Version)}
	if s.Want != "" {
		names = append(names, rowName(s.Want, s.Version), Evidence)
	}
	if s.Year >= since {
		names = append(names, Recent)
	}
	for _, name := range names {
		row := t.row(name)
		row.Ours[s.Ours] += s.Number
		if s.P0f != Silent {
			row.P0f[s.P0f] += s.Number
		}
	}
}

// Row returns the row of that name, or nil if there is none.
func (t *Table) Row(name string) *Row { return t.rows[name] }

// Rows returns the rows in their order: the families that NewTable was given, other
// families by name, and what all have in common.
func (t *Table) Rows() []*Row {
	names := slices.Clone(t.declared)
	for _, name := range slices.Sorted(maps.Keys(t.rows)) {
		if !slices.Contains(t.declared, name) && !slices.Contains(totals, name) {
			names = append(names, name)
		}
	}
	var all []*Row
	for _, name := range append(names, totals...) {
		all = append(all, t.rows[name])
	}
	return all
}

// p0fColumns are the verdicts that p0f's answers can have.
var p0fColumns = []Verdict{Right, Generic, Unknown, Wrong}

// String returns the table in Markdown, with p0f's columns if p0f answered at all.
func (t *Table) String() string {
	withP0f := t.rows[All].P0f.All() > 0
	var b strings.Builder
	b.WriteString("| SYNs | number")
	for v := range Silent {
		fmt.Fprintf(&b, " | %v", v)
	}
	if withP0f {
		for i, v := range p0fColumns {
			fmt.Fprintf(&b, " | %s%v", map[bool]string{true: "p0f: "}[i == 0], v)
		}
	}
	columns := strings.Count(b.String(), "|")
	b.WriteString(" |\n" + strings.Repeat("|---", columns) + "|\n")
	for _, r := range t.Rows() {
		fmt.Fprintf(&b, "| %s | %d", r.Name, r.Ours.All())
		for v := range Silent {
			fmt.Fprintf(&b, " | %d", r.Ours[v])
		}
		if withP0f {
			for _, v := range p0fColumns {
				fmt.Fprintf(&b, " | %d", r.P0f[v])
			}
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
