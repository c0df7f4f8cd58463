package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/subtle"
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// perlPorts are the ports that the client of fwknop 1.9 sent with the key "fwknoptest".
var perlPorts = []uint16{
	61083, 61097, 61108, 61116, 61101, 61100, 61095, 61095,
	61053, 61251, 61064, 61213, 61063, 61090, 61053, 61030,
	61094, 61188, 61119, 61247, 61213, 61128, 61055, 61204,
	61221, 61076, 61100, 61093, 61111, 61102, 61245, 61036,
}

// perlMessage is its request.
var perlMessage = Message{Address: netip.MustParseAddr("127.0.0.2"), Protocol: 6, Port: 22, User: "mbr"}

func perlBytes() []byte {
	b := make([]byte, len(perlPorts))
	for i, port := range perlPorts {
		b[i] = byte(port - DefaultBase)
	}
	return b
}

func TestFwknop19Perl(t *testing.T) {
	f := newFwknop19(t)
	got, ok := f.Open(perlBytes())
	if diff := cmp.Diff(perlMessage, got, sameMessage); !ok || diff != "" {
		t.Fatalf("%t (-want +got):\n%s", ok, diff)
	}
	b, err := f.Seal(perlMessage, bytes.NewReader(perlBytes()[len(SaltMark):]))
	if err != nil {
		t.Fatal(err)
	}
	var ports []uint16
	for _, c := range b {
		ports = append(ports, OrderedPort(DefaultBase, c))
	}
	if diff := cmp.Diff(perlPorts, ports); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The cipher texts were made with "openssl enc -aes-256-cbc -md md5".
func TestFwknop19OpenSSL(t *testing.T) {
	for _, c := range []struct {
		name, key, salt, cipher string
		message                 Message
	}{
		{"no user", "fwknoptest", "ffeeddccbbaa9988", "9bcad0f7fac89f0f5fc5b9a36c6582c1",
			Message{Address: netip.MustParseAddr("192.168.10.2"), Protocol: 17, Port: 1194}},
		{"long user and key", "a-key-of-twenty-char", "0011223344556677", "533354b06809ca38a0c6686c739c9ea3",
			Message{Protocol: 1, User: "longuse"}},
	} {
		f := must[*Fwknop19](t)(NewFwknop19([]byte(c.key)))
		want := slices.Concat([]byte(SaltMark), unhex(t, c.salt), unhex(t, c.cipher))
		got, err := f.Seal(c.message, bytes.NewReader(unhex(t, c.salt)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %x, %v; want %x", c.name, got, err, want)
		}
		m, ok := f.Open(want)
		if diff := cmp.Diff(c.message, m, sameMessage); !ok || diff != "" {
			t.Errorf("%s: %t (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

// encipher encrypts a clear text of one block, its padding included.
func (f *Fwknop19) encipher(t testing.TB, salt, text []byte) []byte {
	var k keyIV
	f.derive(&k, salt)
	block, err := aes.NewCipher(k.key())
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Concat([]byte(SaltMark), salt, text)
	out := b[prefixLen:]
	subtle.XORBytes(out, out, k.iv())
	block.Encrypt(out, out)
	return b
}

func TestFwknop19OpenRefuses(t *testing.T) {
	f := newFwknop19(t)
	salt := perlBytes()[len(SaltMark):prefixLen]
	for _, c := range []struct{ name, text string }{
		{"bad protocol", "7f000002 0016 02 99 6d6272 0505050505"},
		{"bad port of icmp", "7f000002 0016 01 98 6d6272 0505050505"},
		{"bad port of tcp", "7f000002 0000 06 87 6d6272 0505050505"},
		{"bad checksum", "7f000002 0016 06 9e 6d6272 0505050505"},
		{"bad checksum of the article", "7f000002 0016 06 1c 6d6272 0505050505"},
		{"bad padding", "7f000002 0016 06 9d 6d6272 0505040505"},
		{"bad padding, too long", "7f000002 0016 06 09 0909090909090909"},
		{"bad padding, none", "7f000002 0016 06 9d 6d62726d62726d00"},
		{"bad padding, a block and more", "7f000002 0016 06 9d 6d62726d62726d11"},
		{"bad user padded with NUL", "7f000002 0016 06 9d 6d627200000000 01"},
		{"bad control character", "7f000002 0016 06 9d 6d620a 0505050505"},
		{"bad letter", "7f000002 0016 06 9d 6d62ff 0505050505"},
	} {
		if m, ok := f.Open(f.encipher(t, salt, unhex(t, c.text))); ok || m != (Message{}) {
			t.Errorf("%s: got %+v, %t", c.name, m, ok)
		}
	}
	b := perlBytes()
	for _, b := range [][]byte{nil, {}, b[:16], b[:31], append(b, 0), append(b, b...)} {
		if _, ok := f.Open(b); ok {
			t.Errorf("opened %d bytes", len(b))
		}
	}
	other := must[*Fwknop19](t)(NewFwknop19([]byte("fwknoptesu")))
	if _, ok := other.Open(b); ok {
		t.Error("opened with another key")
	}
}

// Open compares "Salted__". A changed bit of salt or block changes the whole clear text,
// which is a message with a probability of about 2^-32; no changed bit of this knock
// gives one.
func TestFwknop19Flips(t *testing.T) {
	f := newFwknop19(t)
	flips(perlBytes(), func(bit int, b []byte) {
		if _, ok := f.Open(b); ok {
			t.Errorf("opened with bit %d wrong", bit)
		}
		if Salted(b) != (bit >= 8*len(SaltMark)) {
			t.Errorf("bit %d: salted %t", bit, Salted(b))
		}
	})
}

func TestSalted(t *testing.T) {
	b := perlBytes()
	for n := range len(b) + 1 {
		if got, want := Salted(b[:n]), n >= 8; got != want {
			t.Errorf("%d bytes: got %t", n, got)
		}
	}
}

func TestFwknop19SealRandom(t *testing.T) {
	f := newFwknop19(t)
	wrong := errors.New("no randomness")
	if b, err := f.Seal(perlMessage, iotest.ErrReader(wrong)); b != nil || !errors.Is(err, wrong) {
		t.Errorf("got %x, %v", b, err)
	}
	if b, err := f.Seal(perlMessage, bytes.NewReader(make([]byte, 7))); b != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %x, %v", b, err)
	}
}

// Refusing bytes without "Salted__" does not allocate; others need a key schedule.
func TestFwknop19OpenAllocations(t *testing.T) {
	f := newFwknop19(t)
	if n := testing.AllocsPerRun(100, func() { f.Open(make([]byte, Fwknop19Len)) }); n != 0 {
		t.Errorf("without the mark: %v allocations", n)
	}
	b := perlBytes()
	b[31] ^= 1
	if n := testing.AllocsPerRun(100, func() { f.Open(b) }); n > 1 {
		t.Errorf("with the mark: %v allocations", n)
	}
}
