package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// sourcePort sends packets that all leave from one port, the same number for UDP
// and TCP. If another socket has the TCP port, TCP packets leave from any port: a
// server does not need the same one.
type sourcePort struct {
	network string
	conn    *net.UDPConn // not connected, so that ICMP answers cause no errors
	port    uint16       // source port of TCP; 0 for any
	begun   bool         // a packet was sent, so the port must not change
}

func openSource(dst netip.Addr) (*sourcePort, error) {
	s := &sourcePort{network: "udp4"}
	if dst.Is6() {
		s.network = "udp6"
	}
	return s, s.open()
}

// open opens the UDP socket on a port that the system chooses, and closes the previous
// one.
func (s *sourcePort) open() error {
	conn, err := net.ListenUDP(s.network, nil)
	if err != nil {
		return sendError(err, "no source port")
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.conn = conn
	s.port = conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return nil
}

func (s *sourcePort) sendDatagram(dst netip.Addr, port uint16, payload []byte) error {
	s.begun = true
	if _, err := s.conn.WriteToUDPAddrPort(payload, netip.AddrPortFrom(dst, port)); err != nil {
		return sendError(err, "udp/%d", port)
	}
	return nil
}

// sendSYN sends a SYN from the source port. If that is in use and no packet was sent
// before, it tries other ports.
func (s *sourcePort) sendSYN(ctx context.Context, dst netip.Addr, port uint16) error {
	// The system has chosen a free UDP port; the TCP port of the same number may be in use.
	const tries = 8
	for range tries {
		err := sendSYN(ctx, dst, port, synOptions{from: s.port, wait: burstWait})
		if s.port == 0 || !inUse(err) {
			s.begun = s.begun || err == nil
			return err
		}
		if s.begun { // packets of one knock must not come from two UDP ports
			break
		}
		if err := s.open(); err != nil {
			return err
		}
	}
	s.port = 0
	return sendSYN(ctx, dst, port, synOptions{wait: burstWait})
}

// inUse reports whether an error means that another socket uses the source port.
func inUse(err error) bool {
	return slices.ContainsFunc(portTaken, func(errno syscall.Errno) bool { return errors.Is(err, errno) })
}
