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
// with numbers big endian, in the checksum the sum of all before it, and PKCS#7
// padding up to 16 bytes. It is enciphered as "openssl enc -aes-256-cbc -md md5"
// does: "Salted__", 8 bytes of salt, and one block under the key and the IV that
// EVP_BytesToKey makes of passphrase and salt.
//
// Nothing authenticates it. To change any bit of salt or block gives another clear
// text of chance, and one in about 2^32 of those has all marks of a message.
//
// A Fwknop19 is for one goroutine at a time.
type Fwknop19 struct {
	redact.Value
	// seed is room for a digest, the passphrase, and room for a salt.
	seed    []byte
	scratch [aes.BlockSize]byte // what goes through a cipher would escape
}

const (
	saltMark  = "Salted__"
	saltLen   = 8
	prefixLen = len(saltMark) + saltLen
)

// NewFwknop19 takes a passphrase of at least 8 bytes. One under 16 bytes is filled
// up with the digit 0.
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

// Clear gives the clear text without its padding. The user name is cut to 7 bytes;
// Time is not held. An IPv6 address is an error.
func (f *Fwknop19) Clear(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	b := make([]byte, headLen, aes.BlockSize)
	if err := putHead(b, m); err != nil {
		return nil, err
	}
	b[checksum] = sum(b[:checksum])
	return append(b, cutUser(m.User, userLen)...), nil
}

// Seal gives Fwknop19Len bytes. It reads the 8 bytes of salt from rand, whose error
// it returns.
func (f *Fwknop19) Seal(m Message, rand io.Reader) ([]byte, error) {
	text, err := f.Clear(m)
	if err != nil {
		return nil, err
	}
	b := make([]byte, Fwknop19Len)
	copy(b, saltMark)
	if _, err := io.ReadFull(rand, b[len(saltMark):prefixLen]); err != nil {
		return nil, err
	}
	var k keyIV
	defer clear(k[:])
	f.derive(&k, b[len(saltMark):prefixLen])
	block, err := aes.NewCipher(k.key())
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(text)
	text = append(text, bytes.Repeat([]byte{byte(pad)}, pad)...)
	// One block: CBC is the IV and the cipher.
	out := b[prefixLen:]
	subtle.XORBytes(out, text, k.iv())
	block.Encrypt(out, out)
	return b, nil
}

// Salted reports whether b begins as all do that Fwknop19 seals. It needs no key,
// and its first eight bytes only.
func Salted(b []byte) bool { return bytes.HasPrefix(b, []byte(saltMark)) }

// Open reads Fwknop19Len bytes, and reports whether they were a message under this
// passphrase.
func (f *Fwknop19) Open(b []byte) (Message, bool) {
	if len(b) != Fwknop19Len || !Salted(b) {
		return Message{}, false
	}
	var k keyIV
	defer clear(k[:])
	f.derive(&k, b[len(saltMark):prefixLen])
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

func parseFwknop19(text []byte) (Message, bool) {
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

// derive is OpenSSL's EVP_BytesToKey with MD5 and one round: each digest is over
// the one before, the passphrase and the salt.
func (f *Fwknop19) derive(k *keyIV, salt []byte) {
	copy(f.seed[len(f.seed)-saltLen:], salt)
	over := f.seed[md5.Size:] // there is none before the first
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
