package policy

import (
	"math/rand/v2"
	"testing"
)

// The index finds an overlap exactly where going through all filters does.
func TestSourceIndexFindsWhatOverlaps(t *testing.T) {
	items := []string{
		"10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.1", "10.1.0.0/16", "10.1.2.3", "192.0.2.0/24", "192.0.2.7",
		"2001:db8::/32", "2001:db8::/48", "2001:db8::1", "2001:db8:1::/48", "fe80::/10",
	}
	random := rand.New(rand.NewPCG(1, 2))
	var filters []SourceFilter
	for len(filters) < 3000 {
		text := []string{items[random.IntN(len(items))], "!" + items[random.IntN(len(items))]}
		if random.IntN(20) == 0 {
			text[0] = "any"
		}
		if f, err := parseSource(text[:1+random.IntN(2)]); err == nil {
			filters = append(filters, f)
		}
	}
	overlapping := 0
	for len(filters) > 4 {
		f, others := filters[0], filters[1:5]
		filters = filters[5:]
		x := newSourceIndex([]int{0, 1, 2, 3}, func(i int) SourceFilter { return others[i] })
		ok := func(i int) bool { return f.overlaps(others[i]) }
		want := ok(0) || ok(1) || ok(2) || ok(3)
		if want {
			overlapping++
		}
		if i, found := x.find(f, ok); found != want || found && !ok(i) {
			t.Errorf("%q among %v: found %d, %t; want %t", f.Strings(), others, i, found, want)
		}
	}
	if overlapping < 100 || overlapping > 500 {
		t.Errorf("%d of 600 overlap: no test of both", overlapping)
	}
}
