package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/md5"
	"crypto/subtle"
	"io"

	"nftknock/pkg/redact"
)

// Fwknop19 seals a message as the encrypted knock sequence of fwknop 1.9, the last
// version in Perl. The clear text is
//
//	address(4) port(2) protocol(1) checksum(1) user(0 to 7)
//
// with numbers in big endian, and with PKCS#7 padding up to 16 bytes. The checksum is
// the sum of the bytes before it. The text is encrypted as by "openssl enc -aes-256-cbc
// -md md5": "Salted__", 8 bytes of salt, and one block with the key and IV that
// EVP_BytesToKey derives from passphrase and salt.
//
// The message is not authenticated. If any bit of salt or block is changed it decrypts
// to random bytes, and about one in 2^32 random texts is a valid message.
//
// A Fwknop19 is for one goroutine at a time.
type Fwknop19 struct {
	redact.Value
	// seed is the input of MD5: room for a digest, the passphrase, room for a salt.
	seed    []byte
	scratch [aes.BlockSize]byte // as Article.scratch
}

// SaltMark is the beginning of what "openssl enc" writes, and so of every message that
// Fwknop19 seals.
const SaltMark = "Salted__"

const (
	saltLen   = 8
	prefixLen = len(SaltMark) + saltLen
)

// NewFwknop19 makes a Fwknop19 of a passphrase of at least 8 bytes, which is padded with
// the digit 0 to 16. It copies the passphrase.
func NewFwknop19(key []byte) (*Fwknop19, error) {
	if err := checkPassphrase(key); err != nil {
		return nil, err
	}
	padded := padKey(key)
	defer clear(padded)
	seed := make([]byte, md5.Size+len(padded)+saltLen)
	copy(seed[md5.Size:], padded)
	return &Fwknop19{seed: seed}, nil
}

// Clear returns the clear text without its padding. The user name is cut to 7 bytes, and
// Time is left out. An IPv6 address is an error.
func (f *Fwknop19) Clear(m Message) ([]byte, error) {
	if err := m.checkASCII(); err != nil {
		return nil, err
	}
	b := make([]byte, headLen, aes.BlockSize)
	if err := putHead(b, m); err != nil {
		return nil, err
	}
	b[checksum] = sum(b[:checksum])
	return append(b, cutUser(m.User, userLen)...), nil
}

// Seal returns Fwknop19Len bytes. It reads the 8 bytes of salt from rand, whose error
// it returns.
func (f *Fwknop19) Seal(m Message, rand io.Reader) ([]byte, error) {
	text, err := f.Clear(m)
	if err != nil {
		return nil, err
	}
	b := make([]byte, Fwknop19Len)
	copy(b, SaltMark)
	if _, err := io.ReadFull(rand, b[len(SaltMark):prefixLen]); err != nil {
		return nil, err
	}
	// The key depends on the salt, so that it differs for each message.
	var k keyIV
	defer clear(k[:])
	f.derive(&k, b[len(SaltMark):prefixLen])
	block, err := aes.NewCipher(k.key())
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(text)
	text = append(text, bytes.Repeat([]byte{byte(pad)}, pad)...)
	// CBC of a single block: exclusive or with the IV, then the cipher.
	out := b[prefixLen:]
	subtle.XORBytes(out, text, k.iv())
	block.Encrypt(out, out)
	return b, nil
}

// Salted reports whether b begins like a message that Fwknop19 has sealed. It needs no
// key, and only the first eight bytes of the message.
func Salted(b []byte) bool { return bytes.HasPrefix(b, []byte(SaltMark)) }

// Open decrypts Fwknop19Len bytes, and reports whether they are a message sealed with
// this passphrase.
func (f *Fwknop19) Open(b []byte) (Message, bool) {
	if len(b) != Fwknop19Len || !Salted(b) {
		return Message{}, false
	}
	var k keyIV
	defer clear(k[:])
	f.derive(&k, b[len(SaltMark):prefixLen])
	block, err := aes.NewCipher(k.key())
	if err != nil {
		return Message{}, false
	}
	text := f.scratch[:]
	copy(text, b[prefixLen:])
	block.Decrypt(text, text)
	subtle.XORBytes(text, text, k.iv())
	return parseFwknop19(text)
}

// parseFwknop19 reads a clear text with its padding.
func parseFwknop19(text []byte) (Message, bool) {
	// The padding is at least one byte, and leaves the head.
	pad := int(text[len(text)-1])
	if pad < 1 || pad > len(text)-headLen {
		return Message{}, false
	}
	end := len(text) - pad
	for _, c := range text[end:] {
		if int(c) != pad {
			return Message{}, false
		}
	}
	user := text[headLen:end]
	if text[checksum] != sum(text[:checksum]) || !printableUser(user) {
		return Message{}, false
	}
	return parseHead(text, user)
}

// keyIV is the key of AES-256 and the IV of CBC.
type keyIV [3 * md5.Size]byte

func (k *keyIV) key() []byte { return k[:32] }
func (k *keyIV) iv() []byte  { return k[32:] }

// derive sets k as OpenSSL's EVP_BytesToKey does with MD5 and one round: each digest is
// of the previous digest, the passphrase and the salt.
func (f *Fwknop19) derive(k *keyIV, salt []byte) {
	copy(f.seed[len(f.seed)-saltLen:], salt)
	over := f.seed[md5.Size:] // the first digest has no previous one
	for i := 0; i < len(k); i += md5.Size {
		digest := md5.Sum(over)
		copy(k[i:], digest[:])
		copy(f.seed, digest[:])
		over = f.seed
	}
	clear(f.seed[:md5.Size])
}

// Wipe zeroes the passphrase, and must be the last call.
func (f *Fwknop19) Wipe() {
	clear(f.seed)
	clear(f.scratch[:])
}
