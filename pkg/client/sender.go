package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"nftknock/pkg/packet"
)

// Sender sends packets to one destination. It is used by one goroutine at a
// time.
type Sender struct {
	dst  netip.Addr
	echo *echoSocket // nil without ICMP elements
	// source is the port that all packets leave from; nil for a fresh one each.
	source *sourcePort
}

// NewSender prepares for the packets of a knock. Whatever can be known to fail
// fails here, before the first packet: a destination without a route, and echo
// requests that this user may not send.
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

// Send sends one packet and returns when it has left this host. Unless the knock
// is loose, TCP takes until the answer, at most AnswerWait; nothing else waits.
// What the far end answers is never an error.
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

// RawSocket reports whether echo requests go through a raw socket for want of
// a ping socket.
func (s *Sender) RawSocket() bool { return s.echo != nil && s.echo.raw }

// Close gives the sockets back.
func (s *Sender) Close() error {
	switch {
	case s.echo != nil:
		return s.echo.conn.Close()
	case s.source != nil:
		return s.source.conn.Close()
	}
	return nil
}

// checkRoute asks the kernel for a route: connecting a UDP socket looks one
// up and sends nothing. Without it, "unreachable" from a TCP connect could
// not be told from the same word in the ICMP answer of a firewall.
func checkRoute(dst netip.Addr) error {
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

// sendDatagram sends one UDP datagram from a fresh port, so that no ICMP
// answer to an earlier one can be taken for a failure of this one.
func (s *Sender) sendDatagram(port uint16, payload []byte) error {
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
