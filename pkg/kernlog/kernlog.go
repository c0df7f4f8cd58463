// Package kernlog reads the lines that netfilter writes to the kernel log: by
// iptables -j LOG and ip6tables -j LOG, and by nft's log statement without a
// group. It makes a packet.Packet of a line about a TCP segment.
//
// The kernel's side is net/netfilter/nf_log_syslog.c. The format has been the same
// since Linux 2.4 except for one more flag (AE, seen on 6.18).
//
// Another program that writes to the same log file can forge such lines. Callers
// that read a file with lines of several programs must select the kernel's first.
package kernlog

import (
	"errors"
	"fmt"
	"strings"

	"nftknock/pkg/packet"
)

// maxLine is the longest line that is parsed, in bytes. The kernel writes up to 1
// KiB, and a syslog daemon puts time and host before it.
const maxLine = 8 << 10

var (
	// ErrNoPacket: the line is not netfilter's or not about an IP packet (but
	// about ARP, say), or it is longer than 8 KiB. Callers skip such lines.
	ErrNoPacket = errors.New("kernlog: not a netfilter line of an IP packet")
	// ErrNoTCP: the packet holds no TCP segment, or the kernel did not look for
	// one, as after an ESP header.
	ErrNoTCP = errors.New("kernlog: not a TCP segment")
	// ErrNoOptions: the line has no TCP options, but the SYN is longer than its
	// headers without options. It cannot be fingerprinted. (A SYN with data and
	// without options looks the same in the log.)
	ErrNoOptions = errors.New("kernlog: TCP options were not logged: " +
		"log with --log-tcp-options (iptables) or with log flags tcp options (nft)")
)

// ParseError is a mistake in a line that netfilter seems to have written.
type ParseError struct {
	Field  string // its name in the line, such as "WINDOW"
	Reason string
}

func (e *ParseError) Error() string { return "kernlog: " + e.Field + ": " + e.Reason }

// Parse fills p from one line about a TCP segment. Any text may precede the kernel's
// (time, host, the rule's prefix) and follow it.
//
// Errors are ErrNoPacket, ErrNoTCP, ErrNoOptions, packet.ErrFragment,
// packet.ErrExtensions or a *ParseError; p is then the zero Packet. Parse may
// be called by any number of goroutines. Nothing in p aliases the line.
//
// A line does not hold the whole packet:
//
//   - Sequence numbers are logged with --log-tcp-sequence or with log flags tcp
//     sequence. Without them Seq is 1 and Ack is 0, which no fingerprint counts as
//     a quirk.
//   - IP options are logged with --log-ip-options or with log flags ip
//     options. Without them IPOptions is empty, and the options count as payload.
//   - The lowest bit of the IPv4 type of service is never logged (IPTOS_TOS_MASK),
//     so the ECN codepoint ECT(1) looks like Not-ECT.
//   - Extensions is the number of IPv6 extension headers in the line: all of them
//     with log flags ip options, else fragment headers only. Headers that are not
//     logged count as payload.
//   - The payload is not logged. Payload consists of zeros, as many as Length
//     leaves room for, but at most 64. It is nil where extension headers are
//     logged, since their lengths are not.
func Parse(line string, p *packet.Packet) error {
	*p = packet.Packet{}
	if err := parse(line, p); err != nil {
		*p = packet.Packet{}
		return err
	}
	return nil
}

func parse(line string, p *packet.Packet) error {
	if len(line) > maxLine {
		return ErrNoPacket
	}
	text, ok := packetText(strings.TrimRight(line, "\r\n"))
	if !ok {
		return ErrNoPacket
	}
	r := reader{rest: text}
	// The kernel writes no TCP header for a fragment after the first.
	fragment := r.network(p)
	if proto := r.value("PROTO"); r.err == nil && proto != "TCP" {
		return ErrNoTCP
	}
	if r.err == nil && fragment {
		return packet.ErrFragment
	}
	r.tcp(p)
	if r.err != nil {
		return r.err
	}
	return measure(p)
}

// packetText returns the part of a line that describes the packet. It begins with
// SRC=. Before it are the rule's prefix, the interfaces ("IN=eth0 OUT= "), and the
// link layer (such as MACSRC=).
func packetText(line string) (text string, ok bool) {
	// The kernel prints "%sIN=%s OUT=%s ": nothing separates the prefix from IN=,
	// and the prefix may contain " OUT=" itself.
	for {
		before, after, ok := strings.Cut(line, " OUT=")
		if !ok {
			return "", false
		}
		if in := before[strings.LastIndexByte(before, ' ')+1:]; strings.Contains(in, "IN=") {
			i := strings.Index(after, " SRC=")
			if i < 0 {
				return "", false
			}
			return after[i:], true
		}
		line = after
	}
}

// measure compares the packet's length with the lengths of its headers, and sets
// Payload.
func measure(p *packet.Packet) error {
	const (
		headers4, headers6 = 20 + 20, 40 + 20
		leastExtension     = 8 // RFC 8200, section 4
		mostPayload        = 64
	)
	headers := headers4 + len(p.IPOptions)
	if p.Version == 6 {
		headers = headers6 + leastExtension*int(p.Extensions)
	}
	headers += len(p.TCP.Options)
	rest := p.Length - headers
	switch {
	case rest < 0:
		return &ParseError{"LEN", fmt.Sprintf("%d bytes are too few for headers of %d", p.Length, headers)}
	case rest == 0:
	case p.PureSYN() && len(p.TCP.Options) == 0:
		return ErrNoOptions
	case p.Extensions == 0:
		p.Payload = make([]byte, min(rest, mostPayload))
	}
	return nil
}
