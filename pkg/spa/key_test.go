package spa

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
)

func TestParseHash(t *testing.T) {
	for s, want := range map[string]Hash{
		"md5": MD5, "MD5": MD5, "sha1": SHA1, "SHA256": SHA256, "Sha384": SHA384, "sha512": SHA512,
		"sha3-256": SHA3_256, "SHA3_256": SHA3_256, "sha3_512": SHA3_512, "sha3-512": SHA3_512,
	} {
		h, err := ParseHash(s)
		if err != nil || h != want {
			t.Errorf("%q is %v, error %v, want %v", s, h, err, want)
		}
		if again, err := ParseHash(h.String()); err != nil || again != h {
			t.Errorf("%v is read back as %v, error %v", h, again, err)
		}
	}
	for _, s := range []string{"", "sha", "sha-256", "sha3", "sha3256", "unknown", " md5"} {
		if h, err := ParseHash(s); err == nil || h != 0 {
			t.Errorf("%q is %v, want an error", s, h)
		}
	}
	if s := Hash(0).String() + Hash(8).String(); s != "unknownunknown" {
		t.Errorf("no hash is %q", s)
	}
}

func TestParseCipher(t *testing.T) {
	for s, want := range map[string]Cipher{"cbc": CBC, "CBC": CBC, "legacy": Legacy, "Legacy": Legacy} {
		c, err := ParseCipher(s)
		if err != nil || c != want || c.String() != strings.ToLower(s) {
			t.Errorf("%q is %v, error %v, want %v", s, c, err, want)
		}
	}
	for _, s := range []string{"", "cfb", "ofb", "ctr", "ecb", "asymmetric", "unknown"} {
		if c, err := ParseCipher(s); err == nil || c != 0 {
			t.Errorf("%q is %v, want an error", s, c)
		}
	}
	if s := Cipher(2).String(); s != "unknown" {
		t.Errorf("no cipher is %q", s)
	}
}

func TestBadKeys(t *testing.T) {
	long := make([]byte, 129)
	for _, c := range []Config{
		{},
		{Key: long[:33]},
		{Key: long[:33], Cipher: Legacy},
		{Key: long[:1], Cipher: 2},
		{Key: long[:1], HMACKey: []byte{}, HMAC: SHA256},
		{Key: long[:1], HMACKey: long, HMAC: SHA256},
		{Key: long[:1], HMACKey: long[:1]},
		{Key: long[:1], HMACKey: long[:1], HMAC: SHA3_512 + 1},
	} {
		if k, err := NewKey(c); err == nil || k != nil {
			t.Errorf("a key of %d bytes, cipher %v, HMAC key of %d, %v: made, error %v",
				len(c.Key), c.Cipher, len(c.HMACKey), c.HMAC, err)
		}
	}
}

func TestNewKeyKeepsNothing(t *testing.T) {
	v, _ := vectorNamed(t, "v1")
	c := keyed(SHA256)
	k := newKey(t, c)
	clear(c.Key)
	clear(c.HMACKey)
	if _, _, err := k.Open([]byte(v.payload)); err != nil {
		t.Error(err)
	}
}

func TestPlausible(t *testing.T) {
	v, _ := vectorNamed(t, "v1")
	middle := func(c string) string { return v.payload[:100] + c + v.payload[101:] }
	for name, payload := range map[string]string{
		"empty":                 "",
		"139":                   "8" + strings.Repeat("A", 138),
		"141, of no kind":       "8" + strings.Repeat("A", 140),
		"1501":                  "8" + strings.Repeat("A", 1500),
		"1516, of whole blocks": "8" + strings.Repeat("A", 1515),
		"other beginning":       "A" + v.payload[1:],
		"prefix":                prefix + v.payload,
		"=":                     middle("="),
		"-":                     middle("-"),
		"line end":              middle("\n"),
		"NUL":                   middle("\x00"),
		"no ASCII":              middle("\xff"),
		"= at the end":          v.payload[:len(v.payload)-1] + "=",
		"= at the beginning":    "=" + v.payload[1:],
	} {
		if Plausible([]byte(payload)) {
			t.Errorf("%s: plausible", name)
		}
	}
	for _, c := range []string{"8", "9", "+", "/"} {
		if payload := c + v.payload[1:]; !Plausible([]byte(payload)) {
			t.Errorf("not plausible: %s", payload)
		}
	}
}

// The lengths are those of any number of blocks and any HMAC.
func TestPlausibleLengths(t *testing.T) {
	want := map[int]bool{}
	for blocks := 1; blocks < 100; blocks++ {
		n := b64.EncodedLen(len(magic)+saltLen+16*blocks) - len(prefix)
		want[n] = true
		for _, h := range hashesAll {
			want[n+h.textLen()] = true
		}
	}
	payload := []byte("/" + strings.Repeat("A", 1999))
	for n := range payload {
		if got := Plausible(payload[:n]); got != (want[n] && n >= 140 && n <= 1500) {
			t.Errorf("length %d: %v", n, got)
		}
	}
}

func TestAuthenticWantsTheLengthOfItsHash(t *testing.T) {
	for _, v := range vectors {
		k := newKey(t, v.config)
		for n := range v.payload {
			if k.Authentic([]byte(v.payload[:n])) != (k.mac == nil) {
				t.Errorf("%s: first %d bytes", v.name, n)
			}
		}
	}
}

func TestKeysAreForManyGoroutines(t *testing.T) {
	v, k := vectorNamed(t, "v1")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, _, err := k.Open([]byte(v.payload)); err != nil {
					t.Error(err)
				}
				if _, err := k.Seal(v.message, rand.Reader); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRefusingAllocatesNothing(t *testing.T) {
	v, _ := vectorNamed(t, "v1")
	payload := []byte(v.payload)
	junk := []byte(strings.Repeat("A", len(payload)))
	if n := testing.AllocsPerRun(1000, func() { Plausible(payload); Plausible(junk) }); n != 0 {
		t.Errorf("Plausible: %v allocations", n)
	}
	for _, h := range hashesAll {
		c := keyed(h)
		good, err := newKey(t, c).Seal(v.message, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k := newKey(t, c)
		c.HMACKey[0] ^= 1
		// One packet a run: the race detector has pools lose some workers.
		for name, k := range map[string]*Key{"valid": k, "invalid": newKey(t, c)} {
			if n := testing.AllocsPerRun(1000, func() {
				if k.Authentic(good) != (name == "valid") {
					t.Error("wrong answer")
				}
			}); n != 0 {
				t.Errorf("%v, %s: %v allocations", h, name, n)
			}
		}
	}
}
