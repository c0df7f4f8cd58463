package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"time"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"
	"golang.org/x/crypto/argon2"

	"nftknock/pkg/redact"
)

// SIV seals a message with AES-256-SIV (RFC 5297), which is deterministic: the
// same message gives the same bytes. These are
//
//	hint(1) tag(16) ciphertext(21 or 33)
//
// and the clear text is
//
//	version(1) time(4) family(1) address(4 or 16) protocol(1) port(2) user(8)
//
// with numbers in big endian, time in Unix seconds (until 2106), family 4 or 6, an
// address of zeros for the sender, and the user name padded with NUL. The associated
// data is "nftknock siv 1".
//
// The hint is Hint of the message's time. By it a receiver with many keys finds the few
// that a message may be sealed with.
//
// A SIV is for one goroutine at a time.
type SIV struct {
	redact.Value
	key     []byte // aead shares its memory
	aead    *subtle.AESSIV
	ctr     cipher.Block // AES with the right half of the key
	hintKey []byte
	hints   hash.Hash         // HMAC with hintKey
	scratch [sha256.Size]byte // as Article.scratch
}

const (
	hintLen = 1
	tagLen  = aes.BlockSize
	// label is the associated data, and separates keys from those of other uses.
	label = "nftknock siv 1"
)

// NewSIV makes a SIV of a key of 64 or 32 random bytes, which it copies. 64 bytes are
// used as in RFC 5297, the left half for the tag and the right half for the cipher. 32
// bytes are expanded to 64 with HKDF-SHA256 (RFC 5869), without salt and with the info
// "nftknock siv 1 key", because package subtle of Tink accepts only 64.
func NewSIV(key []byte) (*SIV, error) {
	long := make([]byte, subtle.AESSIVKeySize)
	switch len(key) {
	case subtle.AESSIVKeySize:
		copy(long, key)
	case subtle.AESSIVKeySize / 2:
		expanded, err := hkdf.Key(sha256.New, key, nil, label+" key", len(long))
		if err != nil {
			return nil, err
		}
		copy(long, expanded)
		clear(expanded)
	default:
		return nil, fmt.Errorf("bad key of %d bytes: want 32 or 64", len(key))
	}
	aead, err := subtle.NewAESSIV(long)
	if err != nil {
		return nil, err
	}
	ctr, err := aes.NewCipher(long[len(long)/2:])
	if err != nil {
		return nil, err
	}
	hintKey := bytes.Clone(key) // kept for Clone
	return &SIV{key: long, aead: aead, ctr: ctr, hintKey: hintKey, hints: hmac.New(sha256.New, hintKey)}, nil
}

// NewSIVPassphrase makes a SIV of a passphrase of at least 8 bytes. Argon2id (RFC 9106)
// derives the key of 64 bytes from it: 3 passes over 64 MiB in one lane, with the salt
// "nftknock siv 1". It takes some tenths of a second.
//
// The salt is fixed, since both sides have only the passphrase in common before the first
// packet. So equal passphrases are equal keys everywhere, and an attacker can use one
// table of guesses against all users of this program. An attacker who has recorded one
// knock can try guesses offline, so a random key is better.
func NewSIVPassphrase(passphrase []byte) (*SIV, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	const (
		passes = 3
		memory = 64 << 10 // KiB
		lanes  = 1
	)
	key := argon2.IDKey(passphrase, []byte(label), passes, memory, lanes, subtle.AESSIVKeySize)
	defer clear(key)
	return NewSIV(key)
}

// HintPeriod is how long a hint lasts.
const HintPeriod = 30 * time.Second

// Step returns the number of the HintPeriod that a time is in, counted from the Unix
// epoch.
func Step(t time.Time) int64 { return t.Unix() / int64(HintPeriod/time.Second) }

// Hint returns the first byte of the messages that are sealed in a step: the first byte
// of the HMAC-SHA256 of "hint" and the step (8 bytes, big endian), with the key that
// NewSIV was given. It allocates nothing.
func (s *SIV) Hint(step int64) byte {
	// The prefix keeps the input apart from those of other uses of the key.
	const prefix = "hint"
	b := append(s.scratch[:0], prefix...)
	b = binary.BigEndian.AppendUint64(b, uint64(step))
	s.hints.Reset()
	s.hints.Write(b) // never returns an error (hash.Hash)
	return s.hints.Sum(s.scratch[:0])[0]
}

// Seal returns SIVLen4 bytes for an IPv4 address and for the zero Addr, SIVLen6 bytes
// for an IPv6 address and for "::", which stands for the sender too. The user name is
// cut to 8 bytes, Time to whole seconds. An address with a zone is an error.
func (s *SIV) Seal(m Message) ([]byte, error) {
	text, err := s.Clear(m)
	if err != nil {
		return nil, err
	}
	sealed, err := s.aead.EncryptDeterministically(text, []byte(label))
	if err != nil {
		return nil, err
	}
	return append([]byte{s.Hint(Step(m.Time))}, sealed...), nil
}

// Open decrypts SIVLen4 or SIVLen6 bytes, and reports whether they are a message sealed
// with this key. It accepts only what Seal can return.
func (s *SIV) Open(b []byte) (Message, bool) {
	if len(b) != SIVLen4 && len(b) != SIVLen6 {
		return Message{}, false
	}
	text, err := s.aead.DecryptDeterministically(b[hintLen:], []byte(label))
	if err != nil {
		return Message{}, false
	}
	m, ok := parseSIV(text)
	// NB: the tag does not authenticate the hint.
	if !ok || b[0] != s.Hint(Step(m.Time)) {
		return Message{}, false
	}
	return m, true
}

// Plausible is a test that is faster than Open: it decrypts only the first block, and
// reports whether version and family are right and the time is from earliest to latest,
// both included. A message that Open opens, with a time in those bounds, is plausible; a
// plausible one need not be authentic. It allocates nothing.
//
// The test of text that is not authenticated reveals nothing: a sender gets no answer to
// a knock, and so can observe neither the result nor the time that it took.
func (s *SIV) Plausible(b []byte, earliest, latest time.Time) bool {
	if len(b) != SIVLen4 && len(b) != SIVLen6 {
		return false
	}
	tag, ciphertext := b[hintLen:hintLen+tagLen], b[hintLen+tagLen:]
	// RFC 5297, section 2.6: the first counter is the tag with two bits cleared.
	counter := s.scratch[:aes.BlockSize]
	copy(counter, tag)
	counter[8] &= 0x7f
	counter[12] &= 0x7f
	s.ctr.Encrypt(counter, counter)
	var first [sivAddress]byte
	// AES-CTR: the first block of the key stream.
	for i := range first {
		first[i] = counter[i] ^ ciphertext[i]
	}
	if !validStart(first, len(ciphertext)) {
		return false
	}
	t := startTime(first)
	return !t.Before(earliest) && !t.After(latest)
}

// Wipe zeroes the key, and must be the last call. Data that packages aes and hmac have
// derived from it is in their memory, which cannot be zeroed.
func (s *SIV) Wipe() {
	clear(s.key)
	clear(s.hintKey)
	clear(s.scratch[:])
	s.aead, s.ctr, s.hints = nil, nil, nil
}
