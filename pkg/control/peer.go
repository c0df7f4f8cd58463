package control

import (
	"context"
	"net"
	"syscall"
)

// Peer is the process that sent a request, as the kernel knew it when it connected.
type Peer struct{ UID, PID int }

type peerKey struct{}

// PeerOf returns who sent the request of a context that Serve gave to a Handler. ok is false
// if the kernel did not tell.
func PeerOf(ctx context.Context) (p Peer, ok bool) {
	p, ok = ctx.Value(peerKey{}).(Peer)
	return p, ok
}

// withPeer adds the process at the other end of a connection to a context.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	a, ok := conn.RemoteAddr().(peerAddr)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, a.peer)
}

// peerListener gives connections an address that says which process connected. The address
// is what a connection keeps when another listener wraps it.
type peerListener struct{ net.Listener }

func (l peerListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if p, ok := peerAt(conn); ok {
		return peerConn{conn, peerAddr{conn.RemoteAddr(), p}}, nil
	}
	return conn, nil
}

type peerConn struct {
	net.Conn
	from peerAddr
}

func (c peerConn) RemoteAddr() net.Addr { return c.from }

type peerAddr struct {
	net.Addr
	peer Peer
}

// peerAt asks the kernel who is at the other end of a Unix socket.
func peerAt(conn net.Conn) (Peer, bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return Peer{}, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return Peer{}, false
	}
	var cred *syscall.Ucred
	if raw.Control(func(fd uintptr) {
		cred, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}) != nil || err != nil {
		return Peer{}, false
	}
	return Peer{int(cred.Uid), int(cred.Pid)}, true
}
