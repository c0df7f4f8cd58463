package policy

import (
	"fmt"

	"nftknock/pkg/invalid"
	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// The lengths of keys, in bytes; see packages seal and spa.
const (
	minPassphrase  = 8
	maxArticleKey  = 15
	maxFwknop19Key = 16
	maxSPAKey      = 32
	maxHMACKey     = 128
)

func (a *Access) setKey(text []byte) error {
	k, err := secret.Parse(text)
	if err != nil {
		return err
	}
	if err := checkKey(k, a); err != nil {
		// A key that is not used must not stay in memory.
		k.Wipe()
		return err
	}
	a.Key = k
	return nil
}

func (a *Access) setHMACKey(text []byte) error {
	k, err := secret.Parse(text)
	if err != nil {
		return err
	}
	if n := len(k.Bytes()); n > maxHMACKey {
		k.Wipe()
		return invalid.Newf(fmt.Sprintf("at most %d", maxHMACKey), "bad HMAC key of %d bytes", n)
	}
	a.HMACKey = k
	return nil
}

func (a *Access) setSecret(text []byte) (err error) {
	a.Secret, err = totp.ParseSecret(text, a.Algorithm)
	return err
}

// checkKey refuses a key that the knock of the access cannot have.
func checkKey(k *secret.Key, a *Access) error {
	switch n := len(k.Bytes()); {
	case a.Kind == KindSPA:
		// fwknop reads Rijndael keys of 32 bytes at most (pkg/spa, maxSecret).
		if n > maxSPAKey {
			return invalid.Newf(fmt.Sprintf("at most %d for knock %q", maxSPAKey, string(KindSPA)), "bad key of %d bytes", n)
		}
	case a.Encoding == EncodingSIV:
		return checkSIVKey(k)
	case a.Encoding == EncodingArticle:
		return checkTextKey(k, a.Encoding, maxArticleKey)
	case a.Encoding == EncodingFwknop19:
		return checkTextKey(k, a.Encoding, maxFwknop19Key)
	}
	return nil
}

func checkSIVKey(k *secret.Key) error {
	switch n := len(k.Bytes()); {
	// seal.NewSIVPassphrase stretches a passphrase; seal.NewSIV takes raw bytes as they
	// are, for AES-SIV of 128 or 256 bits (RFC 5297).
	case k.Passphrase() && n < minPassphrase:
		return invalid.Newf(fmt.Sprintf(`%d or more; better a key, which "nftknockd keygen" makes`, minPassphrase), "bad passphrase of %d bytes", n)
	case !k.Passphrase() && n != 32 && n != 64:
		return invalid.Newf(`32 or 64: "nftknockd keygen" makes such a key`, "bad key of %d bytes", n)
	}
	return nil
}

// checkTextKey checks a key that other programs read as plain text.
func checkTextKey(k *secret.Key, e Encoding, most int) error {
	want := fmt.Sprintf("text of %d to %d bytes for encoding %q", minPassphrase, most, string(e))
	switch n := len(k.Bytes()); {
	// Both programs take the key as a line of text.
	case !k.Passphrase():
		return invalid.New("bad key: it is written as base64", want)
	case n < minPassphrase || n > most:
		return invalid.Newf(want, "bad key of %d bytes", n)
	}
	return nil
}
