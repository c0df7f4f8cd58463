package spa

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"errors"
)

// b64 is the encoding of packets and of the fields in them. Strict refuses spare bits
// that are not zero.
var b64 = base64.RawStdEncoding.Strict()

const (
	// magic is the beginning of a salted cipher text of OpenSSL.
	magic   = "Salted__"
	saltLen = 8
	// prefix is the base64 of magic without the last four of its bits. All packets
	// begin with it before it is removed.
	prefix = "U2FsdGVkX1"
)

// The limits of the length of a payload in fwknop. Its clients send no other packets.
const (
	minPayload = 140
	maxPayload = 1500
)

// alphabet is the set of characters of base64.
var alphabet = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		set[c] = true
	}
	return set
}()

// Plausible reports whether the payload can be a packet, without a key. It checks that
// the payload has 140 to 1500 bytes, a length of whole cipher blocks with or without an
// HMAC, only characters of base64, and a first character that can follow the removed
// prefix. It allocates nothing, and takes nanoseconds for random bytes.
func Plausible(payload []byte) bool {
	if len(payload) < minPayload || len(payload) > maxPayload {
		return false
	}
	// The first four of the six bits of the first character are the last of magic
	// ("_" is 0x5f), which are ones. That also refuses a payload with its prefix.
	switch payload[0] {
	case '8', '9', '+', '/':
	default:
		return false
	}
	if !plausibleLen(len(payload)) {
		return false
	}
	for _, c := range payload {
		if !alphabet[c] {
			return false
		}
	}
	return true
}

// plausibleLen reports whether a payload can have this length.
func plausibleLen(n int) bool {
	if wholeBlocks(n) {
		return true // no HMAC
	}
	for h := MD5; h.valid(); h++ {
		if wholeBlocks(n - h.textLen()) {
			return true
		}
	}
	return false
}

// wholeBlocks reports whether prefix and n more characters are the length of magic, salt
// and one or more blocks.
func wholeBlocks(n int) bool {
	// Magic and salt are as long as a block of 16 bytes, so this is m>=2 blocks. They
	// have 16m*4/3 characters, rounded up.
	n += len(prefix)
	return n >= 2*64/3 && 3*n%64 <= 2
}

// decodeCipherText decodes a payload, without its HMAC, to salt and cipher text.
func decodeCipherText(body []byte) ([]byte, error) {
	b, err := decodeBase64(append([]byte(prefix), body...))
	if err != nil || !bytes.HasPrefix(b, []byte(magic)) {
		return nil, errors.New("bad cipher text: want base64 in its canonical form, without padding")
	}
	b = b[len(magic):]
	if len(b) < saltLen+aes.BlockSize || (len(b)-saltLen)%aes.BlockSize != 0 {
		return nil, errors.New("bad length of cipher text: want whole blocks")
	}
	return b, nil
}

// decodeBase64 decodes text, which must be in canonical form.
func decodeBase64(text []byte) ([]byte, error) {
	// Package base64 ignores newlines anywhere in the text, even with Strict.
	if bytes.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(bytes.IndexAny(text, "\r\n"))
	}
	b := make([]byte, b64.DecodedLen(len(text)))
	n, err := b64.Decode(b, text)
	return b[:n], err
}
