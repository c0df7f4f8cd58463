package spa

import (
	"bytes"
	"errors"
	"fmt"
)

// Config holds the arguments of NewKey.
type Config struct {
	// Key is the secret that packets are encrypted with: a passphrase, or the
	// decoded bytes of fwknop's KEY_BASE64; 1 to 32 bytes. With a longer key fwknop
	// fails at its first packet ("Invalid key length").
	Key    []byte
	Cipher Cipher
	// HMACKey is the secret that packets are authenticated with, 1 to 128 bytes as
	// in fwknop. It is nil for packets without HMAC, in which only the digest of the
	// message detects changes.
	HMACKey []byte
	// HMAC is the hash function of the HMAC. It must be set if HMACKey is.
	HMAC Hash
}

// maxHMACKey is the length of the longest HMAC key that fwknop accepts, in bytes.
const maxHMACKey = 128

// Key opens and seals packets with one secret. Several goroutines may use a Key at the
// same time.
type Key struct {
	secret []byte
	mac    *mac // nil: no HMAC
}

// NewKey makes a key. It shares no memory with c. An HMACKey that is empty but not nil is
// an error, so that an empty file does not turn authentication off.
func NewKey(c Config) (*Key, error) {
	switch {
	case len(c.Key) == 0 || len(c.Key) > maxSecret:
		return nil, fmt.Errorf("bad key of %d bytes: want 1 to %d", len(c.Key), maxSecret)
	case c.Cipher > Legacy:
		return nil, errors.New("bad cipher: want CBC or Legacy")
	case c.HMACKey != nil && (len(c.HMACKey) == 0 || len(c.HMACKey) > maxHMACKey):
		return nil, fmt.Errorf("bad HMAC key of %d bytes: want 1 to %d", len(c.HMACKey), maxHMACKey)
	case c.HMACKey != nil && !c.HMAC.valid():
		return nil, errors.New("bad hash of HMAC: want one of MD5 to SHA3_512")
	}
	k := &Key{secret: secret(c)}
	if c.HMACKey != nil {
		k.mac = newMAC(c.HMAC, c.HMACKey)
	}
	return k, nil
}

// secret returns the secret that the keys of packets are derived from.
func secret(c Config) []byte {
	if c.Cipher == CBC {
		return bytes.Clone(c.Key)
	}
	s := bytes.Repeat([]byte{'0'}, legacyLen)
	copy(s, c.Key)
	return s
}

// Wipe zeroes the secrets in the key, but not data that hash functions and ciphers have
// derived from them. After it Open and Seal fail. No other goroutine may use the key
// during the call.
func (k *Key) Wipe() {
	clear(k.secret)
	k.secret = nil
	if k.mac != nil {
		k.mac.wipe()
		k.mac = nil
	}
}

// wiped reports whether Wipe was called.
func (k *Key) wiped() bool { return len(k.secret) == 0 }

// Authentic reports whether the payload's HMAC is right; for a key without HMAC it
// returns true. A caller with many keys should call it before Open: it takes the time of
// one hash of the payload, or almost none if the payload's length does not fit the key's
// HMAC, and usually does not allocate. The comparison takes the same time wherever two
// HMACs differ.
func (k *Key) Authentic(payload []byte) bool {
	switch {
	case k.wiped():
		return false
	case k.mac == nil:
		return true
	}
	w := k.mac.hash.worker()
	defer pools[k.mac.hash].Put(w)
	return k.mac.verify(w, payload)
}

// A Scratch is working memory for AuthenticIn. It is for one goroutine, and for any
// number of keys. Its zero value is ready to use.
type Scratch struct{ workers [len(hashes)]*worker }

// AuthenticIn is Authentic with a Scratch. It never allocates after the first call per
// hash function, while Authentic may after a garbage collection.
func (k *Key) AuthenticIn(s *Scratch, payload []byte) bool {
	switch {
	case k.wiped():
		return false
	case k.mac == nil:
		return true
	}
	w := &s.workers[k.mac.hash]
	if *w == nil {
		*w = k.mac.hash.newWorker()
	}
	return k.mac.verify(*w, payload)
}

// macLen returns the number of characters of the HMAC in a payload.
func (k *Key) macLen() int {
	if k.mac == nil {
		return 0
	}
	return k.mac.hash.textLen()
}
