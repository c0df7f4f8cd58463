package seal

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// The targets fuzz clear texts, which a fuzzer could not hit through a cipher, and
// whatever bytes beside them.

// FuzzArticleOpen: what opens is sealed to the same bytes again, what does not is no
// message at all.
func FuzzArticleOpen(f *testing.F) {
	a := newArticle(f)
	f.Add(articleClear)
	f.Add(must[[]byte](f)(a.Clear(Message{Protocol: 1, User: "seven77"})))
	f.Add(must[[]byte](f)(a.Seal(mbr)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, ok := a.Open(text); !ok && m != (Message{}) {
			t.Errorf("refused, and gave %+v", m)
		}
		if len(text) != ArticleLen {
			return
		}
		b := a.encipher(text)
		m, ok := a.Open(b)
		if !ok {
			if m != (Message{}) {
				t.Errorf("refused, and gave %+v", m)
			}
			return
		}
		if again, err := a.Seal(m); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%+v: sealed again %x, %v; was %x", m, again, err, b)
		}
	})
}

// FuzzFwknop19Open: as FuzzArticleOpen, with the same salt.
func FuzzFwknop19Open(f *testing.F) {
	k := newFwknop19(f)
	salt := perlBytes()[len(SaltMark):prefixLen]
	f.Add(salt, unhex(f, "7f000002 0016 06 9d 6d6272 0505050505"))
	f.Add(salt, unhex(f, "00000000 0000 01 01 6c6f6e67757365 01"))
	f.Add(salt, unhex(f, "00000000 0000 01 01 0808080808080808"))
	f.Add([]byte{}, perlBytes())
	f.Fuzz(func(t *testing.T, salt, text []byte) {
		if m, ok := k.Open(text); !ok && m != (Message{}) {
			t.Errorf("refused, and gave %+v", m)
		}
		if len(salt) != saltLen || len(text) != Fwknop19Len-prefixLen {
			return
		}
		b := k.encipher(t, salt, text)
		m, ok := k.Open(b)
		if !ok {
			if m != (Message{}) {
				t.Errorf("refused, and gave %+v", m)
			}
			return
		}
		if again, err := k.Seal(m, bytes.NewReader(salt)); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%+v: sealed again %x, %v; was %x", m, again, err, b)
		}
	})
}

// FuzzSIVOpen: what opens is plausible when its time is, and is sealed to the same
// bytes again; anything flipped makes it neither message nor open.
func FuzzSIVOpen(f *testing.F) {
	s := newSIV(f)
	for _, v := range sivVectors {
		f.Add(must[[]byte](f)(s.Clear(v.message)), uint16(0), byte(0))
		f.Add(unhex(f, v.sealed), uint16(3), byte(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint16, flip byte) {
		if m, ok := s.Open(text); !ok && m != (Message{}) {
			t.Errorf("refused, and gave %+v", m)
		}
		if len(text) > SIVLen6 {
			return
		}
		b := s.authentic(t, text)
		wrong := slices.Clone(b)
		wrong[int(at)%len(b)] ^= flip
		if m, ok := s.Open(wrong); flip != 0 && (ok || m != (Message{})) {
			t.Errorf("opened %x, changed from %x", wrong, b)
		}
		m, ok := s.Open(b)
		if !ok {
			if m != (Message{}) {
				t.Errorf("refused, and gave %+v", m)
			}
			return
		}
		if !s.Plausible(b, m.Time, m.Time) || s.Plausible(b, m.Time.Add(time.Second), m.Time.Add(time.Minute)) {
			t.Errorf("%x: plausible at other times than its own", b)
		}
		if !m.Address.IsValid() && len(b) == SIVLen6 {
			return // sealed again it is an IPv4 message
		}
		if again, err := s.Seal(m); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%+v: sealed again %x, %v; was %x", m, again, err, b)
		}
	})
}
