package client

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// echoSocket sends echo requests of one address family.
type echoSocket struct {
	conn *icmp.PacketConn
	raw  bool
	kind icmp.Type
	seq  atomic.Uint32 // of the last echo request
}

// openEcho opens a ping socket, or else a raw socket. A ping socket needs no privileges;
// on Linux net.ipv4.ping_group_range must include a group of the user, and macOS has them
// too.
func openEcho(dst netip.Addr) (*echoSocket, error) {
	s := &echoSocket{kind: ipv4.ICMPTypeEcho}
	ping, raw, local := "udp4", "ip4:icmp", "0.0.0.0"
	if dst.Is6() {
		s.kind = ipv6.ICMPTypeEchoRequest
		ping, raw, local = "udp6", "ip6:ipv6-icmp", "::"
	}
	// ListenPacket makes a ping socket for "udp4" and "udp6" (golang.org/x/net/icmp).
	var pingErr, rawErr error
	if s.conn, pingErr = icmp.ListenPacket(ping, local); pingErr == nil {
		return s, nil
	}
	s.raw = true
	if s.conn, rawErr = icmp.ListenPacket(raw, local); rawErr == nil {
		return s, nil
	}
	return nil, echoError(pingErr, rawErr)
}

func echoError(pingErr, rawErr error) error {
	e := &Error{Err: fmt.Errorf("echo requests cannot be sent: %w", innermost(rawErr))}
	if errors.Is(rawErr, os.ErrPermission) {
		e.Err = errors.New("this user may not send echo requests")
		e.Hint = echoHint()
	} else {
		e.Err = fmt.Errorf("%w (and a ping socket: %w)", e.Err, pingErr)
	}
	return e
}

func echoHint() string {
	switch runtime.GOOS {
	case "linux":
		return `allow ping sockets (sysctl -w net.ipv4.ping_group_range="0 2147483647"), ` +
			"or run as root, or give the program the right (setcap cap_net_raw+ep PROGRAM)"
	case "windows":
		return "run as Administrator"
	}
	return "run as root"
}

// send sends one echo request. Each from one socket has another sequence number.
func (s *echoSocket) send(dst netip.Addr) error {
	const size = 56 // bytes of data, the default of ping(8)
	message := icmp.Message{Type: s.kind, Body: &icmp.Echo{
		ID:   os.Getpid() & 0xffff, // for a ping socket the kernel sets the identifier
		Seq:  int(s.seq.Add(1) & 0xffff),
		Data: make([]byte, size),
	}}
	// Without a pseudo header, Marshal leaves the checksum of ICMPv6 to the kernel (RFC
	// 3542, section 3.1).
	b, err := message.Marshal(nil)
	if err != nil {
		return err
	}
	// A ping socket has addresses like UDP; the port is ignored.
	var to net.Addr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(dst, 0))
	if s.raw {
		to = &net.IPAddr{IP: dst.AsSlice(), Zone: dst.Zone()}
	}
	if _, err := s.conn.WriteTo(b, to); err != nil {
		return sendError(err, "icmp")
	}
	return nil
}
