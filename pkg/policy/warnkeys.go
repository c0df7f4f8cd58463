package policy

import (
	"fmt"

	"nftknock/pkg/spa"
)

// fewBytes: shorter keys, of fewer than 128 bits, could be found by trying.
const fewBytes = 16

// warnKeys warns of weak keys, and of knocks that make them so.
func warnKeys(e entry) {
	t := e.table
	for _, s := range e.keySlots() {
		if s.place(t) == s.name {
			t.warn(t.keyAt(s.name), fmt.Sprintf("this %s is in the policy itself", s.name),
				fmt.Sprintf("secrets belong in files of mode 0600: want %s or %s", s.fileKey(), s.credentialKey()))
		}
	}
	switch e.Kind {
	case KindEncrypted:
		warnEncoding(e)
	case KindTOTP:
		// RFC 4226, section 4, R6 recommends 160 bits.
		if e.Secret != nil && e.Secret.Weak() {
			e.warnKey(0, "this secret has fewer than 160 bits", `"nftknockd keygen --totp" makes a longer one`)
		}
	case KindSPA:
		warnSPA(e)
	}
}

// warnKey warns at the place where a key of the access is from.
func (e entry) warnKey(slot int, message, hint string) {
	s := e.keySlots()[slot]
	e.table.warn(e.table.valueAt(s.place(e.table)), message, hint)
}

func warnEncoding(e entry) {
	t := e.table
	at := t.valueAt("encoding")
	switch e.Encoding {
	case EncodingSIV:
		if e.Key != nil && e.Key.Passphrase() {
			warnPassphrase(e)
		}
	case EncodingArticle:
		t.warn(at, `encoding "article" has no authentication, carries no time, and has a short key`, `want encoding "siv"`)
		t.warn(at, `with encoding "article" each request opens once and never again: its packets are the same each time, so a second one looks like a replay of the first`,
			"another user, address or port makes another request")
	case EncodingFwknop19:
		t.warn(at, `encoding "fwknop-1.9" has no authentication, carries no time, and makes its key with one round of MD5`, `want encoding "siv" for clients that know it`)
	}
}

func warnPassphrase(e entry) {
	e.warnKey(0, "this key is a passphrase: whoever has recorded a knock can test guesses without limit",
		`"nftknockd keygen" makes a random key; raw bytes are written "base64:..."`)
}

func warnSPA(e entry) {
	t := e.table
	switch {
	case e.Key == nil:
	case e.Key.Passphrase():
		warnPassphrase(e)
	case len(e.Key.Bytes()) < fewBytes:
		e.warnKey(0, fmt.Sprintf("this key has only %d bytes", len(e.Key.Bytes())), fmt.Sprintf("want %d or more", fewBytes))
	}
	switch {
	case e.HMACKey == nil:
	// Both would be lost together, and CBC and HMAC are meant to have independent keys.
	case e.HMACKey.Equal(e.Key):
		e.warnKey(1, "the HMAC key is the same as the key", "want two keys of which neither tells the other")
	case len(e.HMACKey.Bytes()) < fewBytes:
		e.warnKey(1, fmt.Sprintf("this HMAC key has only %d bytes", len(e.HMACKey.Bytes())), fmt.Sprintf("want %d or more", fewBytes))
	}
	if e.Cipher == spa.Legacy {
		t.warn(t.valueAt("cipher"), `cipher "legacy" fills up short keys with zeros`, `want "cbc" for clients of fwknop 2.5 and newer`)
	}
	switch at := t.valueAt("allow_unauthenticated"); {
	case !e.AllowUnauthenticated:
	case e.authenticated():
		t.warn(at, "allow_unauthenticated has no effect beside an HMAC key: packets must have its HMAC", "remove it, or the HMAC key")
	default:
		t.warn(at, "packets without HMAC can be altered on their way, and each costs a decryption", "want hmac_key_file or hmac_key_credential")
	}
}
