package username

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPrints(t *testing.T) {
	for _, s := range []string{"", "mbr", "m b", "müller", "Ωμέγα", "山田", "u\u0308", "\ufffd"} {
		if !Prints(s) {
			t.Errorf("%q does not print", s)
		}
	}
	for name, s := range map[string]string{
		"Latin-1": "m\xfcller", "cut character": "m\xc3", "surrogate": "\xed\xa0\x80", "overlong": "\xc0\xaf",
		"line end": "a\nb", "line end of Unicode": "a\u2028b", "C1": "a\u0085b", "NUL": "a\x00", "escape": "\x1b[2J", "DEL": "a\x7f",
		"direction": "a\u202eb", "zero width": "a\u200bb", "byte order mark": "\ufeffa", "no-break blank": "a\u00a0b", "private use": "\ue000",
	} {
		if Prints(s) {
			t.Errorf("%s: %q prints", name, s)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"mbr", 8, "mbr"}, {"mbr", 3, "mbr"}, {"mbr", 2, "mb"}, {"müller", 2, "m"}, {"müller", 3, "mü"}, {"山田", 5, "山"}, {"山", 2, ""}, {"", 0, ""}} {
		if got := Cut(c.in, c.n); got != c.want {
			t.Errorf("%q to %d bytes: %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add("müller", 2)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 {
			return
		}
		got := Cut(s, n)
		if len(got) > n || !strings.HasPrefix(s, got) || utf8.ValidString(s) && !utf8.ValidString(got) {
			t.Fatalf("%q to %d bytes: %q", s, n, got)
		}
	})
}
