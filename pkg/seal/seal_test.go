package seal

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// sameMessage compares messages; the zero Addr equals itself.
var sameMessage = cmpopts.EquateComparable(netip.Addr{})

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newArticle(t testing.TB) *Article {
	return must[*Article](t)(NewArticle([]byte("articlekey")))
}

func newFwknop19(t testing.TB) *Fwknop19 {
	return must[*Fwknop19](t)(NewFwknop19([]byte("fwknoptest")))
}

// counting returns n bytes that count up from a first one.
func counting(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func newSIV(t testing.TB) *SIV { return must[*SIV](t)(NewSIV(counting(0, 64))) }

// opened is the time of the messages in these tests.
var opened = time.Unix(1795421412, 0).UTC()

// mbr is the message of the article's example.
var mbr = Message{Address: netip.MustParseAddr("192.168.10.2"), Protocol: 6, Port: 22, User: "mbr"}

// at returns the message with another time.
func (m Message) at(t time.Time) Message {
	m.Time = t
	return m
}

// sealers are the three encodings behind one interface.
func sealers(t testing.TB) map[string]func(Message) ([]byte, error) {
	return map[string]func(Message) ([]byte, error){
		"article":    newArticle(t).Seal,
		"fwknop-1.9": func(m Message) ([]byte, error) { return newFwknop19(t).Seal(m, rand.Reader) },
		"siv":        newSIV(t).Seal,
	}
}

func TestSealRefuses(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::2")
	for _, c := range []struct {
		name    string
		message Message
		err     string
		not     string // the encoding that accepts it
	}{
		{"protocol", Message{Protocol: 58, Time: opened}, "bad protocol 58", ""},
		{"no protocol", Message{Port: 22, Time: opened}, "bad protocol 0", ""},
		{"tcp without port", Message{Protocol: 6, Time: opened}, "bad port 0", ""},
		{"icmp with port", Message{Protocol: 1, Port: 22, Time: opened}, "bad port 22", ""},
		{"control character in user", Message{Protocol: 1, User: "a\nb", Time: opened}, "bad user", ""},
		{"NUL in user", Message{Protocol: 1, User: "a\x00", Time: opened}, "bad user", ""},
		{"user beyond ASCII", Message{Protocol: 1, User: "jörg", Time: opened}, "bad user", "siv"},
		{"user of Latin-1", Message{Protocol: 1, User: "j\xf6rg", Time: opened}, "bad user", ""},
		{"mark of direction in user", Message{Protocol: 1, User: "a\u202eb", Time: opened}, "bad user", ""},
		{"IPv6", Message{Address: v6, Protocol: 1, Time: opened}, "bad address 2001:db8::2", "siv"},
		{"zone", Message{Address: v6.WithZone("eth0"), Protocol: 1, Time: opened}, "bad address 2001:db8::2%eth0", ""},
	} {
		for name, seal := range sealers(t) {
			b, err := seal(c.message)
			if name == c.not {
				if err != nil {
					t.Errorf("%s of %s: %v", name, c.name, err)
				}
				continue
			}
			if err == nil || b != nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s of %s: got %x, %v; want %q", name, c.name, b, err, c.err)
			}
		}
	}
}

func TestKeySizes(t *testing.T) {
	makers := map[string]func([]byte) (any, error){
		"article":    func(k []byte) (any, error) { return NewArticle(k) },
		"fwknop-1.9": func(k []byte) (any, error) { return NewFwknop19(k) },
		"siv":        func(k []byte) (any, error) { return NewSIV(k) },
		"siv phrase": func(k []byte) (any, error) { return NewSIVPassphrase(k) },
	}
	for name, ok := range map[string][]int{
		"article":    {8, 15},
		"fwknop-1.9": {8, 15, 16, 40},
		"siv":        {32, 64},
		"siv phrase": {8},
	} {
		for _, n := range ok {
			if _, err := makers[name](counting('0', n)); err != nil {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
	}
	for name, bad := range map[string][]int{
		"article":    {0, 7, 16},
		"fwknop-1.9": {0, 7},
		"siv":        {0, 16, 31, 33, 48, 63, 65},
		"siv phrase": {0, 7},
	} {
		for _, n := range bad {
			if _, err := makers[name](counting('0', n)); err == nil {
				t.Errorf("%s of %d bytes: want an error", name, n)
			} else if strings.Contains(err.Error(), "0123") {
				t.Errorf("%s: the error shows the key", name)
			}
		}
	}
}

// A sealed message opens as the same message, except for fields that the encoding cuts
// or leaves out.
func TestRoundTrip(t *testing.T) {
	a, f, s := newArticle(t), newFwknop19(t), newSIV(t)
	for _, m := range []Message{
		mbr,
		{Protocol: 1},
		{Protocol: 17, Port: 65535, User: "seven77"},
		{Protocol: 6, Port: 1, User: "eight888"},
		{Protocol: 6, Port: 256, User: "more than any holds"},
		{Address: netip.MustParseAddr("255.255.255.255"), Protocol: 17, Port: 1194, User: "~ ~"},
	} {
		m.Time = opened
		short := m.at(time.Time{})
		short.User = cutUser(m.User, 7)
		got, ok := a.Open(must[[]byte](t)(a.Seal(m)))
		if diff := cmp.Diff(short, got, sameMessage); !ok || diff != "" {
			t.Errorf("article %+v: %t (-want +got):\n%s", m, ok, diff)
		}
		got, ok = f.Open(must[[]byte](t)(f.Seal(m, rand.Reader)))
		if diff := cmp.Diff(short, got, sameMessage); !ok || diff != "" {
			t.Errorf("fwknop-1.9 %+v: %t (-want +got):\n%s", m, ok, diff)
		}
		m.User = cutUser(m.User, 8)
		got, ok = s.Open(must[[]byte](t)(s.Seal(m)))
		if diff := cmp.Diff(m, got, sameMessage); !ok || diff != "" {
			t.Errorf("siv %+v: %t (-want +got):\n%s", m, ok, diff)
		}
	}
}

// Several addresses stand for the sender of the packets, and two forms for an IPv4
// address.
func TestAddressForms(t *testing.T) {
	for in, want := range map[netip.Addr]netip.Addr{
		{}:                                     {},
		netip.IPv4Unspecified():                {},
		netip.MustParseAddr("::ffff:0:0"):      {},
		netip.MustParseAddr("::ffff:10.1.2.3"): netip.MustParseAddr("10.1.2.3"),
	} {
		m := Message{Address: in, Protocol: 1, Time: opened}
		a, f, s := newArticle(t), newFwknop19(t), newSIV(t)
		for name, open := range map[string]func() (Message, bool){
			"article":    func() (Message, bool) { return a.Open(must[[]byte](t)(a.Seal(m))) },
			"fwknop-1.9": func() (Message, bool) { return f.Open(must[[]byte](t)(f.Seal(m, rand.Reader))) },
			"siv":        func() (Message, bool) { return s.Open(must[[]byte](t)(s.Seal(m))) },
		} {
			if got, ok := open(); !ok || got.Address != want {
				t.Errorf("%s of %v: got %v, %t", name, in, got.Address, ok)
			}
		}
	}
}

func TestQuiet(t *testing.T) {
	for _, v := range []any{newArticle(t), newFwknop19(t), newSIV(t)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[secret]" {
				t.Errorf("%s of %T: got %q", verb, v, got)
			}
		}
	}
}

func TestWipe(t *testing.T) {
	f := newFwknop19(t)
	seed := f.seed
	f.Wipe()
	s := newSIV(t)
	key := s.key
	s.Wipe()
	for _, b := range [][]byte{seed, key} {
		for _, c := range b {
			if c != 0 {
				t.Fatal("bytes of a key are left")
			}
		}
	}
	a := newArticle(t)
	a.Wipe()
	if a.block != nil || s.ctr != nil || s.aead != nil || s.hints != nil {
		t.Error("a cipher is left")
	}
}

// flips calls f once per bit of b, with that bit inverted.
func flips(b []byte, f func(bit int, b []byte)) {
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		f(bit, b)
		b[bit/8] ^= 1 << (bit % 8)
	}
}
