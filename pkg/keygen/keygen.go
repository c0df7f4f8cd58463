// Package keygen makes the keys that a knock server and its client share, and
// writes them where they were asked for.
//
// Keys go to standard output or into new files, and nowhere else; what to do with
// them goes to standard error. A secret for one-time codes is also given as a URI
// and a QR code for a phone, but only to a terminal, or where the secret itself
// goes into a file.
package keygen

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"nftknock/pkg/secret"
	"nftknock/pkg/totp"
)

// Side is the side of a knock whose program makes the key.
type Side uint8

// The two sides of a knock.
const (
	Server Side = iota
	Client
)

// Program is the name of the side's program.
func (s Side) Program() string {
	if s == Server {
		return "nftknockd"
	}
	return "nftknock"
}

// Options say what to make.
type Options struct {
	// Side is for the texts that go with the key.
	Side Side
	// Bits is the size of the key, 256 or 512; 0 stands for DefaultBits.
	Bits int
	// HMAC asks for a second key, for the HMAC of SPA. It needs Output.
	HMAC bool
	// TOTP asks for a secret for one-time codes instead of a key. Algorithm,
	// Issuer and Account go with it; a phone shows the last two, and neither may
	// be empty.
	TOTP            bool
	Algorithm       totp.Algorithm
	Issuer, Account string
	// Output is the file that the key is written to; "" for standard output. The
	// file must not exist yet.
	Output string
	// Brief leaves out what to do with the keys.
	Brief bool
}

// DefaultBits is the usual size of a key, and the largest of a key for SPA.
const DefaultBits = 256

// hmacBits is the size of the key of an HMAC, as fwknop makes it.
const hmacBits = 512

// Run makes the keys and writes them, and to stderr what to do with them.
func Run(o Options, stdout, stderr io.Writer) error {
	m, err := o.make()
	if err != nil {
		return err
	}
	if err := o.deliver(m, stdout, stderr); err != nil {
		return err
	}
	if err := o.show(m, stdout, stderr); err != nil {
		return err
	}
	if o.Brief {
		return nil
	}
	return o.explain(stderr)
}

// made holds what was made: the lines of the files, and the URI of a secret for
// one-time codes.
type made struct{ key, hmac, uri string }

func (o *Options) make() (made, error) {
	switch {
	case o.HMAC && o.TOTP:
		return made{}, errors.New("one-time codes have no HMAC key")
	case o.HMAC && o.Output == "":
		return made{}, errors.New("two keys need a file")
	case o.TOTP:
		return o.makeSecret()
	}
	var m made
	var err error
	if m.key, err = newKey(cmp.Or(o.Bits, DefaultBits)); err == nil && o.HMAC {
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

// deliver puts the keys where they were asked for.
func (o *Options) deliver(m made, stdout, stderr io.Writer) error {
	if o.Output != "" {
		return o.write(m)
	}
	if mode, readable := readable(stdout); readable {
		fmt.Fprintf(stderr, "%s: warning: others can read the file that the key goes to (mode %#o): chmod 600 it, or use -o FILE\n",
			o.Side.Program(), mode)
	}
	_, err := fmt.Fprintln(stdout, m.key)
	return err
}
