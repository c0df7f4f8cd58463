package spa

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nftknock/pkg/port"
	"nftknock/pkg/username"
)

// Message is the content of a packet.
//
// A message that Open returns may be of another Type than Access and AccessTimeout and
// have a request that breaks the format, such as a command without an address. Nothing is
// ever opened for it, so that its type says all there is to say: the fields from Address
// on, but for Digest, are then zero.
type Message struct {
	// Random is 16 random decimal digits, by which all packets differ.
	Random string
	// User is the name of the sender: 1 to 48 bytes of UTF-8 that print (package
	// username), without * + , / : ; < = > ? [ \ ] | and the double quote. (fwknop's
	// client cuts a name after 29, and fwknop refuses all that is no ASCII.)
	User string
	// Time is the sender's time, from 1970 on, in seconds of up to 12 digits; Seal
	// drops fractions. It is in UTC when decoded.
	Time time.Time
	// Version is the version of the protocol, digits and dots: "3.0.0".
	Version string
	Type    Type
	// Address is the address to grant access to; the zero Addr stands for the
	// sender of the packet, and is written as "0.0.0.0".
	Address netip.Addr
	// Services are the services to open: one or more, except for the type Command.
	// With the address they have at most 255 characters: 24 services with ports of
	// five digits, up to 41 with shorter ones. (fwknop's client sends as many, but
	// see Seal for how many its server reads.)
	Services []port.Range
	// Command is the command to run, for the type Command only.
	Command string
	// NAT is the destination for the types that have one, as in the packet:
	// "10.0.0.5,22", an address or host name and a port, up to 128 bytes.
	NAT string
	// ServerAuth is a secret for an additional authentication by the server, up to
	// 64 characters. It is usually empty.
	ServerAuth string
	// Timeout is how long access shall last, in whole seconds from 1 to 2^31-1, for
	// the types with a timeout; 0 for others. (fwknop's client sends up to 131072,
	// its server accepts up to 65536.)
	Timeout time.Duration
	// Digest is the hash function of the digest in the message.
	Digest Hash
}

// The limits of fields. Those of fwknop 2.6.10 are the same or lower.
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

// NotInUser are the characters that fwknop refuses in user names, and so does Open.
const NotInUser = `"*+,/:;<=>?[\]|`

// check verifies the conditions in the comments of Message, except for Digest. Its errors
// contain no part of the message.
func (m *Message) check() error {
	if err := m.checkHead(); err != nil {
		return err
	}
	return m.checkBody()
}

// checkHead verifies the fields that are written before MSG.
func (m *Message) checkHead() error {
	switch unix := m.Time.Unix(); {
	case len(m.Random) != randomLen || !consistsOf(m.Random, isDigit):
		return errors.New("bad random value: want 16 decimal digits")
	case !inBounds(m.User, maxUser) || !username.Prints(m.User) || strings.ContainsAny(m.User, NotInUser):
		return errUser
	case unix < 0 || unix > maxTime:
		return errors.New("bad time: want seconds since 1970 in 12 digits or fewer")
	case !inBounds(m.Version, maxVersion) || !consistsOf(m.Version, isVersionChar) || m.Version[0] == '.':
		return errors.New("bad version: want digits and dots, 8 characters or fewer")
	case m.Type > LocalNATTimeout:
		return errors.New("bad type: want 0 to 6")
	}
	return nil
}

// checkBody verifies all others.
func (m *Message) checkBody() error {
	if err := m.checkRequest(); err != nil {
		return err
	}
	return m.checkOptions()
}

// checkRequest verifies the fields that are encoded in MSG.
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

// checkOptions verifies the fields that only some messages have.
func (m *Message) checkOptions() error {
	switch {
	case m.Type.NAT() && !validNAT(m.NAT):
		return errors.New("bad NAT destination: want ADDRESS,PORT, 128 characters or fewer")
	case !m.Type.NAT() && m.NAT != "":
		return errors.New("a NAT destination in a message whose type has none: want none")
	case m.Type.timed() && (m.Timeout < time.Second || m.Timeout > maxTimeout*time.Second || m.Timeout%time.Second != 0):
		return errTimeout
	case !m.Type.timed() && m.Timeout != 0:
		return errors.New("a timeout in a message whose type has none: want none")
	case len(m.ServerAuth) > maxServerAuth || !consistsOf(m.ServerAuth, isPrintable):
		return errors.New("bad server authentication: want 64 printable ASCII characters or fewer")
	}
	return nil
}

var (
	errUser    = fmt.Errorf("%w: want 1 to 48 bytes of UTF-8 that print, none of %s", ErrUser, NotInUser)
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
func isCommandChar(r rune) bool { return unicode.IsPrint(r) || r == '\t' }

func isHostChar(r rune) bool {
	return isVersionChar(r) || r == '-' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// validNAT reports whether s is an address or a host name, a comma and a port. fwknop's
// client sends names, which its server resolves.
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
