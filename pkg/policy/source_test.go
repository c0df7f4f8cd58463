package policy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parseSource reads the items of a source.
func parseSource(items []string) (SourceFilter, error) {
	var parsed []sourceItem
	for _, s := range items {
		i, err := parseSourceItem(s)
		if err != nil {
			return SourceFilter{}, err
		}
		parsed = append(parsed, i)
	}
	return newSourceFilter(parsed)
}

func TestSourceContains(t *testing.T) {
	tests := []struct {
		filter  []string
		in, out []string
	}{
		{[]string{"any"}, []string{"192.0.2.1", "2001:db8::1", "fe80::1%eth0", "::ffff:192.0.2.1", "::1", "0.0.0.0"}, nil},
		{[]string{"10.0.0.0/8"}, []string{"10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"}, []string{"11.0.0.0", "9.255.255.255", "::a00:1"}},
		{[]string{"any", "!10.0.0.0/8"}, []string{"192.0.2.1", "2001:db8::1"}, []string{"10.0.0.1", "::ffff:10.0.0.1"}},
		{[]string{"!10.0.0.0/8", "any"}, []string{"192.0.2.1"}, []string{"10.0.0.1"}},
		{[]string{"10.0.0.0/8", "!10.1.0.0/16", "10.1.2.3"}, []string{"10.0.0.1"}, []string{"10.1.2.3", "10.1.0.1"}},
		{[]string{"192.0.2.1", "2001:db8::1"}, []string{"192.0.2.1", "2001:db8::1", "2001:db8::1%eth0"}, []string{"192.0.2.2", "2001:db8::2"}},
		{[]string{"fe80::/10"}, []string{"fe80::1", "fe80::1%eth0"}, []string{"2001:db8::1"}},
		{[]string{"0.0.0.0/0"}, []string{"192.0.2.1", "::ffff:192.0.2.1"}, []string{"::1", "2001:db8::1"}},
		{[]string{"::/0"}, []string{"2001:db8::1"}, []string{"192.0.2.1", "::ffff:192.0.2.1"}},
	}
	for _, tt := range tests {
		f, err := parseSource(tt.filter)
		if err != nil {
			t.Errorf("%q: %v", tt.filter, err)
			continue
		}
		for _, a := range tt.in {
			if !f.Contains(netip.MustParseAddr(a)) {
				t.Errorf("%q does not contain %s", tt.filter, a)
			}
		}
		for _, a := range tt.out {
			if f.Contains(netip.MustParseAddr(a)) {
				t.Errorf("%q contains %s", tt.filter, a)
			}
		}
		again, err := parseSource(f.Strings())
		if err != nil {
			t.Errorf("%q: %v", f.Strings(), err)
		}
		if diff := cmp.Diff(f, again, equal); diff != "" {
			t.Errorf("%q read again (-want +got):\n%s", tt.filter, diff)
		}
	}
}

func TestSourceZeroValuesLetNobody(t *testing.T) {
	var f SourceFilter
	if f.Contains(netip.MustParseAddr("192.0.2.1")) {
		t.Error("the zero filter contains an address")
	}
	if Anyone().Contains(netip.Addr{}) {
		t.Error("anyone contains the zero address")
	}
}

func TestSourceContainsDoesNotAllocate(t *testing.T) {
	f, err := parseSource([]string{"10.0.0.0/8", "2001:db8::/32", "!10.1.0.0/16", "fe80::/10"})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"10.0.0.1", "10.1.0.1", "::ffff:10.0.0.1", "2001:db8::1", "fe80::1%eth0"} {
		a := netip.MustParseAddr(s)
		if n := testing.AllocsPerRun(100, func() { f.Contains(a) }); n != 0 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}

func TestSourceOverlaps(t *testing.T) {
	tests := []struct {
		a, b []string
		want bool
	}{
		{[]string{"any"}, []string{"any"}, true},
		{[]string{"any"}, []string{"10.0.0.0/8"}, true},
		{[]string{"10.0.0.0/8"}, []string{"10.1.0.0/16"}, true},
		{[]string{"10.0.0.0/8"}, []string{"11.0.0.0/8"}, false},
		{[]string{"10.0.0.0/8"}, []string{"::/0"}, false},
		{[]string{"any", "!10.0.0.0/8"}, []string{"10.1.0.0/16"}, false},
		{[]string{"any", "!10.1.0.0/16"}, []string{"10.0.0.0/8"}, true},
		{[]string{"any", "!10.0.0.0/8"}, []string{"10.1.0.0/16", "192.0.2.1"}, true},
	}
	for _, tt := range tests {
		a, errA := parseSource(tt.a)
		b, errB := parseSource(tt.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.overlaps(b) != tt.want || b.overlaps(a) != tt.want {
			t.Errorf("%q and %q: want %t", tt.a, tt.b, tt.want)
		}
	}
}

func BenchmarkSourceContains(b *testing.B) {
	f, err := parseSource([]string{"10.0.0.0/8", "2001:db8::/32", "192.168.0.0/16", "!192.168.7.0/24"})
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("192.168.1.1")
	b.ReportAllocs()
	for b.Loop() {
		f.Contains(a)
	}
}

func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"any", "!any", "10.0.0.0/8", "!10.0.0.0/8", "fe80::1%eth0", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.1/8", ""} {
		f.Add(s, "any")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got, err := parseSource([]string{a, b})
		if err != nil {
			if diff := cmp.Diff(SourceFilter{}, got, equal); diff != "" {
				t.Errorf("an error and a filter: %s", diff)
			}
			return
		}
		again, err := parseSource(got.Strings())
		if err != nil {
			t.Fatalf("%q: %v", got.Strings(), err)
		}
		if diff := cmp.Diff(got, again, equal); diff != "" {
			t.Errorf("read again (-want +got):\n%s", diff)
		}
	})
}
