package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tink-crypto/tink-go/v2/daead/subtle"
)

// The first answer of RFC 5297, whose short key only the oracle takes; the same with
// longer keys, as OpenSSL gives it; and number 426 of Wycheproof's aes_siv_cmac tests,
// its tag set right.
func TestKnownAnswers(t *testing.T) {
	for _, c := range []struct{ name, key, data, text, want string }{
		{
			"RFC 5297 A.1",
			"fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0 f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
			"101112131415161718191a1b1c1d1e1f2021222324252627",
			"112233445566778899aabbccddee",
			"85632d07c6e8f37f950acd320a2ecc93 40c02b9690c4dc04daef7f6afe5c",
		},
		{
			"longer keys",
			"fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0 6f6e6d6c6b6a69686766656463626160" +
				"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff 000102030405060708090a0b0c0d0e0f",
			"101112131415161718191a1b1c1d1e1f2021222324252627",
			"112233445566778899aabbccddee",
			"f125274c598065cfc26b0e7157502908 8b035217e380cac8919ee800c126",
		},
		{
			"Wycheproof",
			"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" +
				"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f",
			"",
			"303132333435363738393a3b3c3d3e3f40414243",
			"305d6cf8eeb36a37849710e7d1f72940 adfd10a7615d6515b999dbfc5a10f3ae9df5f19a",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, data, text, want := unhex(t, c.key), unhex(t, c.data), unhex(t, c.text), unhex(t, c.want)
			if got := oracle(t, key, data, text); !bytes.Equal(got, want) {
				t.Errorf("oracle: got %x, want %x", got, want)
			}
			if len(key) != subtle.AESSIVKeySize {
				return
			}
			aead := must[*subtle.AESSIV](t)(subtle.NewAESSIV(key))
			if got := must[[]byte](t)(aead.EncryptDeterministically(text, data)); !bytes.Equal(got, want) {
				t.Errorf("library: got %x, want %x", got, want)
			}
		})
	}
}

// sivVectors were made with OpenSSL's AES-SIV, HKDF, HMAC and Argon2id through
// Python's package cryptography.
var sivVectors = []struct {
	name, sealed string
	key          []byte
	passphrase   string
	message      Message
}{
	{
		name: "IPv4", key: counting(0, 64),
		sealed:  "f5eeba70cefc2bd1a954ba4a3d9a59ded91b286605182df3d45ffa0e2545f359882c485fcb55",
		message: mbr.at(opened),
	},
	{
		name: "IPv6", key: counting(0, 64),
		sealed:  "f5023872a1e4e2dc86c762f84c66e3de67cde6ae15c63a52460c4764484751935f0e5b686ff50e17f837084d2322ac23b01e",
		message: Message{netip.MustParseAddr("2001:db8::2"), 17, 1194, "longuser", opened},
	},
	{
		name: "sender, key of 32 bytes", key: counting(0x80, 32),
		sealed:  "4d80609fd119a5dc38889bb8ce5b9201e73330e44406e6aecf052fb7cffbb6399decd93f4db4",
		message: Message{netip.Addr{}, 1, 0, "", opened},
	},
	{
		name: "sender over IPv6 at the end of time", key: counting(0x80, 32),
		sealed:  "61271a1e6c9bb9fae9f8f1d11312f58ff41b56548c0e322ca9b8eb3e486c18dbf13be16033de9fafdf74ff978692d54b52be",
		message: Message{netip.IPv6Unspecified(), 6, 65535, "mbr", time.Unix(1<<32-1, 0).UTC()},
	},
	{
		name: "passphrase", passphrase: "correct horse battery staple",
		sealed:  "d3329e9b5b8c55efa4f5695ab64869b3e33ad3272c89f4b8b333695644610bd44da0c2f18ef8",
		message: Message{netip.Addr{}, 6, 22, "mbr", opened},
	},
}

func TestSIVVectors(t *testing.T) {
	for _, c := range sivVectors {
		t.Run(c.name, func(t *testing.T) {
			maker, key := NewSIV, c.key
			if c.passphrase != "" {
				maker, key = NewSIVPassphrase, []byte(c.passphrase)
			}
			s := must[*SIV](t)(maker(key))
			want := unhex(t, c.sealed)
			got, err := s.Seal(c.message)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("got %x, %v; want %x", got, err, want)
			}
			m, ok := s.Open(want)
			message := c.message
			message.Address = specified(message.Address)
			if diff := cmp.Diff(message, m, sameMessage); !ok || diff != "" {
				t.Errorf("%t (-want +got):\n%s", ok, diff)
			}
			if !s.Plausible(want, m.Time, m.Time) {
				t.Error("opened, and not plausible")
			}
		})
	}
}

func TestSIVAgreesWithOracle(t *testing.T) {
	for _, size := range []int{32, 64} {
		key := counting(7, size)
		s := must[*SIV](t)(NewSIV(key))
		long := key
		if size == 32 {
			long = must[[]byte](t)(hkdf.Key(sha256.New, key, nil, "nftknock siv 1 key", 64))
		}
		for _, addr := range []string{"203.0.113.9", "2001:db8::9"} {
			m := Message{netip.MustParseAddr(addr), 17, 51820, "someone", opened}
			want := oracle(t, long, []byte("nftknock siv 1"), must[[]byte](t)(s.Clear(m)))
			got := must[[]byte](t)(s.Seal(m))
			if !bytes.Equal(got[1:], want) {
				t.Errorf("%d, %s: got %x, want %x", size, addr, got[1:], want)
			}
		}
	}
}

func TestHint(t *testing.T) {
	for _, size := range []int{32, 64} {
		key := counting(7, size)
		s := must[*SIV](t)(NewSIV(key))
		for _, step := range []int64{0, 1, 59847380, 1 << 40} {
			h := hmac.New(sha256.New, key)
			h.Write([]byte("hint"))
			for shift := 56; shift >= 0; shift -= 8 {
				h.Write([]byte{byte(step >> shift)})
			}
			if got, want := s.Hint(step), h.Sum(nil)[0]; got != want {
				t.Errorf("%d bytes, step %d: got %#x, want %#x", size, step, got, want)
			}
		}
	}
}

func TestStep(t *testing.T) {
	for seconds, want := range map[int64]int64{0: 0, 29: 0, 30: 1, 1795421412: 59847380, 1795421399: 59847379} {
		if got := Step(time.Unix(seconds, 999)); got != want {
			t.Errorf("%d s: got %d, want %d", seconds, got, want)
		}
	}
}

func TestSIVTimes(t *testing.T) {
	s := newSIV(t)
	for _, bad := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<32, 0)} {
		if b, err := s.Seal(mbr.at(bad)); err == nil || b != nil {
			t.Errorf("%v: want an error alone", bad)
		}
	}
	got, ok := s.Open(must[[]byte](t)(s.Seal(mbr.at(opened.Add(999 * time.Millisecond)))))
	if diff := cmp.Diff(mbr.at(opened), got, sameMessage); !ok || diff != "" {
		t.Errorf("%t (-want +got):\n%s", ok, diff)
	}
}

func TestPlausibleWindow(t *testing.T) {
	s := newSIV(t)
	b := must[[]byte](t)(s.Seal(mbr.at(opened)))
	for _, c := range []struct {
		earliest, latest time.Duration
		want             bool
	}{
		{0, 0, true},
		{-time.Minute, time.Minute, true},
		{-time.Minute, 0, true},
		{0, time.Minute, true},
		{1, time.Minute, false},
		{-time.Minute, -1, false},
		{time.Minute, -time.Minute, false},
	} {
		if got := s.Plausible(b, opened.Add(c.earliest), opened.Add(c.latest)); got != c.want {
			t.Errorf("%v to %v: got %t", c.earliest, c.latest, got)
		}
	}
	other := must[*SIV](t)(NewSIV(counting(1, 64)))
	if other.Plausible(b, time.Unix(0, 0), time.Unix(1<<32, 0)) {
		t.Error("plausible with another key")
	}
	for n := range 64 {
		if n != SIVLen4 && n != SIVLen6 && s.Plausible(make([]byte, n), time.Time{}, opened) {
			t.Errorf("%d bytes are plausible", n)
		}
	}
}

func TestSIVFlips(t *testing.T) {
	s := newSIV(t)
	for _, addr := range []string{"203.0.113.9", "2001:db8::9"} {
		m := Message{netip.MustParseAddr(addr), 6, 22, "mbr", opened}
		b := must[[]byte](t)(s.Seal(m))
		flips(b, func(bit int, b []byte) {
			if got, ok := s.Open(b); ok || got != (Message{}) {
				t.Errorf("%s: opened with bit %d wrong", addr, bit)
			}
		})
		if _, ok := s.Open(b); !ok {
			t.Errorf("%s: not opened when all bits were right again", addr)
		}
	}
}

// authentic seals any clear text, with the hint of its time.
func (s *SIV) authentic(t testing.TB, text []byte) []byte {
	sealed := must[[]byte](t)(s.aead.EncryptDeterministically(text, []byte(label)))
	var start [sivAddress]byte
	copy(start[:], text)
	return append([]byte{s.Hint(Step(startTime(start)))}, sealed...)
}

// An authentic clear text that is not a message is refused.
func TestSIVOpenRefuses(t *testing.T) {
	s := newSIV(t)
	if _, ok := s.Open(s.authentic(t, unhex(t, "01 6b03c4a4 04 c0a80a02 06 0016 6d62720000000000"))); !ok {
		t.Error("not opened when nothing is bad")
	}
	for _, c := range []struct{ name, text string }{
		{"bad version", "02 6b03c4a4 04 c0a80a02 06 0016 6d62720000000000"},
		{"bad flag", "01 6b03c4a4 14 c0a80a02 06 0016 6d62720000000000"},
		{"bad family for its length", "01 6b03c4a4 06 c0a80a02 06 0016 6d62720000000000"},
		{"bad family for its length, IPv6", "01 6b03c4a4 04 20010db8000000000000000000000002 06 0016 6d62720000000000"},
		{"bad IPv4-mapped address", "01 6b03c4a4 06 00000000000000000000ffffc0a80a02 06 0016 6d62720000000000"},
		{"bad protocol", "01 6b03c4a4 04 c0a80a02 3a 0000 6d62720000000000"},
		{"bad port of tcp", "01 6b03c4a4 04 c0a80a02 06 0000 6d62720000000000"},
		{"bad port of icmp", "01 6b03c4a4 04 c0a80a02 01 0016 6d62720000000000"},
		{"bad user behind NUL", "01 6b03c4a4 04 c0a80a02 06 0016 6d62007200000000"},
		{"bad control character", "01 6b03c4a4 04 c0a80a02 06 0016 6d620a0000000000"},
		{"bad length", "01 6b03c4a4 04 c0a80a02 06 0016 6d627200000000"},
		{"bad, empty", ""},
	} {
		if m, ok := s.Open(s.authentic(t, unhex(t, c.text))); ok || m != (Message{}) {
			t.Errorf("%s: got %+v, %t", c.name, m, ok)
		}
	}
	b := must[[]byte](t)(s.Seal(mbr.at(opened)))
	for _, b := range [][]byte{nil, {}, b[:1], b[:37], append(slices.Clone(b), 0), make([]byte, 49), make([]byte, 51)} {
		if _, ok := s.Open(b); ok {
			t.Errorf("opened %d bytes", len(b))
		}
	}
	for _, key := range [][]byte{counting(1, 64), counting(0, 32)} {
		if _, ok := must[*SIV](t)(NewSIV(key)).Open(b); ok {
			t.Errorf("opened with another key of %d bytes", len(key))
		}
	}
}

func TestNewSIVCopies(t *testing.T) {
	key := counting(0, 64)
	s := must[*SIV](t)(NewSIV(key))
	clear(key)
	if _, ok := s.Open(unhex(t, sivVectors[0].sealed)); !ok {
		t.Error("the key changed with the bytes it was made of")
	}
}

func TestSIVAllocatesNothing(t *testing.T) {
	s := newSIV(t)
	good := must[[]byte](t)(s.Seal(mbr.at(opened)))
	bad := make([]byte, SIVLen6)
	for name, f := range map[string]func(){
		"Hint":                 func() { s.Hint(59847380) },
		"Plausible":            func() { s.Plausible(good, opened, opened) },
		"Plausible that isn't": func() { s.Plausible(bad, opened, opened) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// A name in UTF-8 is cut between two characters, so that what is left is a name.
func TestSIVUsersOfNoASCII(t *testing.T) {
	s, err := NewSIV(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]string{"müller": "müller", "abcdefgü": "abcdefg", "üüüü": "üüüü", "山田太郎": "山田"} {
		b, err := s.Seal(Message{Protocol: 6, Port: 22, User: user, Time: opened})
		if err != nil {
			t.Errorf("%q: %v", user, err)
			continue
		}
		if m, ok := s.Open(b); !ok || m.User != want {
			t.Errorf("%q opens as %q, %t, want %q", user, m.User, ok, want)
		}
	}
	// What Seal cannot return is refused, whoever has sealed it.
	text, err := s.Clear(Message{Protocol: 6, Port: 22, User: "mbr", Time: opened})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"m\xfcller", "a\u202e", "a\x00b"} {
		bad := slices.Concat(text[:len(text)-sivUserLen], make([]byte, sivUserLen))
		copy(bad[len(bad)-sivUserLen:], user)
		if _, ok := parseSIV(bad); ok {
			t.Errorf("%q: parsed", user)
		}
	}
}
