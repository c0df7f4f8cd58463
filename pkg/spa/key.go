package spa

import (
	"bytes"
	"errors"
	"fmt"
)

// Config is what a Key is made from.
type Config struct {
	// Key is the secret that packets are encrypted with: a passphrase, or what
	// was base64 (fwknop's KEY_BASE64); 1 to 32 bytes. With a longer one fwknop
	// stops at its first packet: "Invalid key length".
	Key    []byte
	Cipher Cipher
	// HMACKey is the secret that packets are authenticated with, 1 to 128
	// bytes as in fwknop; nil for packets without HMAC, of which only the
	// plain hash inside tells that they were altered.
	HMACKey []byte
	// HMAC is the hash function of the HMAC, needed if there is an HMACKey.
	HMAC Hash
}

// maxHMACKey is the length of the longest HMAC key that fwknop takes.
const maxHMACKey = 128

// Key opens and seals the packets of those who share a secret. Goroutines may
// use a Key at the same time.
type Key struct {
	secret []byte
	mac    *mac // nil: no HMAC
}

// NewKey makes a key. It keeps nothing of what it is given. An HMACKey that is
// empty but not nil is an error, lest an empty file turn authentication off.
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

// secret returns what keys are derived from.
func secret(c Config) []byte {
	if c.Cipher == CBC {
		return bytes.Clone(c.Key)
	}
	s := bytes.Repeat([]byte{'0'}, legacyLen)
	copy(s, c.Key)
	return s
}

// Wipe overwrites the secrets in the key. What hash functions and ciphers had
// of them in memory it cannot reach. From then on the key opens nothing and
// seals nothing. No other goroutine may use the key meanwhile.
func (k *Key) Wipe() {
	clear(k.secret)
	k.secret = nil
	if k.mac != nil {
		k.mac.wipe()
		k.mac = nil
	}
}

// wiped reports whether the key is of no use any more.
func (k *Key) wiped() bool { return len(k.secret) == 0 }

// Authentic reports whether the payload's HMAC is right. It is what to ask
// first where there are many keys: it allocates nothing once warm and takes as
// long as the hash function needs for the packet, if the payload's length fits
// the key's HMAC, and nearly no time otherwise. The comparison takes the same time
// wherever two HMACs differ. For a key without HMAC the answer is true.
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

// A Scratch is what one goroutine checks HMACs in, of as many keys as it likes.
// Its zero value is ready.
type Scratch struct{ workers [len(hashes)]*worker }

// AuthenticIn is Authentic for a goroutine that has a Scratch of its own: it
// never allocates once each hash function was used, whatever the garbage
// collector does.
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

// macLen is how many characters of a payload are the HMAC.
func (k *Key) macLen() int {
	if k.mac == nil {
		return 0
	}
	return k.mac.hash.textLen()
}
