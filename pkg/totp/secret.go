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
	minBits = 128 // RFC 4226 section 4, R6: must
	okBits  = 160 // the same: recommended
	maxBits = 1024
)

// maxText bounds the written form of a secret, in bytes: the longest with a
// blank or dash behind every character.
const maxText = 2 * (maxBits + 4) / 5

// Secret is what the two sides of a one-time password share. It is used by one
// goroutine at a time, for it holds the state that Code works with.
type Secret struct {
	redact.Value
	// NB: a function hides what it holds from reflection. Package fmt cannot
	// call the methods of a Secret in an unexported field, and for a verb that
	// does not fit follows even a pointer there.
	reveal func() *material
}

type material struct {
	algorithm Algorithm
	key       []byte
	mac       hash.Hash // has the key's pads hashed already

	// What is passed to mac's methods escapes to the heap; it is there already.
	counter [8]byte
	sum     [sha256.Size]byte
}

var encoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// ParseSecret reads base32 (RFC 4648) as people write it: in any case, with or
// without its padding, blanks and dashes between the characters, and blanks and
// line ends around the whole. It is 128 to 1024 bits. Bits of the last
// character that fill no byte are ignored, as authenticators do, for some
// programs draw every character at random. The Secret shares no memory with text.
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

// appendLetters appends the base32 characters of a secret's written form, in
// upper case and without padding. A length that base32 does not have is an
// error, for the decoder would drop its last characters.
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
	switch len(letters) % 8 {
	case 1, 3, 6:
		return nil, invalid.Newf("one more or one less", "bad secret of %d letters and digits: no base32 has so many", len(letters))
	}
	return letters, nil
}

// Generate makes a secret of as many random bits as the algorithm's hash has, as
// RFC 6238 section 5.1 recommends: 160 for SHA1, 256 for SHA256.
func Generate(alg Algorithm) (*Secret, error) {
	newHash, err := alg.hash()
	if err != nil {
		return nil, err
	}
	key := make([]byte, newHash().Size())
	rand.Read(key) // crashes the program rather than fail
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
	mac.Reset() // only here does it begin to keep the state behind the pads
	m := &material{algorithm: alg, key: key, mac: mac}
	return &Secret{reveal: func() *material { return m }}, nil
}

// Clone gives a Secret of the same bytes for another goroutine. They share no
// memory: each is wiped by itself.
func (s *Secret) Clone() *Secret {
	m := s.reveal()
	c, err := newSecret(bytes.Clone(m.key), m.algorithm)
	if err != nil {
		panic("totp: clone: " + err.Error()) // it was good before
	}
	return c
}

// Derive gives 32 bytes that are the secret's own and tell nothing of it:
// HMAC-SHA256 over a label. Secrets of the same bytes give the same, whatever
// their algorithm.
func (s *Secret) Derive(label string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, s.reveal().key)
	mac.Write([]byte(label))
	return [sha256.Size]byte(mac.Sum(nil))
}

// Weak reports whether the secret is shorter than the 160 bits that RFC 4226
// recommends.
func (s *Secret) Weak() bool { return 8*len(s.reveal().key) < okBits }

// Base32 gives the written form, in upper case and without blanks or padding. It
// is for the one who makes a secret, and cannot be wiped.
func (s *Secret) Base32() string { return encoding.EncodeToString(s.reveal().key) }

// Equal reports whether two secrets have the same bytes and algorithm, and so the
// same codes, in a time that depends on their lengths alone. A nil Secret equals
// only another.
func (s *Secret) Equal(other *Secret) bool {
	if s == nil || other == nil {
		return s == other
	}
	a, b := s.reveal(), other.reveal()
	return subtle.ConstantTimeCompare(a.key, b.key) == 1 && a.algorithm == b.algorithm
}

// Wipe zeroes the bytes of the secret and lets go of the HMAC made from them,
// whose memory is crypto/hmac's and is not zeroed. There are no codes afterwards.
// It does nothing to a nil Secret.
func (s *Secret) Wipe() {
	if s == nil {
		return
	}
	m := s.reveal()
	clear(m.key)
	clear(m.sum[:])
	m.key, m.mac = nil, nil
}
