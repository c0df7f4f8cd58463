package spa

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// Open decodes a payload, its HMAC first, and returns the message and the token
// to remember it by. Whether the time is near, the token is new and the wishes
// may be granted is for the caller to judge.
//
// The error is ErrNotForKey, ErrDigest, or one that wraps ErrFormat; message and
// token are zero then.
func (k *Key) Open(payload []byte) (Message, Token, error) {
	if !Plausible(payload) {
		return Message{}, Token{}, ErrFormat
	}
	if !k.Authentic(payload) {
		return Message{}, Token{}, ErrNotForKey
	}
	body := payload[:len(payload)-k.macLen()]
	if !wholeBlocks(len(body)) {
		return Message{}, Token{}, ErrNotForKey // it has an HMAC, but the key has none
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

// parse reads the plain text of a packet, its digest first.
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

// digestOf tells the hash function that makes the digest out of the text. Its
// size leaves one or two.
func digestOf(text, digest []byte) (Hash, error) {
	want, err := decodeBase64(digest)
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

var errDigestForm = errors.New("bad digest: want the base64 of a hash, without padding")
