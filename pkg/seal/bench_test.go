package seal

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func BenchmarkSIVOpen(b *testing.B) {
	s := newSIV(b)
	v6 := mbr.at(opened)
	v6.Address = netip.MustParseAddr("2001:db8::2")
	for _, c := range []struct {
		name    string
		message Message
		ok      bool
	}{
		{"IPv4", mbr.at(opened), true},
		{"IPv6", v6, true},
		{"wrong", mbr.at(opened), false},
	} {
		b.Run(c.name, func(b *testing.B) {
			sealed := must[[]byte](b)(s.Seal(c.message))
			if !c.ok {
				sealed[len(sealed)-1] ^= 1
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := s.Open(sealed); ok != c.ok {
					b.Fatal(ok)
				}
			}
		})
	}
}

func BenchmarkSIVSeal(b *testing.B) {
	s := newSIV(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(mbr.at(opened)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSIVPlausible(b *testing.B) {
	s := newSIV(b)
	sealed := must[[]byte](b)(s.Seal(mbr.at(opened)))
	wrong := slices.Clone(sealed)
	wrong[hintLen] ^= 1
	for _, c := range []struct {
		name   string
		sealed []byte
		ok     bool
	}{{"right", sealed, true}, {"wrong", wrong, false}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if s.Plausible(c.sealed, opened.Add(-time.Minute), opened.Add(time.Minute)) != c.ok {
					b.Fatal(!c.ok)
				}
			}
		})
	}
}

func BenchmarkSIVHint(b *testing.B) {
	s := newSIV(b)
	b.ReportAllocs()
	for b.Loop() {
		s.Hint(59847380)
	}
}

func BenchmarkNewSIV(b *testing.B) {
	key := counting(0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewSIV(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewSIVPassphrase(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := NewSIVPassphrase([]byte("correct horse")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkArticleOpenWrong(b *testing.B) {
	a := newArticle(b)
	wrong := make([]byte, ArticleLen)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := a.Open(wrong); ok {
			b.Fatal("opened")
		}
	}
}

func BenchmarkFwknop19OpenWrong(b *testing.B) {
	f := newFwknop19(b)
	wrong := perlBytes()
	wrong[31] ^= 1
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := f.Open(wrong); ok {
			b.Fatal("opened")
		}
	}
}
