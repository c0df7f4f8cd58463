package spa

import (
	"errors"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nftknock/pkg/port"
)

// Message is what a packet says.
type Message struct {
	// Random is 16 decimal digits that make each packet another.
	Random string
	// User is the name of the sender: 1 to 48 printable ASCII characters but
	// for these: * + , / : ; < = > ? [ \ ] | and the double quote. (fwknop's
	// client cuts a name after 29.)
	User string
	// Time is the sender's clock in seconds since 1970, up to 12 digits; Seal
	// drops fractions. It is in UTC when decoded.
	Time time.Time
	// Version is the version of the protocol, digits and dots, "3.0.0".
	Version string
	Type    Type
	// Address is to be let in; the zero Addr is the sender of the packet,
	// which is written as "0.0.0.0".
	Address netip.Addr
	// Services are to be opened, one or more in all types but Command. With
	// the address they fill 255 characters at most: 24 services with ports of
	// five digits, up to 41 with shorter ones. (fwknop's client sends as many,
	// but see Seal for how many its server reads.)
	Services []port.Range
	// Command is to be run, for the type Command alone.
	Command string
	// NAT is the destination of the types that have one, as it is written:
	// "10.0.0.5,22", an address or host name and a port, up to 128 bytes.
	NAT string
	// ServerAuth is what the sender says to a further authentication of the
	// server, up to 64 characters; a secret. Usually empty.
	ServerAuth string
	// Timeout is how long the door shall be open, in whole seconds from 1 to
	// 2^31-1, for the types with a timeout; 0 for others. (fwknop's client
	// sends up to 131072, of which its server takes up to 65536.)
	Timeout time.Duration
	// Digest is the hash function of the digest inside.
	Digest Hash
}

// The bounds of fields. Those of fwknop 2.6.10 are as wide or narrower.
const (
	randomLen     = 16
	maxUser       = 48              // 64 characters in base64
	maxTime       = 999_999_999_999 // 12 digits
	maxVersion    = 8
	maxRequest    = 255 // of MSG
	maxNAT        = 128
	maxServerAuth = 64
	maxTimeout    = 1<<31 - 1 // seconds
)

// check verifies all that Message says of its fields but for Digest. Its errors
// hold nothing of the message.
func (m *Message) check() error {
	switch unix := m.Time.Unix(); {
	case len(m.Random) != randomLen || !consistsOf(m.Random, isDigit):
		return errors.New("bad random value: want 16 decimal digits")
	case !inBounds(m.User, maxUser) || !consistsOf(m.User, isUserChar):
		return errors.New(`bad user name: want 1 to 48 printable ASCII characters, none of "*+,/:;<=>?[\]|`)
	case unix < 0 || unix > maxTime:
		return errors.New("bad time: want seconds since 1970 in 12 digits or fewer")
	case !inBounds(m.Version, maxVersion) || !consistsOf(m.Version, isVersionChar) || m.Version[0] == '.':
		return errors.New("bad version: want digits and dots, 8 characters or fewer")
	case m.Type > LocalNATTimeout:
		return errors.New("bad type: want 0 to 6")
	}
	if err := m.checkRequest(); err != nil {
		return err
	}
	return m.checkOptions()
}

// checkRequest verifies what is in MSG.
func (m *Message) checkRequest() error {
	if err := checkAddress(m.Address); err != nil {
		return err
	}
	if m.Type == Command {
		switch {
		case m.Command == "" || !utf8.ValidString(m.Command) || !consistsOf(m.Command, isCommandChar):
			return errors.New("bad command: want printable characters")
		case len(m.Services) > 0:
			return errors.New("services in a command message: want none")
		}
	} else {
		switch {
		case len(m.Services) == 0:
			return errors.New("no service: want one or more")
		case m.Command != "":
			return errors.New("a command in an access message: want none")
		}
	}
	for _, s := range m.Services {
		if err := checkService(s); err != nil {
			return err
		}
	}
	if len(m.request()) > maxRequest {
		return errors.New("too long a request: want address with services or command in 255 characters")
	}
	return nil
}

// checkOptions verifies the fields that not all messages have.
func (m *Message) checkOptions() error {
	switch {
	case m.Type.NAT() && !validNAT(m.NAT):
		return errors.New("bad NAT destination: want ADDRESS,PORT, 128 characters or fewer")
	case !m.Type.NAT() && m.NAT != "":
		return errors.New("a NAT destination in a message of a type without: want none")
	case m.Type.timed() && (m.Timeout < time.Second || m.Timeout > maxTimeout*time.Second || m.Timeout%time.Second != 0):
		return errTimeout
	case !m.Type.timed() && m.Timeout != 0:
		return errors.New("a timeout in a message of a type without: want none")
	case len(m.ServerAuth) > maxServerAuth || !consistsOf(m.ServerAuth, isPrintable):
		return errors.New("bad server authentication: want 64 printable ASCII characters or fewer")
	}
	return nil
}

var (
	errAddress = errors.New("bad address: want IPv4 or IPv6 in its usual form, without a zone")
	errTimeout = errors.New("bad timeout: want whole seconds from 1 to 2147483647")
)

func inBounds(s string, limit int) bool { return s != "" && len(s) <= limit }

func consistsOf(s string, of func(rune) bool) bool {
	return strings.IndexFunc(s, func(r rune) bool { return !of(r) }) < 0
}

func isDigit(r rune) bool       { return '0' <= r && r <= '9' }
func isVersionChar(r rune) bool { return isDigit(r) || r == '.' }
func isPrintable(r rune) bool   { return ' ' <= r && r <= '~' }
func isUserChar(r rune) bool    { return isPrintable(r) && !strings.ContainsRune(`"*+,/:;<=>?[\]|`, r) }
func isCommandChar(r rune) bool { return unicode.IsPrint(r) || r == '\t' }

func isHostChar(r rune) bool {
	return isVersionChar(r) || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// validNAT reports whether s is an address or host name and a port. fwknop's
// client sends names for the server to resolve.
func validNAT(s string) bool {
	host, port, _ := strings.Cut(s, ",")
	n, ok := parseDecimal(port, 65535)
	if !ok || n == 0 || !inBounds(s, maxNAT) {
		return false
	}
	if _, err := parseAddress(host); err == nil {
		return true
	}
	return host != "" && consistsOf(host, isHostChar) && host[0] != '-' && host[0] != '.'
}
