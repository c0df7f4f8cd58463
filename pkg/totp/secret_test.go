package totp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"nftknock/pkg/redact"
)

const sixteen = "GEZDGNBVGY3TQOJQGEZDGNBVGY" // "1234567890123456"

func TestParseSecret(t *testing.T) {
	tests := []struct {
		name, in string
		want     string // as Base32 gives it
		err      string
	}{
		{"ok as Base32 gives it", rfcSHA1, rfcSHA1, ""},
		{"ok lower case", strings.ToLower(rfcSHA1), rfcSHA1, ""},
		{"ok in groups", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq", rfcSHA1, ""},
		{"ok dashes and tabs", "GEZDGNBV-GY3TQOJQ\tGEZDGNBV - GY3TQOJQ", rfcSHA1, ""},
		{"ok line of a file", " " + rfcSHA1 + "\r\n", rfcSHA1, ""},
		{"ok 128 bits", sixteen, sixteen, ""},
		{"ok padding", sixteen + "======", sixteen, ""},
		{"ok padding in groups", sixteen + " == ====", sixteen, ""},
		{"ok bits that fill no byte", sixteen[:25] + "Z", sixteen, ""},
		{"ok 1024 bits", strings.Repeat("A", 205), strings.Repeat("A", 205), ""},
		{"bad empty", "", "", "bad secret of 0 bits: want 128 or more"},
		{"bad 80 bits", "JBSWY3DPEHPK3PXP", "", "bad secret of 80 bits: want 128 or more"},
		{"bad 120 bits", strings.Repeat("A", 24), "", "bad secret of 120 bits: want 128 or more"},
		{"bad 1032 bits", strings.Repeat("A", 207), "", "bad secret of 1032 bits: want at most 1024"},
		{"bad endless", strings.Repeat("A", 1<<20), "", "bad secret of 1048576 characters: want at most 1024 bits in base32"},
		{"bad digit", "GEZDGNB0" + sixteen, "", "bad secret: character 8: want base32, the letters A to Z and the digits 2 to 7"},
		{"bad letter", sixteen + "é", "", "bad secret: character 27: want base32, the letters A to Z and the digits 2 to 7"},
		{"bad two lines", rfcSHA1 + "\n" + rfcSHA1, "", "bad secret: character 33: want base32, the letters A to Z and the digits 2 to 7"},
		{"bad one letter left over", rfcSHA1 + "A", "", "bad secret of 33 letters and digits: no base32 has so many: want one more or one less"},
		{"bad three left over", rfcSHA1 + "AAA", "", "bad secret of 35 letters and digits: no base32 has so many: want one more or one less"},
		{"bad six left over", rfcSHA1 + "AAAAAA", "", "bad secret of 38 letters and digits: no base32 has so many: want one more or one less"},
		{"bad padding short", sixteen + "=====", "", `bad secret: wrong number of "=" at its end: want all of the padding or none`},
		{"bad padding of nothing", rfcSHA1 + "========", "", `bad secret: wrong number of "=" at its end: want all of the padding or none`},
		{"bad padding inside", "GEZD=" + sixteen, "", `bad secret: character 6 follows a "=": want that at the end alone`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := []byte(tt.in)
			s, err := ParseSecret(text, SHA1)
			if message(err) != tt.err {
				t.Fatalf("error %q, want %q", message(err), tt.err)
			}
			if err != nil {
				if s != nil {
					t.Error("a secret besides the error")
				}
				return
			}
			clear(text)
			if got := s.Base32(); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestWeakBelow160Bits(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{{sixteen, true}, {strings.Repeat("A", 31), true}, {rfcSHA1, false}, {rfcSHA256, false}} {
		if got := parse(t, tt.text, SHA1).Weak(); got != tt.want {
			t.Errorf("%d characters: weak is %v", len(tt.text), got)
		}
	}
}

func TestGenerate(t *testing.T) {
	for alg, characters := range map[Algorithm]int{SHA1: 32, SHA256: 52} {
		a, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		if a.Weak() || a.Equal(b) || len(a.Base32()) != characters {
			t.Errorf("%v: weak, twice the same or not %d characters", alg, characters)
		}
		if !a.Equal(parse(t, a.Base32(), alg)) {
			t.Errorf("%v: not what is parsed from its written form", alg)
		}
	}
}

func TestAlgorithm(t *testing.T) {
	for _, alg := range []Algorithm{SHA1, SHA256} {
		if got, err := ParseAlgorithm(alg.String()); got != alg || err != nil {
			t.Errorf("%v: parsed as %v, %v", alg, got, err)
		}
	}
	for _, s := range []string{"", "SHA1", "sha-1", "sha512", "unknown"} {
		want := fmt.Sprintf("bad algorithm %q: want sha1 or sha256", s)
		if got, err := ParseAlgorithm(s); got != SHA1 || message(err) != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	const none = Algorithm(2)
	const want = "bad algorithm 2: want SHA1 or SHA256"
	if s, err := ParseSecret([]byte(rfcSHA1), none); s != nil || message(err) != want {
		t.Errorf("ParseSecret: %v, %v", s, err)
	}
	if s, err := Generate(none); s != nil || message(err) != want {
		t.Errorf("Generate: %v, %v", s, err)
	}
	if none.String() != "unknown" {
		t.Error(none)
	}
}

func TestEqual(t *testing.T) {
	var none *Secret
	a := parse(t, rfcSHA1, SHA1)
	tests := []struct {
		name string
		a, b *Secret
		want bool
	}{
		{"itself", a, a, true},
		{"same", a, parse(t, strings.ToLower(rfcSHA1), SHA1), true},
		{"other algorithm", a, parse(t, rfcSHA1, SHA256), false},
		{"longer", a, parse(t, rfcSHA256, SHA1), false},
		{"other", a, parse(t, "A"+rfcSHA1[1:], SHA1), false},
		{"nil", a, nil, false},
		{"nil and other", nil, a, false},
		{"nil twice", none, nil, true},
	}
	for _, tt := range tests {
		if got := tt.a.Equal(tt.b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestWipe(t *testing.T) {
	s := parse(t, rfcSHA1, SHA1)
	s.Code(1)
	m := s.reveal()
	key := m.key
	s.Wipe()
	s.Wipe()
	(*Secret)(nil).Wipe()
	if !bytes.Equal(key, make([]byte, 20)) || m.sum != [32]byte{} || s.Base32() != "" {
		t.Error("something is left")
	}
	defer func() {
		if recover() == nil {
			t.Error("a wiped secret gives codes")
		}
	}()
	s.Code(1)
}

func TestSecretNeverPrintsItself(t *testing.T) {
	s := parse(t, rfcSHA1, SHA1)
	s.Code(1)
	type holder struct {
		Exported   *Secret
		unexported *Secret
		value      Secret
	}
	h := holder{s, s, *s}

	var out bytes.Buffer
	for _, verb := range []string{
		"%v", "%+v", "%#v", "%10v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%t", "%e",
	} {
		for _, v := range []any{s, *s} {
			if got := fmt.Sprintf(verb, v); got != redact.Text {
				t.Errorf("%s of a %T: %s", verb, v, got)
			}
		}
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", &h)
		fmt.Fprintf(&out, verb+"\n", []any{s, *s})
	}
	fmt.Fprintf(&out, "%p %T %v\n", s, s, (*Secret)(nil))
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("knock", "secret", s, "value", *s, "in", h, "none", (*Secret)(nil))
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"secret": s, "in": h}); err != nil {
		t.Fatal(err)
	}
	if s.String() != redact.Text {
		t.Errorf("String: %s", s.String())
	}
	start := []byte("1234") // of the secret
	leaks := []string{string(start), rfcSHA1[:6]}
	for _, verb := range []string{"%x", "%X", "% x", "% X", "%d", "%o", "%b", "%#v", "%U", "%q"} {
		leaks = append(leaks, strings.Trim(fmt.Sprintf(verb, start), `[]byte{}"`))
	}
	for _, leak := range leaks {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is printed", leak)
		}
	}
}
