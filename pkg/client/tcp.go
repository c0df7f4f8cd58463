package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// AnswerWait is the longest time that the sender waits for an answer to a TCP packet, so
// that packets arrive in order. It is well below the time of the first retransmission of
// a SYN, 1 s (RFC 6298, section 2; TCP_TIMEOUT_INIT in Linux, include/net/tcp.h), and
// below the 500 ms after which Windows tries a refused port again.
const AnswerWait = 100 * time.Millisecond

// synOptions are options of sendSYN.
type synOptions struct {
	from uint16        // the source port; 0 for one of the system's choice
	wait time.Duration // for the answer, at most
}

// sendSYN begins a connection and closes it when the answer has arrived or o.wait is
// over. A socket that is closed before an answer sends no FIN, no RST and no second SYN.
// An established connection is reset, so that nothing is retransmitted either.
func sendSYN(parent context.Context, dst netip.Addr, port uint16, o synOptions) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	dialer := net.Dialer{
		KeepAlive: -1,
		// NB: the wait begins here and not with the dialing. Between here and
		// connect(2) package net does not look at ctx, so the SYN leaves even if
		// the process is scheduled late.
		Control: func(_, _ string, c syscall.RawConn) error {
			time.AfterFunc(o.wait, cancel)
			return c.Control(closeWithReset)
		},
	}
	if o.from != 0 {
		dialer.LocalAddr = &net.TCPAddr{Port: int(o.from)}
	}
	// MPTCP would add an option to the SYN, and so change the fingerprint.
	dialer.SetMultipathTCP(false)
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(dst, port).String())
	if err == nil {
		return conn.Close()
	}
	if parent.Err() != nil {
		return parent.Err()
	}
	// Cancelled by AfterFunc: the wait is over, and the SYN was sent.
	if errors.Is(err, context.Canceled) || answered(err) {
		return nil
	}
	return sendError(err, "tcp/%d", port)
}

// answered reports whether an error is a refusal by the far end, after which the
// knock has been sent, and no failure of this host. Both come from connect; since
// checkRoute found a route, this host can fail in few ways.
func answered(err error) bool {
	// checkRoute has found a route, so that few errors of this host are left
	// (localFailures). connectex is the call on Windows.
	var call *os.SyscallError
	if !errors.As(err, &call) || call.Syscall != "connect" && call.Syscall != "connectex" {
		return false
	}
	for _, errno := range localFailures {
		if errors.Is(call.Err, errno) {
			return false
		}
	}
	return true
}

// sendError is the error of a packet that this host refused to send.
func sendError(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	e := &Error{Err: fmt.Errorf("%s: %w", what, innermost(err))}
	if errors.Is(err, os.ErrPermission) {
		e.Hint = "a firewall on this machine forbids it: see its output rules"
	}
	return e
}

// innermost returns an error of package net without the addresses, which the message
// around it contains already.
func innermost(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
