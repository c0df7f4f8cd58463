package fingerprint

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

// maxUnknown bounds how many kinds of unknown SYNs a summary tells apart: on a live
// network anyone can send more of them.
const maxUnknown = 1000

// Summary counts answers; it comes from NewSummary.
type Summary struct {
	grammar Grammar
	total   int
	known   map[kind]int
	unknown map[string]int // by Rule
	others  int            // unknown, and not counted there since it was full
}

// kind is one kind of sender.
type kind struct {
	Label      string `json:"label"`
	Family     string `json:"family"`
	Class      string `json:"class"`
	Confidence string `json:"confidence"`
}

// NewSummary counts nothing yet. Rules will be in grammar g.
func NewSummary(g Grammar) *Summary {
	return &Summary{grammar: g, known: make(map[kind]int), unknown: make(map[string]int)}
}

// Add counts the answer to p.
func (s *Summary) Add(a Answer, p *packet.Packet) {
	s.total++
	s.known[kind{a.Label, a.Family, a.Class, a.Confidence}]++
	if a.Known() {
		return
	}
	if rule := Rule(p, s.grammar); s.unknown[rule] > 0 || len(s.unknown) < maxUnknown {
		s.unknown[rule]++
	} else {
		s.others++
	}
}

// Print writes a table, the most frequent first, and then a rule for each kind of
// unknown SYN.
func (s *Summary) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%7s  %6s  %-10s  %s\n", "SYNs", "share", "confidence", "sender")
	for _, k := range ordered(s.known) {
		n, name := s.known[k], k.Label
		switch {
		case name == "":
			name = "unknown"
		case k.Class != p0f.OS.String():
			name += " (a " + k.Class + ")"
		}
		fmt.Fprintf(&b, "%7d  %5.1f%%  %-10s  %s\n", n, 100*float64(n)/float64(s.total), k.Confidence, name)
	}
	if len(s.unknown) > 0 {
		fmt.Fprintf(&b, "\nTo name the unknown ones, put these lines into a signature file of your own and replace NAME and VERSION:\n\n%s", Header(s.grammar))
	}
	for _, rule := range ordered(s.unknown) {
		fmt.Fprintf(&b, "%s\n", rule)
	}
	if s.others > 0 {
		fmt.Fprintf(&b, "\nand %d more SYNs of further kinds.\n", s.others)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// PrintJSON writes one object per kind of sender, the most frequent first: label,
// family, class, confidence, count.
func (s *Summary) PrintJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, k := range ordered(s.known) {
		if err := enc.Encode(struct {
			kind
			Count int `json:"count"`
		}{k, s.known[k]}); err != nil {
			return err
		}
	}
	return nil
}

// ordered returns the keys, the most frequent first and else in the order of their
// text.
func ordered[K comparable](count map[K]int) []K {
	var keys []K
	for k := range count {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b K) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return keys
}
