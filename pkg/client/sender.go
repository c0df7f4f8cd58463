package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"nftknock/pkg/packet"
)

// Sender sends packets to one destination. It is for one goroutine at a time.
type Sender struct {
	dst  netip.Addr
	echo *echoSocket // nil if the knock has no ICMP
	// source is the source port of all packets; nil for a new port per packet.
	source *sourcePort
}

// NewSender opens the sockets for a knock. It returns an error if there is no route to
// the destination or if the user may not send echo requests, so that such a knock is not
// sent in part.
func NewSender(k *Knock) (*Sender, error) {
	if err := checkRoute(k.Dst); err != nil {
		return nil, err
	}
	s := &Sender{dst: k.Dst}
	var err error
	switch {
	case k.Loose:
		s.source, err = openSource(k.Dst)
	case slices.ContainsFunc(k.Packets, func(p Packet) bool { return p.To.Protocol == packet.ICMP }):
		s.echo, err = openEcho(k.Dst)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Send sends one packet and returns when it has left this host. For TCP it also waits for
// the answer, at most AnswerWait, unless the knock is loose. No answer of the destination
// is an error.
func (s *Sender) Send(ctx context.Context, p Packet) error {
	payload := p.Payload
	if payload == nil {
		payload = []byte{0}
	}
	switch {
	case p.To.Protocol == packet.ICMP && s.echo != nil:
		return s.echo.send(s.dst)
	case p.To.Protocol == packet.TCP && s.source != nil:
		return s.source.sendSYN(ctx, s.dst, p.To.First)
	case p.To.Protocol == packet.TCP:
		return sendSYN(ctx, s.dst, p.To.First, synOptions{wait: AnswerWait})
	case p.To.Protocol == packet.UDP && s.source != nil:
		return s.source.sendDatagram(s.dst, p.To.First, payload)
	case p.To.Protocol == packet.UDP:
		return s.sendDatagram(p.To.First, payload)
	}
	return fmt.Errorf("the sender was not prepared for %s", p.To)
}

// RawSocket reports whether echo requests are sent on a raw socket because a ping socket
// could not be opened.
func (s *Sender) RawSocket() bool { return s.echo != nil && s.echo.raw }

// Close closes the sockets.
func (s *Sender) Close() error {
	switch {
	case s.echo != nil:
		return s.echo.conn.Close()
	case s.source != nil:
		return s.source.conn.Close()
	}
	return nil
}

// checkRoute returns an error if the kernel has no route to dst. Without this check, an
// "unreachable" error of a TCP connect could be the kernel's or an ICMP answer of a
// firewall.
func checkRoute(dst netip.Addr) error {
	// Connecting a UDP socket looks up a route and sends nothing. Any port will do.
	const discard = 9
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, discard)))
	if err != nil {
		return &Error{
			Err:  fmt.Errorf("no route to %s: %w", dst, innermost(err)),
			Hint: routeHint(dst),
		}
	}
	return conn.Close()
}

func routeHint(dst netip.Addr) string {
	if dst.Is4() {
		return "is this machine connected? if the server has an IPv6 address too, try -6"
	}
	return "this machine may have no IPv6; if the server has an IPv4 address too, try -4"
}

// sendDatagram sends one UDP datagram from a new source port.
func (s *Sender) sendDatagram(port uint16, payload []byte) error {
	// On a connected socket that is used again, an ICMP answer to one datagram would be
	// the error of the next.
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.dst, port)))
	if err != nil {
		return sendError(err, "udp/%d", port)
	}
	defer conn.Close()
	if _, err := conn.Write(payload); err != nil {
		return sendError(err, "udp/%d", port)
	}
	return nil
}
