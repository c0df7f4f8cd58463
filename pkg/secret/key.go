// Package secret reads key material from files and text, and keeps it out of output and
// logs.
//
// Printing, logging or encoding a Key shows "[secret]"; only Bytes and Text return it. No
// error of this package contains any part of its input.
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

// Key is the material of one key: raw bytes, or the text of a passphrase. Parse, New,
// Generate and ReadFile make one. Several goroutines may read it at the same time; Wipe
// must be the last call.
type Key struct {
	redact.Value
	// NB: reflection cannot see what a function refers to. Package fmt cannot call the
	// methods of a Key in an unexported field, but it would print the fields of a Key
	// there, and for some verbs follow a pointer in them.
	reveal func() *material
}

type material struct {
	bytes      []byte
	passphrase bool
}

// maxText is the length of the longest written form of a key, in bytes.
const maxText = 1024

// prefix begins the written form of raw bytes, which follow in base64.
const prefix = "base64:"

// blanks are ignored before and after a written key.
const blanks = " \t\r\n"

// Parse reads the written form of a key: "base64:" and raw bytes in the standard alphabet
// of RFC 4648, with or without padding; or a passphrase in UTF-8 without control
// characters. Blanks and newlines around it are ignored. The rest must have 1 to 1024
// bytes. The Key shares no memory with text.
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
		// The decoder's error is not wrapped: it contains a place in the secret.
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
	rand.Read(b) // never returns an error: it crashes the program instead
	return newKey(b, false), nil
}

// Bytes returns the raw bytes, or those of the passphrase, without copying them: the
// caller must not change them, and Wipe zeroes them.
func (k *Key) Bytes() []byte { return k.reveal().bytes }

// Passphrase reports whether the key is a passphrase, which may be easier to guess than
// random bytes.
func (k *Key) Passphrase() bool { return k.reveal().passphrase }

// Text returns the written form that Parse reads. It is for showing a new key to its
// owner. The string cannot be wiped.
func (k *Key) Text() string {
	m := k.reveal()
	if m.passphrase {
		return string(m.bytes)
	}
	return prefix + base64.StdEncoding.EncodeToString(m.bytes)
}

// Equal reports whether two keys have the same bytes and both or neither are
// passphrases. Its time depends only on their lengths. A nil Key equals only nil.
func (k *Key) Equal(other *Key) bool {
	if k == nil || other == nil {
		return k == other
	}
	a, b := k.reveal(), other.reveal()
	return subtle.ConstantTimeCompare(a.bytes, b.bytes) == 1 && a.passphrase == b.passphrase
}

// Wipe zeroes the bytes; after it the key has none. It does nothing if k is nil.
func (k *Key) Wipe() {
	if k == nil {
		return
	}
	m := k.reveal()
	clear(m.bytes)
	m.bytes = nil
}
