package gate

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// lab is a server with a gate, and a client at the other end of a cable.
type lab struct {
	t              testing.TB
	server, client *netns.NS
	gate           *Kernel
}

const (
	server4, client4 = "10.3.2.1", "10.3.2.2"
	server6, client6 = "fd00::1", "fd00::2"
)

func newLab(t testing.TB, c Config) *lab {
	t.Helper()
	l := &lab{t: t, server: netnstest.New(t), client: netnstest.New(t)}
	netnstest.Connect(t, l.server, l.client, "eth0",
		[]string{server4 + "/24", server6 + "/64"}, []string{client4 + "/24", client6 + "/64"})
	l.reach(l.client, server4+":9")
	l.reach(l.client, "["+server6+"]:9")
	l.gate = open(t, l.server, c)
	return l
}

// reach waits until a new cable carries traffic, which the kernel allows
// itself up to a second for (linkwatch); the port must be closed.
func (l *lab) reach(from *netns.NS, address string) {
	l.t.Helper()
	for range 50 {
		if _, err := l.dial(from, address); errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
	}
	l.t.Fatalf("%s cannot be reached", address)
}

// serve greets whoever connects to a port of the server, and then sends
// back what it gets.
func (l *lab) serve(address string) {
	l.t.Helper()
	l.serveOn(func() (net.Listener, error) { return net.Listen("tcp", address) })
}

func (l *lab) serveOn(listen func() (net.Listener, error)) {
	l.t.Helper()
	var listener net.Listener
	netnstest.Do(l.t, l.server, func() (err error) {
		listener, err = listen()
		return err
	})
	l.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
}

// dial connects from a host. A dropped SYN is sent again after a second, so
// that a connection that is up sooner lost none.
func (l *lab) dial(from *netns.NS, address string) (net.Conn, error) {
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, 300*time.Millisecond)
		return err
	})
	return conn, err
}

// The answers that a port can give.
const (
	isOpen     = "open"
	isFiltered = "filtered"
	isClosed   = "closed"
)

func (l *lab) want(from *netns.NS, address, want string) {
	l.t.Helper()
	conn, err := l.dial(from, address)
	var timeout net.Error
	got := isOpen
	switch {
	case err == nil:
		conn.Close()
	case errors.As(err, &timeout) && timeout.Timeout():
		got = isFiltered
	case errors.Is(err, syscall.ECONNREFUSED):
		got = isClosed
	default:
		l.t.Fatalf("%s: %v", address, err)
	}
	if got != want {
		l.t.Errorf("%s is %s, want %s", address, got, want)
	}
}

// bothFamilies runs a test from either address of the client to either of
// the server.
func bothFamilies(t *testing.T, f func(t *testing.T, client netip.Addr, server string)) {
	t.Run("IPv4", func(t *testing.T) { f(t, addr(client4), server4) })
	t.Run("IPv6", func(t *testing.T) { f(t, addr(client6), "["+server6+"]") })
}

// listenUDP opens a UDP socket inside a host.
func (l *lab) listenUDP(host *netns.NS, address string) *net.UDPConn {
	l.t.Helper()
	var conn net.PacketConn
	netnstest.Do(l.t, host, func() (err error) {
		conn, err = net.ListenPacket("udp", address)
		return err
	})
	l.t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}
