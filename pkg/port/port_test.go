package port

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/invalid"
	"nftknock/pkg/packet"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text           string
		want           Range
		service, knock bool
	}{
		{"tcp/22", Single(packet.TCP, 22), true, true},
		{"udp/51820", Single(packet.UDP, 51820), true, true},
		{"udp/65535", Single(packet.UDP, 65535), true, true},
		{"tcp/8000-8010", Range{packet.TCP, 8000, 8010}, true, false},
		{"tcp/1-65535", Range{packet.TCP, 1, 65535}, true, false},
		{"icmp", Echo, false, true},
	}
	for _, tt := range tests {
		got, err := ParseService(tt.text)
		check(t, "service", tt.text, got, tt.want, err, tt.service)
		got, err = ParseKnock(tt.text)
		check(t, "knock", tt.text, got, tt.want, err, tt.knock)
	}
	for _, s := range []string{
		"", "tcp", "tcp/", "tcp/0", "tcp/65536", "tcp/022", "tcp/+22", "TCP/22", "icmp/8", "icmp/0", "tcp/22/23",
		"tcp/22-", "tcp/-22", "tcp/22-22", "tcp/23-22", "tcp/1-2-3", " tcp/22", "tcp/22 ", "sctp/22",
	} {
		got, err := ParseService(s)
		check(t, "service", s, got, Range{}, err, false)
		got, err = ParseKnock(s)
		check(t, "knock", s, got, Range{}, err, false)
	}
}

func check(t *testing.T, what, text string, got, want Range, err error, ok bool) {
	t.Helper()
	var bad *invalid.Error
	switch {
	case ok && (err != nil || got != want || got.String() != text):
		t.Errorf("ok %s %q: %v, %v", what, text, got, err)
	case !ok && (!errors.As(err, &bad) || bad.Want == "" || got != Range{}):
		t.Errorf("bad %s %q: %v, %v", what, text, got, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"tcp/22", "udp/8000-8010", "tcp/0", "tcp/22-22", "icmp", "tcp/065535"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		service, err := ParseService(s)
		if (err == nil) == (service == Range{}) || err == nil && (service.String() != s || service.CheckService() != nil) {
			t.Errorf("service %q became %q, %v", s, service, err)
		}
		knock, err := ParseKnock(s)
		if (err == nil) == (knock == Range{}) || err == nil && (knock.String() != s || knock.First != knock.Last) {
			t.Errorf("knock %q became %q, %v", s, knock, err)
		}
	})
}

func ranges(list ...string) []Range {
	var all []Range
	for _, s := range list {
		r, err := ParseService(s)
		if err != nil {
			panic(err)
		}
		all = append(all, r)
	}
	return all
}

func TestNormalJoinsOverlaps(t *testing.T) {
	tests := []struct {
		name     string
		in, want []Range
	}{
		{"empty", nil, nil},
		{"sorted by protocol and port", ranges("udp/1", "tcp/9", "tcp/3"), ranges("tcp/3", "tcp/9", "udp/1")},
		{"same twice", ranges("tcp/22", "tcp/22"), ranges("tcp/22")},
		{"inside", ranges("tcp/1-100", "tcp/22", "tcp/30-40"), ranges("tcp/1-100")},
		{"overlap", ranges("tcp/5-9", "tcp/1-5"), ranges("tcp/1-9")},
		{"neighbours stay as written", ranges("tcp/22", "tcp/23"), ranges("tcp/22", "tcp/23")},
		{"other protocol", ranges("tcp/1-9", "udp/5"), ranges("tcp/1-9", "udp/5")},
		{"the last port", ranges("tcp/1-65535", "tcp/65535"), ranges("tcp/1-65535")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Normal(tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestRelations(t *testing.T) {
	tests := []struct {
		a, b             string
		covers, overlaps bool
	}{
		{"tcp/22", "tcp/22", true, true},
		{"tcp/1-9", "tcp/9", true, true},
		{"tcp/9", "tcp/1-9", false, true},
		{"tcp/1-9", "tcp/9-12", false, true},
		{"tcp/1-9", "tcp/10", false, false},
		{"tcp/1-9", "udp/5", false, false},
		{"tcp/1-65535", "tcp/65535", true, true},
	}
	for _, tt := range tests {
		both := ranges(tt.a, tt.b)
		if got := both[0].Covers(both[1]); got != tt.covers {
			t.Errorf("%s covers %s: %v", tt.a, tt.b, got)
		}
		if got := both[0].Overlaps(both[1]); got != tt.overlaps {
			t.Errorf("%s overlaps %s: %v", tt.a, tt.b, got)
		}
	}
	if !CoverAll(ranges("tcp/1-4", "tcp/5-65535"), ranges("tcp/1-65535")[0]) || CoverAll(ranges("tcp/1-4", "tcp/6-9"), ranges("tcp/3-7")[0]) {
		t.Error("CoverAll is wrong")
	}
}

func TestParsePorts(t *testing.T) {
	for s, want := range map[string][2]uint16{
		"any": {1, 65535}, "10000-65535": {10000, 65535}, "1-2": {1, 2}, "1-65535": {1, 65535},
	} {
		first, last, err := ParsePorts(s)
		if err != nil || [2]uint16{first, last} != want {
			t.Errorf("%q: %d to %d, error %v, want %v", s, first, last, err, want)
		}
	}
	for _, s := range []string{"", "62201", "0-5", "5-5", "6-5", "5-", "-5", "1-65536", "01-5", "1-2-3", "1 - 2", "ANY", "any-5", "udp/1-2"} {
		if first, last, err := ParsePorts(s); err == nil || first != 0 || last != 0 {
			t.Errorf("%q: %d to %d, error %v, want an error", s, first, last, err)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"any", "10000-65535", "1-65535", "5-5", "0-1", "1-2-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, err := ParsePorts(s)
		if err != nil {
			if first != 0 || last != 0 {
				t.Fatalf("%q: %d to %d beside the error", s, first, last)
			}
			return
		}
		if again := JoinPorts(first, last); again != s && s != "1-65535" {
			t.Fatalf("%q is written %q", s, again)
		}
	})
}

func TestSubtract(t *testing.T) {
	for _, tt := range []struct{ from, without, want string }{
		{"tcp/22", "", "tcp/22"},
		{"tcp/22", "udp/22", "tcp/22"},
		{"tcp/22", "tcp/22", ""},
		{"tcp/1-100", "tcp/50", "tcp/1-49 tcp/51-100"},
		{"tcp/1-100", "tcp/1 tcp/100 tcp/40-60", "tcp/2-39 tcp/61-99"},
		{"tcp/64600-65535", "tcp/65000-65535", "tcp/64600-64999"},
		{"tcp/64600-65535", "tcp/64600-65000", "tcp/65001-65535"},
		{"tcp/10-20 tcp/15-30", "tcp/18", "tcp/10-17 tcp/19-30"},
		{"tcp/10-20 udp/10-20", "tcp/1-30", "udp/10-20"},
		{"tcp/10-20", "tcp/5-12 tcp/11-14 tcp/19-40", "tcp/15-18"},
	} {
		got := Subtract(ranges(strings.Fields(tt.from)...), ranges(strings.Fields(tt.without)...))
		if want := ranges(strings.Fields(tt.want)...); !slices.Equal(got, want) {
			t.Errorf("%s without %s: %v, want %v", tt.from, tt.without, got, want)
		}
	}
}
