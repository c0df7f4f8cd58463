package spa

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Open verifies the HMAC of a payload, decrypts it, and returns the message and its
// token. The caller must check that the time is recent, that the token is new, and that
// the request is allowed.
//
// The error is ErrNotForKey, ErrDigest, or one that wraps ErrFormat; then message and
// token are zero.
func (k *Key) Open(payload []byte) (Message, Token, error) {
	if !Plausible(payload) {
		return Message{}, Token{}, ErrFormat
	}
	if !k.Authentic(payload) {
		return Message{}, Token{}, ErrNotForKey
	}
	body := payload[:len(payload)-k.macLen()]
	if !wholeBlocks(len(body)) {
		return Message{}, Token{}, ErrNotForKey // the packet has an HMAC, the key has none
	}
	b, err := decodeCipherText(body)
	if err != nil {
		return Message{}, Token{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	text, err := decrypt(k.secret, b)
	if err != nil {
		return Message{}, Token{}, err
	}
	m, err := parse(text)
	if err != nil {
		return Message{}, Token{}, err
	}
	return m, Token(sha256.Sum256(b)), nil
}

// parse verifies the digest of a plain text and parses the rest.
func parse(text []byte) (Message, error) {
	end := bytes.LastIndexByte(text, ':')
	if end < 0 {
		return Message{}, fmt.Errorf("%w: %w", ErrFormat, errFields)
	}
	h, err := digestOf(text[:end], text[end+1:])
	if err != nil {
		return Message{}, err
	}
	m, err := parseText(string(text[:end]))
	if err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	m.Digest = h
	return m, nil
}

// digestOf verifies the digest of a text and returns its hash function.
func digestOf(text, digest []byte) (Hash, error) {
	// A packet does not name the function. At most two have the same size.
	want, err := decodeBase64(unpadField(digest))
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFormat, errDigestForm)
	}
	err = fmt.Errorf("%w: %w", ErrFormat, errDigestForm)
	for h := MD5; h.valid(); h++ {
		if hashes[h].size != len(want) {
			continue
		}
		if subtle.ConstantTimeCompare(h.sum(text), want) == 1 {
			return h, nil
		}
		err = ErrDigest
	}
	return 0, err
}

var errDigestForm = errors.New("bad digest: want the base64 of a hash")
