package totp

import (
	"strings"
	"testing"
)

// A parsed secret parses from its canonical form again, which differs from the text only
// in case, blanks, dashes, padding and spare bits.
func FuzzParseSecret(f *testing.F) {
	for _, text := range []string{
		rfcSHA1, rfcSHA256, sixteen + "======", "gezd gnbv-gy3t qojq gezd gnbv gy3t qojq\n",
		sixteen[:25] + "Z", "JBSWY3DPEHPK3PXP", "GEZDGNB0", "", "=",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		given := string(text)
		s, err := ParseSecret(text, SHA1)
		if string(text) != given {
			t.Fatal("the text was changed")
		}
		if err != nil {
			if s != nil {
				t.Fatal("a secret besides the error")
			}
			return
		}
		if bits := 8 * len(s.reveal().key); bits < minBits || bits > maxBits {
			t.Fatalf("%d bits", bits)
		}
		canonical := s.Base32()
		again, err := ParseSecret([]byte(canonical), SHA1)
		if err != nil || !again.Equal(s) || again.Base32() != canonical {
			t.Fatalf("canonical form does not read back: %v", err)
		}
		letters := strings.ToUpper(strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", "-", "", "=", "").Replace(given))
		last := len(canonical) - 1
		if len(letters) != len(canonical) || letters[:last] != canonical[:last] {
			t.Fatal("the canonical form is another")
		}
		if again.Code(1) != s.Code(1) {
			t.Fatal("the canonical form has other codes")
		}
	})
}

// What ParseCode reads are eight digits, which the lanes keep.
func FuzzParseCode(f *testing.F) {
	for _, s := range []string{"12345678", "1234 5678", "00000000", "99999999", "123456", "1234-5678", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		code, err := ParseCode(s)
		if err != nil {
			if code != 0 {
				t.Fatal("a code besides the error")
			}
			return
		}
		written := digits(code)
		if want := strings.NewReplacer(" ", "", "\t", "").Replace(s); written != want {
			t.Fatalf("%q is %s", s, written)
		}
		if again, err := ParseCode(written); err != nil || again != code || Join(Pairs(code)) != code {
			t.Fatalf("%s does not come back: %d, %v", written, again, err)
		}
	})
}
