package client

import (
	"crypto/rand"
	"time"

	"nftknock/pkg/seal"
	"nftknock/pkg/secret"
)

// sivWindow is the default of the server's policy for the difference between the time of
// a message and the server's clock.
const sivWindow = 60 * time.Second

// sealers seal a message in each encoding.
var sealers = map[Encoding]func(*secret.Key, seal.Message) (clear, sealed []byte, err error){
	SIV:      sealSIV,
	Article:  sealArticle,
	Fwknop19: sealFwknop19,
}

func sealSIV(key *secret.Key, m seal.Message) (clear, sealed []byte, err error) {
	newSIV := seal.NewSIV
	if key.Passphrase() {
		newSIV = seal.NewSIVPassphrase
	}
	s, err := newSIV(key.Bytes())
	if err != nil {
		return nil, nil, err
	}
	defer s.Wipe()
	return sealWith(s.Clear, s.Seal, m)
}

func sealArticle(key *secret.Key, m seal.Message) (clear, sealed []byte, err error) {
	a, err := seal.NewArticle(key.Bytes())
	if err != nil {
		return nil, nil, err
	}
	defer a.Wipe()
	if clear, sealed, err = sealWith(a.Clear, a.Seal, m); err != nil {
		return nil, nil, err
	}
	// The article prints the clear text without its byte of padding.
	return clear[:seal.ArticleLen-1], sealed, nil
}

func sealFwknop19(key *secret.Key, m seal.Message) (clear, sealed []byte, err error) {
	f, err := seal.NewFwknop19(key.Bytes())
	if err != nil {
		return nil, nil, err
	}
	defer f.Wipe()
	return sealWith(f.Clear, func(m seal.Message) ([]byte, error) { return f.Seal(m, rand.Reader) }, m)
}

func sealWith(plain, sealing func(seal.Message) ([]byte, error), m seal.Message) (clear, sealed []byte, err error) {
	if clear, err = plain(m); err == nil {
		sealed, err = sealing(m)
	}
	return clear, sealed, err
}
