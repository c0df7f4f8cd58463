// Package kernlog reads the lines that netfilter writes to the kernel log: by
// iptables -j LOG and ip6tables -j LOG, and by nft's log statement without a
// group. What such a line tells of a TCP segment becomes a packet.Packet.
//
// The format is that of net/netfilter/nf_log_syslog.c, and has been the same
// since Linux 2.4 but for a flag more (AE, seen on 6.18).
//
// Only what the kernel itself says is evidence: a line of another program in
// the same file may hold any text, this format included. Whoever reads a file
// that is not the kernel's alone has to tell the lines apart first.
package kernlog

import (
	"errors"
	"fmt"
	"strings"

	"nftknock/pkg/packet"
)

// maxLine bounds the length of a line, in bytes. The kernel writes up to 1
// KiB, and a syslog daemon some words in front.
const maxLine = 8 << 10

var (
	// ErrNoPacket: no netfilter line that speaks of an IP packet, but one of
	// another program, of ARP, or of more than 8 KiB. Callers pass it over.
	ErrNoPacket = errors.New("kernlog: not a netfilter line of an IP packet")
	// ErrNoTCP: a line of an IP packet that holds no TCP segment, or in which
	// the kernel did not look for one (behind an ESP header).
	ErrNoTCP = errors.New("kernlog: not a TCP segment")
	// ErrNoOptions: a SYN that is longer than its headers and whose TCP options
	// the line does not give, so that it cannot be told from other SYNs. A SYN
	// with data and without options looks the same.
	ErrNoOptions = errors.New("kernlog: TCP options were not logged: " +
		"log with --log-tcp-options (iptables) or with log flags tcp options (nft)")
)

// ParseError tells what is wrong with a line of netfilter's.
type ParseError struct {
	Field  string // its name in the line, such as "WINDOW"
	Reason string
}

func (e *ParseError) Error() string { return "kernlog: " + e.Field + ": " + e.Reason }

// Parse fills p from one line that tells of a TCP segment. Anything may stand
// in front of the kernel's text (time, host, the rule's prefix) and behind it.
//
// Errors are ErrNoPacket, ErrNoTCP, ErrNoOptions, packet.ErrFragment,
// packet.ErrExtensions or a *ParseError; p is then the zero Packet. Parse may
// be called by any number of goroutines. Nothing in p aliases the line.
//
// A line says less than the packet did:
//
//   - Sequence numbers are logged with --log-tcp-sequence or with log flags tcp
//     sequence. Without them Seq is 1 and Ack 0, which no fingerprint remarks
//     on.
//   - IP options are logged with --log-ip-options or with log flags ip
//     options. Without them IPOptions is empty, and they count as payload.
//   - The lowest bit of the IPv4 type of service is never logged, so of the
//     ECN codepoints ECT(1) looks like Not-ECT.
//   - Extensions counts IPv6 extension headers that are logged: all with log
//     flags ip options, without it fragment headers alone. Others then count
//     as payload.
//   - Payload is not logged. It is as long as Length leaves room for, 64
//     bytes at most, all of them zero; and nil where extension headers are
//     logged, whose length is not.
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

// packetText gives the part of a line that describes the packet, which begins
// with SRC=. In front of it are the interfaces, "IN=eth0 OUT= ", which follow
// the rule's prefix without a space, and more about the link layer, such as
// MACSRC=.
func packetText(line string) (text string, ok bool) {
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

// measure compares the packet's length with what is known of its headers.
func measure(p *packet.Packet) error {
	const (
		headers4, headers6 = 20 + 20, 40 + 20
		leastExtension     = 8 // RFC 8200
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
