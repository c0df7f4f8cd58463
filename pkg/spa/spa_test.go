package spa

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var messages = cmpopts.EquateComparable(Message{}.Address)

func TestVectorsOpen(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			k := newKey(t, v.config)
			if !Plausible([]byte(v.payload)) || !k.Authentic([]byte(v.payload)) {
				t.Fatal("not plausible or not authentic")
			}
			got, token, err := k.Open([]byte(v.payload))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(v.message, got, messages); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			body := v.payload[:len(v.payload)-k.macLen()]
			raw, err := b64.DecodeString(prefix + body)
			if err != nil {
				t.Fatal(err)
			}
			if token != sha256.Sum256(raw[len(magic):]) {
				t.Error("token is not the digest of salt and cipher text")
			}
		})
	}
}

// With the salt and random value of a vector, Seal returns its payload.
func TestVectorsSeal(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			got, err := newKey(t, v.config).Seal(v.message, v.salted(t))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != v.payload {
				t.Errorf("payload is\n%s, want\n%s", got, v.payload)
			}
			if got := string(v.message.text()); got != v.undigested() {
				t.Errorf("text is %s, want %s", got, v.undigested())
			}
		})
	}
}

var hashesAll = []Hash{MD5, SHA1, SHA256, SHA384, SHA512, SHA3_256, SHA3_512}

func TestRoundTripOfAllKinds(t *testing.T) {
	v, _ := vectorNamed(t, "v6")
	for _, cipher := range []Cipher{CBC, Legacy} {
		for _, keyLen := range []int{1, 15, 16, 17, 32} {
			for _, mac := range append([]Hash{0}, hashesAll...) {
				for _, digest := range hashesAll {
					c := keyed(mac)
					c.Cipher, c.Key = cipher, c.Key[:keyLen]
					if mac == 0 {
						c = without(c)
					}
					k := newKey(t, c)
					m := v.message
					m.Random, m.Version, m.Digest = "", "", digest
					payload, err := k.Seal(m, rand.Reader)
					if err != nil {
						t.Fatalf("HMAC %v, digest %v: %v", mac, digest, err)
					}
					got, _, err := k.Open(payload)
					if err != nil {
						t.Fatalf("HMAC %v, digest %v: %v", mac, digest, err)
					}
					m.Random, m.Version = got.Random, "3.0.0"
					if diff := cmp.Diff(m, got, messages); diff != "" {
						t.Errorf("HMAC %v, digest %v: want (-), got (+):\n%s", mac, digest, diff)
					}
				}
			}
		}
	}
}

// mustRefuse checks that Open refuses a payload with one of the errors, and returns
// neither message nor token. Its parameters: what names the case, want lists the errors.
func mustRefuse(t *testing.T, k *Key, payload []byte, what string, want ...error) {
	t.Helper()
	m, token, err := k.Open(payload)
	if err == nil {
		t.Fatalf("%s: opened", what)
	}
	for _, w := range want {
		if errors.Is(err, w) {
			want = nil
			break
		}
	}
	if len(want) > 0 {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
	if token != (Token{}) || !cmp.Equal(m, Message{}, messages) {
		t.Errorf("%s: message or token beside the error", what)
	}
}

// flips calls f with the payload changed in each single bit.
func flips(payload string, f func(changed []byte)) {
	for i := range 8 * len(payload) {
		b := []byte(payload)
		b[i/8] ^= 1 << (i % 8)
		f(b)
	}
}

// With an HMAC every changed bit is detected, without decryption.
func TestFlippedBitsOfAuthenticatedPackets(t *testing.T) {
	for _, v := range vectors {
		k := newKey(t, v.config)
		if k.mac == nil {
			continue
		}
		flips(v.payload, func(b []byte) {
			if Plausible(b) && k.Authentic(b) {
				t.Fatalf("%s: authentic: %s", v.name, b)
			}
			mustRefuse(t, k, b, v.name, ErrFormat, ErrNotForKey)
		})
	}
}

// Without an HMAC, changed bits are detected by the digest, the strict form and the
// padding: one changed bit of the cipher text changes a whole block of the text.
func TestFlippedBitsOfUnauthenticatedPackets(t *testing.T) {
	for _, name := range []string{"v3", "v4"} {
		v, k := vectorNamed(t, name)
		flips(v.payload, func(b []byte) {
			mustRefuse(t, k, b, name, ErrFormat, ErrDigest, ErrNotForKey)
		})
	}
}

// fwknopd 2.6.10 accepts a packet a second time in these spellings.
func TestReplaysSpelledAnew(t *testing.T) {
	v, k := vectorNamed(t, "v3")
	last := len(v.payload) - 1
	const order = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for spare := 1; spare < 4; spare++ { // two bits of its last character
		b := []byte(v.payload)
		b[last] = order[strings.IndexByte(order, b[last])|spare]
		mustRefuse(t, k, b, "spare bits", ErrFormat)
	}
	for _, tail := range []string{"=AAAA", "=", "==", "A", "AA", "AAAA", "\n", "\r\n", " ", "\x00"} {
		mustRefuse(t, k, []byte(v.payload+tail), "tail", ErrFormat, ErrNotForKey)
	}
	for i := range v.payload {
		mustRefuse(t, k, []byte(v.payload[:i]+"\n"+v.payload[i:]), "line end", ErrFormat)
	}
	mustRefuse(t, k, []byte(prefix+v.payload), "prefix", ErrFormat)
}

func TestTruncatedPackets(t *testing.T) {
	for _, v := range vectors {
		k := newKey(t, v.config)
		for i := range v.payload {
			mustRefuse(t, k, []byte(v.payload[:i]), v.name, ErrFormat, ErrDigest, ErrNotForKey)
			mustRefuse(t, k, []byte(v.payload[i+1:]), v.name, ErrFormat, ErrDigest, ErrNotForKey)
		}
	}
}

func TestOtherKeys(t *testing.T) {
	v, _ := vectorNamed(t, "v1")
	other := func(change func(c *Config)) Config {
		c := keyed(SHA256)
		change(&c)
		return c
	}
	for name, c := range map[string]Config{
		"HMAC key":        other(func(c *Config) { c.HMACKey[0] ^= 1 }),
		"encryption key":  other(func(c *Config) { c.Key[31] ^= 1 }),
		"hash of HMAC":    keyed(SHA3_256),
		"length of HMAC":  keyed(SHA512),
		"other and none":  without(other(func(c *Config) { c.Key[0] ^= 1 })),
		"shorter":         other(func(c *Config) { c.Key = c.Key[:31] }),
		"shorter of HMAC": other(func(c *Config) { c.HMACKey = c.HMACKey[:63] }),
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, newKey(t, c), []byte(v.payload), name, ErrNotForKey)
		})
	}
	// The token does not depend on the HMAC.
	mustRefuse(t, newKey(t, without(v.config)), []byte(v.payload), "no HMAC key", ErrFormat, ErrNotForKey)

	v, _ = vectorNamed(t, "v3")
	for name, c := range map[string]Config{
		"passphrase": {Key: []byte("3ncryptk3z")},
		"legacy":     {Key: []byte("3ncryptk3y"), Cipher: Legacy},
		"HMAC":       keyed(SHA256),
	} {
		mustRefuse(t, newKey(t, c), []byte(v.payload), name, ErrNotForKey)
	}
}

// In legacy mode fwknop and fwknopd ignore a key after 16 bytes.
func TestLegacyHasKeysOf16Bytes(t *testing.T) {
	const long = "0123456789abcdefgh"
	for key, same := range map[string]string{
		long[:2]: "01" + strings.Repeat("0", 14), long[:16]: long[:16], long: long[:16],
	} {
		payload := sealed(newKey(t, Config{Key: []byte(key), Cipher: Legacy}), vectors[0].text)
		if _, _, err := newKey(t, Config{Key: []byte(same)}).Open(payload); err != nil {
			t.Errorf("key of %d bytes: %v", len(key), err)
		}
	}
}

// sealed returns the payload of any plain text.
func sealed(k *Key, text string) []byte { return k.payload([]byte("saltsalt"), []byte(text)) }

// digested returns the text with its digest.
func digested(text string) string {
	return text + ":" + b64.EncodeToString(SHA256.sum([]byte(text)))
}

func TestHoldersOfTheKeyMustKeepToTheFormat(t *testing.T) {
	for _, name := range []string{"v1", "v3"} {
		v, k := vectorNamed(t, name)
		text := v.undigested()
		if _, _, err := k.Open(sealed(k, digested(text))); err != nil {
			t.Fatal(err)
		}
		long := text + strings.Repeat("x", 40)
		for what, bad := range map[string]string{
			"no digest":           strings.ReplaceAll(v.text, ":", ";"),
			"empty digest":        long + ":",
			"cut digest":          v.text[:len(v.text)-1],
			"digest padded twice": v.text + "==",
			"digest of no hash":   long + ":AAAA",
			"broken digest":       long + ":A*AA",
			"digest, line end":    v.text + "\n",
			"digest, spare bits":  v.text[:len(v.text)-1] + string(v.text[len(v.text)-1]+1),
		} {
			mustRefuse(t, k, sealed(k, bad), what, ErrFormat)
		}
		mustRefuse(t, k, sealed(k, text+":"+b64.EncodeToString(make([]byte, 32))), "other digest", ErrDigest)
		mustRefuse(t, k, sealed(k, digested("x"+text)), "random value", ErrNotForKey)
		mustRefuse(t, k, sealed(k, digested("0"+text)), "long random value", ErrFormat)
	}
}

// The client for Android 4.1.2 sends no padding, which fwknopd accepts.
func TestPaddingIsStrict(t *testing.T) {
	_, k := vectorNamed(t, "v1")
	seal := func(padded string) []byte {
		salt := []byte("saltsalt")
		text := []byte(padded)
		payload := encrypt(k.secret, salt, text)[:len(text)]
		payload = []byte(b64.EncodeToString(append([]byte(magic+"saltsalt"), payload...))[len(prefix):])
		return k.mac.appendText(payload, payload)
	}
	text := ""
	for user := "a"; len(text) == 0 || len(text)%16 != 0; user += "a" {
		m := vectors[0].message
		m.User = user
		text = digested(string(m.text()))
	}
	if _, _, err := k.Open(seal(text + strings.Repeat("\x10", 16))); err != nil {
		t.Fatal(err)
	}
	for what, tail := range map[string]string{
		"none": "", "zeros": strings.Repeat("\x00", 16), "too long": strings.Repeat("\x11", 16),
		"two lengths": strings.Repeat("\x0f", 15) + "\x10",
	} {
		mustRefuse(t, k, seal(text+tail), what, ErrFormat)
	}
}

func TestWipedKey(t *testing.T) {
	for _, v := range vectors {
		k := newKey(t, v.config)
		m := k.mac
		secret := k.secret
		k.Wipe()
		k.Wipe()
		if strings.Trim(string(secret), "\x00") != "" {
			t.Error("secret is still there")
		}
		if m != nil && strings.Trim(string(m.inner)+string(m.outer), "\x00") != "" {
			t.Error("state of HMAC is still there")
		}
		if k.Authentic([]byte(v.payload)) {
			t.Error("a wiped key authenticates")
		}
		mustRefuse(t, k, []byte(v.payload), v.name, ErrNotForKey)
		if _, err := k.Seal(v.message, v.salted(t)); err == nil {
			t.Error("a wiped key seals")
		}
	}
}
