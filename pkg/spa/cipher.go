package spa

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"fmt"
	"strings"

	"nftknock/pkg/invalid"
)

// Cipher is how a packet is encrypted.
type Cipher uint8

const (
	// CBC is what fwknop does since 2.5, the default.
	CBC Cipher = iota
	// Legacy is what it did before: the key has 16 bytes. A shorter one is
	// continued with the character 0, of a longer one only the first 16 count.
	// fwknop's client refuses an HMAC with it, its server does not.
	Legacy
)

// ParseCipher reads the name of a cipher, "cbc" or "legacy", in upper or lower
// case. The further modes of fwknop are no good with a key that has been in
// use, and no client uses them unasked.
func ParseCipher(s string) (Cipher, error) {
	switch strings.ToLower(s) {
	case "cbc":
		return CBC, nil
	case "legacy":
		return Legacy, nil
	}
	return 0, invalid.Newf("cbc or legacy", "bad cipher %q", s)
}

// String gives the name that ParseCipher reads.
func (c Cipher) String() string {
	switch c {
	case CBC:
		return "cbc"
	case Legacy:
		return "legacy"
	}
	return "unknown"
}

// legacyLen is the length that Legacy brings keys to.
const legacyLen = 16

// maxSecret is the length of the longest key that fwknop takes.
const maxSecret = 32

// derive makes AES-256 and initialization vector of one packet, as OpenSSL's
// EVP_BytesToKey does with MD5 and one round: each digest is of the digest
// before, secret and salt, and the first three make 32 bytes of key and 16
// of vector.
func derive(secret, salt []byte) (block cipher.Block, iv [aes.BlockSize]byte) {
	var (
		key [2 * md5.Size]byte
		in  [md5.Size + maxSecret + saltLen]byte
	)
	n := md5.Size + copy(in[md5.Size:], secret)
	n += copy(in[n:], salt)
	d1 := md5.Sum(in[md5.Size:n])
	copy(in[:], d1[:])
	d2 := md5.Sum(in[:n])
	copy(in[:], d2[:])
	iv = md5.Sum(in[:n])
	copy(key[copy(key[:], d1[:]):], d2[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("spa: " + err.Error()) // 32 bytes are a key
	}
	return block, iv
}

// decrypt returns the plain text of salt and cipher text. Nearly always the
// first block tells that the key is another, and nothing further is done.
func decrypt(secret, b []byte) ([]byte, error) {
	block, iv := derive(secret, b[:saltLen])
	b = b[saltLen:]
	text := make([]byte, len(b))
	block.Decrypt(text, b)
	for i, c := range iv {
		if !isDigit(rune(c ^ text[i])) {
			return nil, ErrNotForKey
		}
	}
	cipher.NewCBCDecrypter(block, iv[:]).CryptBlocks(text, b)
	return unpad(text)
}

// encrypt returns the cipher text of a plain text.
func encrypt(secret, salt, text []byte) []byte {
	block, iv := derive(secret, salt)
	b := pad(text)
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(b, b)
	return b
}

// pad returns the text with padding as in PKCS #7.
func pad(text []byte) []byte {
	n := aes.BlockSize - len(text)%aes.BlockSize
	b := append(make([]byte, 0, len(text)+n), text...)
	for range n {
		b = append(b, byte(n))
	}
	return b
}

// unpad takes the padding off. Its errors may tell one padding from another:
// nobody is answered, so there is no oracle to ask.
func unpad(b []byte) ([]byte, error) {
	n := int(b[len(b)-1])
	if n == 0 || n > aes.BlockSize {
		return nil, errPadding
	}
	text := b[:len(b)-n]
	for _, c := range b[len(text):] {
		if int(c) != n {
			return nil, errPadding
		}
	}
	return text, nil
}

var errPadding = fmt.Errorf("%w: bad padding: want that of PKCS #7", ErrFormat)
