package spa

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// version is the protocol version of fwknop 2.6 and of this package.
const version = "3.0.0"

// Seal encodes and encrypts a message as a payload for fwknopd and nftknockd. It sets
// Random and Version if they are empty; all other fields must be valid, Time and Digest
// too. Salt and Random are read from random, which must be crypto/rand.Reader except in
// tests.
//
// fwknopd 2.6.10 accepts less than the format allows. It treats a packet as GnuPG's and
// refuses it if it is longer than 374 characters without its HMAC, or than 396 if it has
// none. Twelve services fit. It does not support IPv6.
func (k *Key) Seal(m Message, random io.Reader) ([]byte, error) {
	if k.wiped() {
		return nil, errors.New("cannot seal: the key was wiped")
	}
	if m.Version == "" {
		m.Version = version
	}
	if m.Random == "" {
		n, err := rand.Int(random, big.NewInt(1e16))
		if err != nil {
			return nil, fmt.Errorf("cannot seal: %w", err)
		}
		m.Random = fmt.Sprintf("%0*d", randomLen, n)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	if !m.Digest.valid() {
		return nil, errors.New("cannot seal: bad hash of digest: want one of MD5 to SHA3_512")
	}
	var salt [saltLen]byte
	if _, err := io.ReadFull(random, salt[:]); err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	text := m.text()
	text = b64.AppendEncode(append(text, ':'), m.Digest.sum(text))
	payload := k.payload(salt[:], text)
	if len(payload) < minPayload {
		return nil, fmt.Errorf("cannot seal: payload of %d bytes: want %d or more", len(payload), minPayload)
	}
	return payload, nil
}

// payload encrypts and authenticates a plain text. The result is not longer than
// maxPayload, because of the limits of Message.
func (k *Key) payload(salt, text []byte) []byte {
	raw := append([]byte(magic), salt...)
	raw = append(raw, encrypt(k.secret, salt, text)...)
	payload := b64.AppendEncode(nil, raw)[len(prefix):]
	// The HMAC is over the text with the prefix, which is not sent.
	if k.mac != nil {
		payload = k.mac.appendText(payload, payload)
	}
	return payload
}
