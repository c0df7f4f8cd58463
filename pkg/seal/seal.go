// Package seal seals what a knocker asks for into bytes that travel as the
// destination ports of packets, and opens them again. There are three encodings:
//
//   - Article is that of the fwknop article of 2004: one block of AES, in order,
//     without authentication or time.
//   - Fwknop19 is that of the Perl programs fwknop 1.9: AES-CBC in the format of
//     OpenSSL's enc command, in order, without authentication or time.
//   - SIV is authenticated, holds its time and either family of addresses, and
//     its bytes may arrive in any order.
//
// Nothing here remembers what was opened: whoever lets in must refuse what was
// sent before, and for SIV what is too old.
package seal

import (
	"fmt"
	"net/netip"
	"time"
)

// IP protocol numbers that a message may ask for, as assigned by IANA.
const (
	protocolICMP = 1
	protocolTCP  = 6
	protocolUDP  = 17
)

// Message is what a knocker asks for.
type Message struct {
	// Address is whom to let in; the zero Addr stands for the sender of the
	// packets. An unspecified address means the same when it is sealed, and an
	// IPv4-mapped one its IPv4 address.
	Address netip.Addr
	// Protocol is the IANA number of tcp (6), udp (17) or icmp (1), which
	// stands for ICMPv6 too.
	Protocol uint8
	// Port is 0 for icmp, and for icmp only.
	Port uint16
	// User is in printable ASCII, and is cut to what the encoding holds when it
	// is sealed.
	User string
	// Time is when the message was sealed, in whole seconds; the zero Time where
	// the encoding holds none.
	Time time.Time
}

// check reports what no encoding can seal.
func (m Message) check() error {
	if !validProtocol(m.Protocol) {
		return fmt.Errorf("bad protocol %d: want 1 (icmp), 6 (tcp) or 17 (udp)", m.Protocol)
	}
	if !validPort(m.Protocol, m.Port) {
		return fmt.Errorf("bad port %d of protocol %d: want 0 for icmp, 1 to 65535 for others", m.Port, m.Protocol)
	}
	for i := range len(m.User) {
		if !printable(m.User[i]) {
			return fmt.Errorf("bad user %q: want printable ASCII", m.User)
		}
	}
	return nil
}

func validProtocol(protocol uint8) bool {
	return protocol == protocolICMP || protocol == protocolTCP || protocol == protocolUDP
}

func validPort(protocol uint8, port uint16) bool {
	return (protocol == protocolICMP) == (port == 0)
}

// printable includes the blank.
func printable(c byte) bool { return ' ' <= c && c <= '~' }

// printableUser reports whether text is a user name as it may stand in a message.
func printableUser(text []byte) bool {
	for _, c := range text {
		if !printable(c) {
			return false
		}
	}
	return true
}

// cutUser gives what a field of n bytes holds of a user name.
func cutUser(user string, n int) string { return user[:min(n, len(user))] }

// paddedUser gives the user name of a field that is padded with NUL, and whether
// it is one.
func paddedUser(field []byte) (user []byte, ok bool) {
	n := len(field)
	for n > 0 && field[n-1] == 0 {
		n--
	}
	return field[:n], printableUser(field[:n])
}
