package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
)

// Sender sends elements to one destination. Its methods may be called
// concurrently.
type Sender struct {
	dst  netip.Addr
	echo *echoSocket // nil without ICMP elements
}

// NewSender prepares for the elements of a sequence. Whatever can be known to
// fail fails here, before the first packet: a destination without a route,
// and echo requests that this user may not send.
func NewSender(dst netip.Addr, sequence []knock.Element) (*Sender, error) {
	if err := checkRoute(dst); err != nil {
		return nil, err
	}
	s := &Sender{dst: dst}
	if !slices.Contains(sequence, knock.Element{Protocol: packet.ICMP}) {
		return s, nil
	}
	var err error
	if s.echo, err = openEcho(dst); err != nil {
		return nil, err
	}
	return s, nil
}

// Send sends one element and returns when it has left this host. For TCP
// this takes until the answer, at most AnswerWait; UDP and ICMP do not wait.
// What the far end answers is never an error.
func (s *Sender) Send(ctx context.Context, e knock.Element) error {
	switch e.Protocol {
	case packet.TCP:
		return s.sendSYN(ctx, e.Port)
	case packet.UDP:
		return s.sendDatagram(e.Port, []byte{0})
	case packet.ICMP:
		if s.echo == nil {
			return fmt.Errorf("the sender was not prepared for %s", e)
		}
		return s.echo.send(s.dst)
	}
	return fmt.Errorf("cannot send protocol %d", e.Protocol)
}

// RawSocket reports whether echo requests go through a raw socket for want of
// a ping socket.
func (s *Sender) RawSocket() bool { return s.echo != nil && s.echo.raw }

// Close gives the sockets back.
func (s *Sender) Close() error {
	if s.echo == nil {
		return nil
	}
	return s.echo.conn.Close()
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
