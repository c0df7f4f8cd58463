package spa

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// version is the protocol's version that fwknop 2.6 and we speak.
const version = "3.0.0"

// Seal encodes a message to a payload for fwknopd and our daemon. It fills in
// Random and Version if they are empty; all else must be as Message says, Time
// and Digest too. Salt and Random are read from random, which is
// crypto/rand.Reader but in tests.
//
// fwknopd 2.6.10 is narrower than the format: it takes a packet for one of GnuPG's
// and refuses it if without its HMAC it is longer than 374 characters, or 396 where
// there is none. Twelve services fit. It does not know IPv6.
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

// payload encrypts and authenticates a plain text. The bounds of Message keep
// its length under maxPayload.
func (k *Key) payload(salt, text []byte) []byte {
	raw := append([]byte(magic), salt...)
	raw = append(raw, encrypt(k.secret, salt, text)...)
	payload := b64.AppendEncode(nil, raw)[len(prefix):]
	if k.mac != nil {
		payload = k.mac.appendText(payload, payload)
	}
	return payload
}
