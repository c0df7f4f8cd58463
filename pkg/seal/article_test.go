package seal

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// articleClear is the clear text that the article prints, with the padding.
var articleClear = []byte{192, 168, 10, 2, 0, 22, 6, 28, 109, 98, 114, 0, 0, 0, 0, 1}

func TestArticleClear(t *testing.T) {
	got, err := newArticle(t).Clear(mbr)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(articleClear, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The cipher text was made with "openssl enc -aes-128-ecb -nopad".
func TestArticleVector(t *testing.T) {
	a := newArticle(t)
	want := unhex(t, "3727b742c04ead976f415c43361d9786")
	got, err := a.Seal(mbr)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x, %v; want %x", got, err, want)
	}
	m, ok := a.Open(want)
	if diff := cmp.Diff(mbr, m, sameMessage); !ok || diff != "" {
		t.Errorf("%t (-want +got):\n%s", ok, diff)
	}
}

// encipher encrypts a clear text, which need not be a message.
func (a *Article) encipher(text []byte) []byte {
	b := slices.Clone(text)
	a.block.Encrypt(b, b)
	return b
}

func TestArticleOpenRefuses(t *testing.T) {
	a := newArticle(t)
	for _, c := range []struct{ name, text string }{
		{"bad protocol", "c0a80a02 0016 02 18 6d627200000000 01"},
		{"bad port of icmp", "c0a80a02 0016 01 17 6d627200000000 01"},
		{"bad port of tcp", "c0a80a02 0000 06 06 6d627200000000 01"},
		{"bad port of udp", "c0a80a02 0000 11 11 6d627200000000 01"},
		{"bad checksum", "c0a80a02 0016 06 1d 6d627200000000 01"},
		{"bad checksum of fwknop 1.9", "c0a80a02 0016 06 92 6d627200000000 01"},
		{"bad end", "c0a80a02 0016 06 1c 6d627200000000 00"},
		{"bad user behind NUL", "c0a80a02 0016 06 1c 6d620072000000 01"},
		{"bad control character", "c0a80a02 0016 06 1c 6d620a00000000 01"},
		{"bad letter", "c0a80a02 0016 06 1c 6d62ff00000000 01"},
	} {
		if m, ok := a.Open(a.encipher(unhex(t, c.text))); ok || m != (Message{}) {
			t.Errorf("%s: got %+v, %t", c.name, m, ok)
		}
	}
	block := a.encipher(articleClear)
	for _, b := range [][]byte{nil, {}, block[:15], append(block, 0)} {
		if _, ok := a.Open(b); ok {
			t.Errorf("opened %d bytes", len(b))
		}
	}
}

// Open detects a changed clear text except for the address, which the checksum does not
// cover, and for a user name that stays printable. A changed cipher text decrypts to
// random bytes, which are a message with a probability of about 2^-32; no changed bit of
// the example gives one.
func TestArticleFlips(t *testing.T) {
	a := newArticle(t)
	flips(slices.Clone(articleClear), func(bit int, text []byte) {
		_, ok := a.Open(a.encipher(text))
		address := bit < 4*8
		user := bit >= headLen*8 && bit < (headLen+len(mbr.User))*8 && printableUser(text[headLen:headLen+len(mbr.User)])
		nextOfUser := bit >= (headLen+len(mbr.User))*8 && bit < (headLen+len(mbr.User)+1)*8 && printable(text[headLen+len(mbr.User)])
		if want := address || user || nextOfUser; ok != want {
			t.Errorf("bit %d of the clear text: opened %t, want %t", bit, ok, want)
		}
	})
	flips(a.encipher(articleClear), func(bit int, b []byte) {
		if _, ok := a.Open(b); ok {
			t.Errorf("opened with bit %d of the cipher text wrong", bit)
		}
	})
}

func TestArticleRefusalAllocatesNothing(t *testing.T) {
	a := newArticle(t)
	for _, b := range [][]byte{
		make([]byte, ArticleLen),
		nil,
		a.encipher(unhex(t, "c0a80a02 0016 06 1c 6d620072000000 01")),
		a.encipher(unhex(t, "c0a80a02 0000 06 06 6d627200000000 01")),
	} {
		if n := testing.AllocsPerRun(100, func() { a.Open(b) }); n != 0 {
			t.Errorf("%x: %v allocations", b, n)
		}
	}
}
