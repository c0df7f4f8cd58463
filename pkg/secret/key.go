// Package secret holds key material: it reads it from where people keep it, and
// keeps it out of what people read.
//
// A Key never prints itself, whatever verb, logger or encoder is asked to; only
// Bytes and Text give it away. No error of this package shows any part of what
// it was given.
package secret

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"unicode"
	"unicode/utf8"

	"nftknock/pkg/invalid"
	"nftknock/pkg/redact"
)

// Key is the material of one key: raw bytes, or the text of a passphrase. Parse,
// New, Generate and ReadFile make one. It may be read from several goroutines at
// once; Wipe must be the last call.
type Key struct {
	redact.Value
	// NB: a function hides what it holds from reflection. Package fmt cannot
	// call the methods of a Key in an unexported field, and for a verb like
	// %s follows even a pointer there.
	reveal func() *material
}

type material struct {
	bytes      []byte
	passphrase bool
}

// maxText bounds the written form of a key, in bytes.
const maxText = 1024

// prefix marks a written key as raw bytes in base64.
const prefix = "base64:"

// blanks are what may stand around a written key.
const blanks = " \t\r\n"

// Parse reads the written form of a key: "base64:" and raw bytes in the standard
// alphabet of RFC 4648, with or without its padding, or else a passphrase, which
// is UTF-8 without control characters. Blanks and line ends around it do not
// count; what remains is 1 to 1024 bytes. The Key shares no memory with text.
func Parse(text []byte) (*Key, error) {
	text = bytes.Trim(text, blanks)
	switch {
	case len(text) == 0:
		return nil, invalid.New("bad key: empty", "base64:DATA or a passphrase")
	case len(text) > maxText:
		return nil, invalid.Newf(fmt.Sprintf("at most %d", maxText), "bad key of %d bytes", len(text))
	case !utf8.Valid(text):
		return nil, invalid.New("bad key: not UTF-8 text", "raw bytes written as base64:DATA")
	case bytes.ContainsFunc(text, unicode.IsControl):
		return nil, invalid.New("bad key: holds a control character", "raw bytes written as base64:DATA")
	}
	if encoded, ok := bytes.CutPrefix(text, []byte(prefix)); ok {
		return parseBase64(encoded)
	}
	return newKey(bytes.Clone(text), true), nil
}

func parseBase64(text []byte) (*Key, error) {
	enc := base64.RawStdEncoding
	if bytes.HasSuffix(text, []byte("=")) {
		enc = base64.StdEncoding
	}
	raw := make([]byte, enc.DecodedLen(len(text)))
	n, err := enc.Strict().Decode(raw, text)
	switch {
	case err != nil:
		clear(raw)
		// The error would tell where the text is wrong.
		return nil, invalid.New("bad key: what follows base64: does not decode", "the standard alphabet")
	case n == 0:
		return nil, invalid.New("bad key: nothing follows base64", "raw bytes")
	}
	return newKey(raw[:n], false), nil
}

// New makes a key of a copy of raw bytes.
func New(raw []byte) *Key { return newKey(bytes.Clone(raw), false) }

func newKey(b []byte, passphrase bool) *Key {
	m := &material{bytes: b, passphrase: passphrase}
	return &Key{reveal: func() *material { return m }}
}

// Generate makes a key of 256 or 512 random bits.
func Generate(bits int) (*Key, error) {
	if bits != 256 && bits != 512 {
		return nil, fmt.Errorf("bad key size %d: want 256 or 512 bits", bits)
	}
	b := make([]byte, bits/8)
	rand.Read(b) // crashes the program rather than fail
	return newKey(b, false), nil
}

// Bytes gives the raw bytes, or those of the passphrase. They are the key's own:
// not to be changed, and zero after Wipe.
func (k *Key) Bytes() []byte { return k.reveal().bytes }

// Passphrase reports whether the key was written as bare text, which a person
// chose and others may guess.
func (k *Key) Passphrase() bool { return k.reveal().passphrase }

// Text gives the written form that Parse reads. It is for the one who makes a
// key, and cannot be wiped.
func (k *Key) Text() string {
	m := k.reveal()
	if m.passphrase {
		return string(m.bytes)
	}
	return prefix + base64.StdEncoding.EncodeToString(m.bytes)
}

// Equal reports whether two keys have the same bytes and both or neither are
// passphrases, in a time that depends on their lengths alone. A nil Key equals
// only another.
func (k *Key) Equal(other *Key) bool {
	if k == nil || other == nil {
		return k == other
	}
	a, b := k.reveal(), other.reveal()
	return subtle.ConstantTimeCompare(a.bytes, b.bytes) == 1 && a.passphrase == b.passphrase
}

// Wipe zeroes the bytes, and leaves a key without any. It does nothing to a nil
// Key.
func (k *Key) Wipe() {
	if k == nil {
		return
	}
	m := k.reveal()
	clear(m.bytes)
	m.bytes = nil
}
