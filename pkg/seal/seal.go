// Package seal encrypts the request of a client into bytes that are sent as the
// destination ports of packets, one byte per packet, and decrypts them. There are three
// encodings:
//
//   - Article is that of the fwknop article of 2004: one block of AES, packets in
//     order, without authentication or time.
//   - Fwknop19 is that of the Perl programs of fwknop 1.9: AES-CBC in the format of
//     OpenSSL's enc command, packets in order, without authentication or time.
//   - SIV is authenticated, has a time and an address of either family, and its
//     packets may arrive in any order.
//
// The package does not detect replays: the caller must refuse messages that it has
// opened before, and for SIV those that are too old.
package seal

import (
	"fmt"
	"net/netip"
	"time"

	"nftknock/pkg/username"
)

// IP protocol numbers that a message may ask for, as assigned by IANA.
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// Message is the request of a client.
type Message struct {
	// Address is the address to grant access to; the zero Addr stands for the sender
	// of the packets. When a message is sealed, an unspecified address stands for the
	// sender too, and an IPv4-mapped address for its IPv4 address.
	Address netip.Addr
	// Protocol is the IANA number of tcp (6), udp (17) or icmp (1), which
	// stands for ICMPv6 too.
	Protocol uint8
	// Port is 0 for icmp, and only for icmp.
	Port uint16
	// User is the user name: with SIV text in UTF-8 that prints (package username), else
	// printable ASCII, since these encodings know a right key by it, among other things.
	// Sealing cuts it to the length that the encoding has, between two characters.
	User string
	// Time is when the message was sealed, in whole seconds; the zero Time if the
	// encoding has no time.
	Time time.Time
}

// check returns an error if no encoding can seal the message.
func (m Message) check() error {
	if !validProtocol(m.Protocol) {
		return fmt.Errorf("bad protocol %d: want 1 (icmp), 6 (tcp) or 17 (udp)", m.Protocol)
	}
	if !validPort(m.Protocol, m.Port) {
		return fmt.Errorf("bad port %d of protocol %d: want 0 for icmp, 1 to 65535 for others", m.Port, m.Protocol)
	}
	if !username.Prints(m.User) {
		return fmt.Errorf("bad user %q: want UTF-8 that prints", m.User)
	}
	return nil
}

// checkASCII is check for an encoding whose user name is ASCII.
func (m Message) checkASCII() error {
	if err := m.check(); err != nil {
		return err
	}
	if !printableUser([]byte(m.User)) {
		return fmt.Errorf("bad user %q: want printable ASCII, or encoding siv", m.User)
	}
	return nil
}

func validProtocol(protocol uint8) bool {
	return protocol == protocolICMP || protocol == protocolTCP || protocol == protocolUDP
}

func validPort(protocol uint8, port uint16) bool {
	return (protocol == protocolICMP) == (port == 0)
}

// printable reports whether c is a printable ASCII character or a blank.
func printable(c byte) bool { return ' ' <= c && c <= '~' }

// printableUser reports whether a message may have this user name in ASCII.
func printableUser(text []byte) bool {
	for _, c := range text {
		if !printable(c) {
			return false
		}
	}
	return true
}

// cutUser returns the first n bytes of a user name.
func cutUser(user string, n int) string { return user[:min(n, len(user))] }

// paddedUser returns the user name in a field that is padded with NUL.
func paddedUser(field []byte) []byte {
	n := len(field)
	for n > 0 && field[n-1] == 0 {
		n--
	}
	return field[:n]
}
