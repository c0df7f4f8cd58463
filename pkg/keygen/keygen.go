// Package keygen makes the keys that a knock server and its client share: it is
// the command keygen of both programs.
//
// What it makes goes to standard output alone, or into files; what a person is
// to do with it is on standard error. A one-time secret is shown a second time,
// as a URI and a QR code for a phone, but only to a terminal or where it was asked
// to be written into a file.
package keygen

import (
	"fmt"
	"os"
	"os/user"
	"strings"

	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// UsageError is a mistake on the command line.
type UsageError struct{ error }

func usage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Options say what is to be made.
type Options struct {
	// Bits is the size of the key, 256 or 512.
	Bits int
	// HMAC is for a second key, that of SPA's HMAC. It needs Output.
	HMAC bool
	// TOTP is for a one-time secret instead of a key; Algorithm, Issuer and
	// Account are of it. The last two are what the phone shows.
	TOTP            bool
	Algorithm       totp.Algorithm
	Issuer, Account string
	// Output is the file the key is written to; empty for standard output.
	Output string
}

// hmacBits is the size of the key of an HMAC, as fwknop makes it.
const hmacBits = 512

// check finds what contradicts itself.
func (o *Options) check() error {
	switch {
	case o.TOTP && o.HMAC:
		return usage("--totp and --hmac exclude each other: one-time codes have one secret")
	case o.HMAC && o.Output == "":
		return usage("--hmac makes two keys: name a file for the first with -o FILE, the second becomes FILE.hmac")
	case o.HMAC && o.Bits > 256:
		return usage("--hmac makes keys for SPA, and those have at most 256 bits: leave out --bits %d", o.Bits)
	case o.Bits != 256 && o.Bits != 512:
		return usage("bad --bits %d: want 256 or 512", o.Bits)
	case o.Issuer == "" || o.Account == "":
		return usage("--issuer and --account cannot be empty: they are what the phone shows")
	}
	return nil
}

// made is what there is to hand out: the lines of the files, and the URI of a
// one-time secret.
type made struct{ key, hmac, uri string }

func (o *Options) make() (made, error) {
	if o.TOTP {
		return o.makeSecret()
	}
	var m made
	var err error
	if m.key, err = newKey(o.Bits); err == nil && o.HMAC {
		m.hmac, err = newKey(hmacBits)
	}
	return m, err
}

func newKey(bits int) (string, error) {
	key, err := secret.Generate(bits)
	if err != nil {
		return "", err
	}
	defer key.Wipe()
	return key.Text(), nil
}

func (o *Options) makeSecret() (made, error) {
	s, err := totp.Generate(o.Algorithm)
	if err != nil {
		return made{}, err
	}
	defer s.Wipe()
	return made{key: s.Base32(), uri: s.URI(o.Issuer, o.Account)}, nil
}

// hostName is what a phone shows unless told otherwise.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "nftknock"
}

func loginName() string {
	u, err := user.Current()
	if err != nil {
		return "me"
	}
	return u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
}
