package gate

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
)

func TestParseService(t *testing.T) {
	ok := map[string]Service{
		"tcp/22":        {packet.TCP, 22, 22},
		"udp/51820":     {packet.UDP, 51820, 51820},
		"tcp/8000-8010": {packet.TCP, 8000, 8010},
		"tcp/1-65535":   {packet.TCP, 1, 65535},
	}
	for s, want := range ok {
		if got, err := ParseService(s); err != nil || got != want {
			t.Errorf("ok %q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "tcp", "tcp/", "tcp/0", "tcp/65536", "tcp/022", "tcp/+22", "TCP/22", "icmp", "icmp/8", "tcp/22/23",
		"tcp/22-", "tcp/-22", "tcp/22-22", "tcp/23-22", "tcp/1-2-3", " tcp/22", "tcp/22 ",
	} {
		if got, err := ParseService(s); err == nil || got != (Service{}) {
			t.Errorf("bad %q: %v, %v", s, got, err)
		}
	}
}

func FuzzParseService(f *testing.F) {
	for _, s := range []string{"tcp/22", "udp/8000-8010", "tcp/0", "tcp/22-22", "icmp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseService(s)
		if err != nil {
			if v != (Service{}) {
				t.Errorf("error and %v", v)
			}
			return
		}
		if v.String() != s || v.validate() != nil {
			t.Errorf("%q became %q (%v)", s, v, v.validate())
		}
	})
}

func TestNormalJoinsOverlaps(t *testing.T) {
	tests := []struct {
		name     string
		in, want []Service
	}{
		{"empty", nil, nil},
		{"sorted by protocol and port", services("udp/1", "tcp/9", "tcp/3"), services("tcp/3", "tcp/9", "udp/1")},
		{"same twice", services("tcp/22", "tcp/22"), services("tcp/22")},
		{"inside", services("tcp/1-100", "tcp/22", "tcp/30-40"), services("tcp/1-100")},
		{"overlap", services("tcp/5-9", "tcp/1-5"), services("tcp/1-9")},
		{"neighbours stay as written", services("tcp/22", "tcp/23"), services("tcp/22", "tcp/23")},
		{"other protocol", services("tcp/1-9", "udp/5"), services("tcp/1-9", "udp/5")},
		{"the last port", services("tcp/1-65535", "tcp/65535"), services("tcp/1-65535")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, normal(tt.in)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}
