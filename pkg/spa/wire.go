package spa

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"errors"
)

// b64 is the base64 of everything in a packet.
var b64 = base64.RawStdEncoding.Strict()

const (
	// magic is how OpenSSL begins a salted cipher text.
	magic   = "Salted__"
	saltLen = 8
	// prefix is what all packets would begin with if they were sent whole:
	// the base64 of magic but for its last four bits.
	prefix = "U2FsdGVkX1"
)

// The length of a payload, as fwknop bounds it. Its clients make no packets
// outside.
const (
	minPayload = 140
	maxPayload = 1500
)

// alphabet tells the characters of base64.
var alphabet = func() (set [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" {
		set[c] = true
	}
	return set
}()

// Plausible reports whether the payload can be a packet, as far as that can be
// told without a key: 140 to 1500 bytes, a length that whole cipher blocks and
// an HMAC or none can have, base64 only, and a beginning that fits the prefix
// left out. It allocates nothing; to refuse random bytes takes nanoseconds.
func Plausible(payload []byte) bool {
	if len(payload) < minPayload || len(payload) > maxPayload {
		return false
	}
	// The first character has the last four bits of magic, all ones. That
	// keeps out a payload sent with its prefix, too.
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

// plausibleLen reports whether a payload can have the length.
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

// wholeBlocks reports whether n characters, with prefix in front, are magic,
// salt and one block or more. Magic and salt are as long as a block, and m
// blocks are 64m/3 characters, rounded up.
func wholeBlocks(n int) bool {
	n += len(prefix)
	return n >= 2*64/3 && 3*n%64 <= 2
}

// decodeCipherText decodes a payload without its HMAC to salt and cipher text.
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

// decodeBase64 decodes strictly. Package base64 alone, even if told to be
// strict, takes line ends anywhere.
func decodeBase64(text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, base64.CorruptInputError(bytes.IndexAny(text, "\r\n"))
	}
	b := make([]byte, b64.DecodedLen(len(text)))
	n, err := b64.Decode(b, text)
	return b[:n], err
}
