package totp

import (
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"testing"
	"time"
)

// The secrets of RFC 6238 appendix B; the first is that of RFC 4226 too.
var (
	rfcSHA1   = base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))
	rfcSHA256 = base32.StdEncoding.EncodeToString([]byte("12345678901234567890123456789012"))
)

func parse(t testing.TB, text string, alg Algorithm) *Secret {
	t.Helper()
	s, err := ParseSecret([]byte(text), alg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// digits writes a code as authenticators show it.
func digits(code uint32) string { return fmt.Sprintf("%08d", code) }

func TestCodesOfRFC6238(t *testing.T) {
	tests := []struct {
		unix         int64
		step         int64
		sha1, sha256 string
	}{
		{59, 0x1, "94287082", "46119246"},
		{1111111109, 0x23523EC, "07081804", "68084774"},
		{1111111111, 0x23523ED, "14050471", "67062674"},
		{1234567890, 0x273EF07, "89005924", "91819424"},
		{2000000000, 0x3F940AA, "69279037", "90698825"},
		{20000000000, 0x27BC86AA, "65353130", "77737706"},
	}
	sha1, sha256 := parse(t, rfcSHA1, SHA1), parse(t, rfcSHA256, SHA256)
	for _, tt := range tests {
		step := Step(time.Unix(tt.unix, 0))
		if step != tt.step {
			t.Errorf("%d: step %#x, want %#x", tt.unix, step, tt.step)
		}
		if got := digits(sha1.Code(step)); got != tt.sha1 {
			t.Errorf("%d: sha1 %s, want %s", tt.unix, got, tt.sha1)
		}
		if got := digits(sha256.Code(step)); got != tt.sha256 {
			t.Errorf("%d: sha256 %s, want %s", tt.unix, got, tt.sha256)
		}
	}
}

// RFC 4226, appendix D lists the whole number; the code is its last digits.
func TestCodesOfRFC4226(t *testing.T) {
	s := parse(t, rfcSHA1, SHA1)
	for step, whole := range []uint32{
		1284755224, 1094287082, 137359152, 1726969429, 1640338314,
		868254676, 1918287922, 82162583, 673399871, 645520489,
	} {
		if got := s.Code(int64(step)); got != whole%100_000_000 {
			t.Errorf("step %d: %d, want the end of %d", step, got, whole)
		}
	}
}

// The example of RFC 4226 section 5.4.
func TestTruncationOfRFC4226(t *testing.T) {
	sum, err := hex.DecodeString("1f8698690e02ca16618550ef7f19da8e945b555a")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := truncate(sum), uint32(0x50ef7f19%100_000_000); got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func TestStepIsTheFloor(t *testing.T) {
	for _, tt := range []struct{ milliseconds, step int64 }{
		{0, 0}, {29_999, 0}, {30_000, 1}, {59_999, 1}, {60_000, 2},
		{-1, -1}, {-30_000, -1}, {-30_001, -2},
	} {
		if got := Step(time.UnixMilli(tt.milliseconds)); got != tt.step {
			t.Errorf("%d ms: step %d, want %d", tt.milliseconds, got, tt.step)
		}
	}
}

func TestCodeDoesNotAllocate(t *testing.T) {
	for _, s := range []*Secret{parse(t, rfcSHA1, SHA1), parse(t, rfcSHA256, SHA256)} {
		step := int64(0)
		if n := testing.AllocsPerRun(1000, func() { s.Code(step); step++ }); n != 0 {
			t.Errorf("%v: %v allocations", s.reveal().algorithm, n)
		}
	}
}

func TestCodesDependOnEveryBitOfTheSecret(t *testing.T) {
	for _, alg := range []Algorithm{SHA1, SHA256} {
		key := []byte("12345678901234567890")
		const steps = 3 // a collision in all is one in 10^24
		codes := func() (c [steps]uint32) {
			s := parse(t, base32.StdEncoding.EncodeToString(key), alg)
			for i := range c {
				c[i] = s.Code(int64(i))
			}
			return c
		}
		want := codes()
		for bit := range 8 * len(key) {
			key[bit/8] ^= 1 << (bit % 8)
			if codes() == want {
				t.Errorf("%v: bit %d does not matter", alg, bit)
			}
			key[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestParseCode(t *testing.T) {
	tests := []struct {
		in   string
		want uint32
		err  string
	}{
		{"12345678", 12345678, ""},
		{"1234 5678", 12345678, ""},
		{" 12 34\t56 78 ", 12345678, ""},
		{"00000000", 0, ""},
		{"00000042", 42, ""},
		{"99999999", 99999999, ""},
		{"", 0, `bad code of 0 digits: want eight, as in "1234 5678"`},
		{"123 456", 0, `bad code of 6 digits: want eight, as in "1234 5678"`},
		{"123456789", 0, `bad code of 9 digits: want eight, as in "1234 5678"`},
		{"99999999999999999999", 0, `bad code of 20 digits: want eight, as in "1234 5678"`},
		{"1234-5678", 0, `bad code: not digits alone: want eight, as in "1234 5678"`},
		{"+1234567", 0, `bad code: not digits alone: want eight, as in "1234 5678"`},
		{"١٢٣٤٥٦٧٨", 0, `bad code: not digits alone: want eight, as in "1234 5678"`},
		{"12345678\n", 0, `bad code: not digits alone: want eight, as in "1234 5678"`},
	}
	for _, tt := range tests {
		got, err := ParseCode(tt.in)
		if message(err) != tt.err || got != tt.want {
			t.Errorf("%q: %d, %v; want %d, %s", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
