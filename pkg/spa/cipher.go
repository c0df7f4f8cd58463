package spa

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"fmt"
	"strings"

	"nftknock/pkg/invalid"
)

// Cipher is the way in which a packet is encrypted.
type Cipher uint8

const (
	// CBC is the default of fwknop since 2.5.
	CBC Cipher = iota
	// Legacy is the way of earlier versions: the key is padded with the digit 0 or
	// cut to 16 bytes. fwknop's client refuses an HMAC with it, its server does not.
	Legacy
)

// ParseCipher reads the name of a cipher, "cbc" or "legacy", in upper or lower case.
// The other modes of fwknop are not supported: they are not safe with a key that is used
// more than once, and no client uses them by default.
func ParseCipher(s string) (Cipher, error) {
	switch strings.ToLower(s) {
	case "cbc":
		return CBC, nil
	case "legacy":
		return Legacy, nil
	}
	return 0, invalid.Newf("cbc or legacy", "bad cipher %q", s)
}

// String returns the name that ParseCipher reads.
func (c Cipher) String() string {
	switch c {
	case CBC:
		return "cbc"
	case Legacy:
		return "legacy"
	}
	return "unknown"
}

// legacyLen is the length of the keys of Legacy, in bytes.
const legacyLen = 16

// maxSecret is the length of the longest key that fwknop accepts, in bytes.
const maxSecret = 32

// derive returns the cipher and the initialization vector of one packet.
func derive(secret, salt []byte) (block cipher.Block, iv [aes.BlockSize]byte) {
	// OpenSSL's EVP_BytesToKey with MD5 and one round: each digest is of the previous
	// digest, the secret and the salt. The first two digests are the key of AES-256, the
	// third is the initialization vector.
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
		panic("spa: " + err.Error()) // AES accepts every key of 32 bytes
	}
	return block, iv
}

// decrypt returns the plain text of b, which is salt and cipher text.
func decrypt(secret, b []byte) ([]byte, error) {
	block, iv := derive(secret, b[:saltLen])
	b = b[saltLen:]
	text := make([]byte, len(b))
	block.Decrypt(text, b)
	// The first block of a message is its 16 random digits. With a wrong key it is one
	// with a probability of (10/256)^16, so that the rest need not be decrypted.
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

// unpad removes the padding.
func unpad(b []byte) ([]byte, error) {
	// The time and the error depend on the padding. That is no padding oracle, because
	// a sender gets no answer.
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
