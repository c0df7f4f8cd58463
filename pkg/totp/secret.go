package totp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"hash"

	"nftknock/pkg/invalid"
	"nftknock/pkg/redact"
)

// The sizes of a secret, in bits.
const (
	minBits = 128 // RFC 4226, section 4, R6: "MUST be at least"
	okBits  = 160 // the same: recommended
	maxBits = 1024
)

// maxText is the length of the longest written form of a secret, in bytes: that of
// maxBits with a blank or dash after every character.
const maxText = 2 * (maxBits + 4) / 5

// Secret is the shared secret of one-time passwords. It is for one goroutine at a time,
// since Code changes its state.
type Secret struct {
	redact.Value
	// NB: reflection cannot see what a function refers to. Package fmt cannot call the
	// methods of a Secret in an unexported field, but it would print the fields of a
	// Secret there, and for some verbs follow a pointer in them.
	reveal func() *material
}

type material struct {
	algorithm Algorithm
	key       []byte
	mac       hash.Hash // HMAC with key; its pads are hashed already

	// Arguments of mac's methods are allocated on the heap; these are there already.
	counter [8]byte
	sum     [sha256.Size]byte
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseSecret reads a secret of 128 to 1024 bits in base32 (RFC 4648): upper or lower
// case, with or without padding, with blanks and dashes between the characters, and with
// blanks and newlines around it. Bits of the last character that do not fill a byte are
// ignored, as authenticators do, because some programs choose every character at random.
// The Secret shares no memory with text.
func ParseSecret(text []byte, alg Algorithm) (*Secret, error) {
	text = bytes.Trim(text, " \t\r\n")
	if len(text) > maxText {
		return nil, invalid.Newf(fmt.Sprintf("at most %d bits in base32", maxBits), "bad secret of %d characters", len(text))
	}
	scratch := make([]byte, len(text))
	defer clear(scratch)
	letters, err := appendLetters(scratch[:0], text)
	if err != nil {
		return nil, err
	}
	key := make([]byte, encoding.DecodedLen(len(letters)))
	if _, err := encoding.Decode(key, letters); err != nil {
		panic("totp: base32 of appendLetters does not decode")
	}
	s, err := newSecret(key, alg)
	if err != nil {
		clear(key)
		return nil, err
	}
	return s, nil
}

// appendLetters appends the base32 characters of a secret's written form, in upper case
// and without padding.
func appendLetters(letters, text []byte) ([]byte, error) {
	padding := 0
	for i, c := range text {
		switch {
		case c == ' ' || c == '\t' || c == '-':
			continue
		case c == '=':
			padding++
			continue
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case 'A' <= c && c <= 'Z' || '2' <= c && c <= '7':
		default:
			return nil, invalid.Newf("base32, the letters A to Z and the digits 2 to 7", "bad secret: character %d", i+1)
		}
		if padding > 0 {
			return nil, invalid.Newf("that at the end alone", `bad secret: character %d follows a "="`, i+1)
		}
		letters = append(letters, c)
	}
	if padding > 0 && (padding >= 8 || (len(letters)+padding)%8 != 0) {
		return nil, invalid.New(`bad secret: wrong number of "=" at its end`, "all of the padding or none")
	}
	// Groups of 2, 4, 5, 7 and 8 characters stand for 1 to 5 bytes. The decoder would
	// ignore the last character of other lengths.
	switch len(letters) % 8 {
	case 1, 3, 6:
		return nil, invalid.Newf("one more or one less", "bad secret of %d letters and digits: no base32 has so many", len(letters))
	}
	return letters, nil
}

// Generate makes a random secret of the length of the algorithm's hash, as RFC 6238,
// section 5.1 recommends: 160 bits for SHA1, 256 for SHA256.
func Generate(alg Algorithm) (*Secret, error) {
	newHash, err := alg.hash()
	if err != nil {
		return nil, err
	}
	key := make([]byte, newHash().Size())
	rand.Read(key) // never returns an error: it crashes the program instead
	return newSecret(key, alg)
}

// newSecret makes a Secret that owns key.
func newSecret(key []byte, alg Algorithm) (*Secret, error) {
	newHash, err := alg.hash()
	if err != nil {
		return nil, err
	}
	switch bits := 8 * len(key); {
	case bits < minBits:
		return nil, invalid.Newf(fmt.Sprintf("%d or more", minBits), "bad secret of %d bits", bits)
	case bits > maxBits:
		return nil, invalid.Newf(fmt.Sprintf("at most %d", maxBits), "bad secret of %d bits", bits)
	}
	mac := hmac.New(newHash, key)
	// The first Reset saves the state after the pads (crypto/internal/fips140/hmac).
	// Later ones restore it instead of hashing the pads again.
	mac.Reset()
	m := &material{algorithm: alg, key: key, mac: mac}
	return &Secret{reveal: func() *material { return m }}, nil
}

// Clone returns a Secret of the same bytes for another goroutine. The two share no
// memory, and each must be wiped.
func (s *Secret) Clone() *Secret {
	m := s.reveal()
	c, err := newSecret(bytes.Clone(m.key), m.algorithm)
	if err != nil {
		panic("totp: clone: " + err.Error()) // newSecret has accepted these arguments before
	}
	return c
}

// Derive returns 32 bytes that depend on the secret and do not reveal it: the HMAC-SHA256
// of a label. Secrets of the same bytes have the same, whatever their algorithm.
func (s *Secret) Derive(label string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, s.reveal().key)
	mac.Write([]byte(label))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Weak reports whether the secret is shorter than the 160 bits that RFC 4226
// recommends.
func (s *Secret) Weak() bool { return 8*len(s.reveal().key) < okBits }

// Base32 returns the written form, in upper case and without blanks or padding. It is
// for showing a new secret to its owner. The string cannot be wiped.
func (s *Secret) Base32() string { return encoding.EncodeToString(s.reveal().key) }

// Equal reports whether two secrets have the same bytes and algorithm, and so the same
// codes. Its time depends only on their lengths. A nil Secret equals only nil.
func (s *Secret) Equal(other *Secret) bool {
	if s == nil || other == nil {
		return s == other
	}
	a, b := s.reveal(), other.reveal()
	return subtle.ConstantTimeCompare(a.key, b.key) == 1 && a.algorithm == b.algorithm
}

// Wipe zeroes the bytes of the secret and drops the HMAC, whose memory cannot be zeroed.
// After it Code panics. It does nothing if s is nil.
func (s *Secret) Wipe() {
	if s == nil {
		return
	}
	m := s.reveal()
	clear(m.key)
	clear(m.sum[:])
	m.key, m.mac = nil, nil
}
