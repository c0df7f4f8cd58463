package gate

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func (l *lab) cut(source netip.Prefix, s string, want int) {
	l.t.Helper()
	c, err := l.gate.Connections(source, service(s))
	if err != nil {
		l.t.Fatal(err)
	}
	if err := l.gate.End(c); err != nil || c.Len() != want {
		l.t.Errorf("cut %d connections, %v; want %d", c.Len(), err, want)
	}
}

// third is another host on a cable of its own.
type third struct {
	host            *netns.NS
	address, server map[bool]string // by whether it is IPv4
}

func (l *lab) third() third {
	host := netnstest.New(l.t)
	netnstest.Connect(l.t, l.server, host, "eth7", []string{"10.9.7.1/24", "fd97::1/64"}, []string{"10.9.7.2/24", "fd97::2/64"})
	l.reach(host, "10.9.7.1:9")
	l.reach(host, "[fd97::1]:9")
	return third{host, map[bool]string{true: "10.9.7.2", false: "fd97::2"}, map[bool]string{true: "10.9.7.1", false: "[fd97::1]"}}
}

// cutLab is a lab with a third host, for connections that are to be cut and those
// that are not.
type cutLab struct {
	*lab
	client netip.Addr
	server string
	third  third
}

// cuts runs a test in both families, with conntrack and with the service kept off it.
func cuts(t *testing.T, service string, test func(*testing.T, cutLab)) {
	t.Parallel()
	for _, tracked := range []bool{true, false} {
		t.Run(map[bool]string{true: "tracked", false: "untracked"}[tracked], func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{})
				if !tracked {
					l.notrack(service)
				}
				test(t, cutLab{l, client, server, l.third()})
			})
		})
	}
}

// thirdAddress is the third host's address of the client's family.
func (l cutLab) thirdAddress() netip.Addr { return addr(l.third.address[l.client.Is4()]) }

// thirdServer is the server's address for the third host.
func (l cutLab) thirdServer() string { return l.third.server[l.client.Is4()] }

// A TCP connection ends at both sides, and so does one that existed before the
// table; that of another source and one to another service go on.
func TestCutEndsAdmittedTCP(t *testing.T) {
	cuts(t, "tcp/22", func(t *testing.T, l cutLab) {
		conns := l.accepted(":22")
		l.serve(":23")
		dial := func() (net.Conn, net.Conn) {
			return l.mustDial(l.lab.client, "tcp", l.server+":22"), one(t, conns)
		}
		_, earlier := dial()
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22-23"), Openings: openings("tcp/22-23")})
		grant(t, l.gate, Grant{Source: Host(l.client), Service: service("tcp/22-23"), Timeout: time.Minute})
		l.grant22(l.thirdAddress())
		far, near := dial()
		elsewhere := l.mustDial(l.lab.client, "tcp", l.server+":23")
		wantEcho(t, elsewhere)
		l.mustDial(l.third.host, "tcp", l.thirdServer()+":22")
		other := one(t, conns)
		l.revoke(l.client, "tcp/22-23")

		l.cut(Host(l.client), "tcp/22", 2)
		for _, end := range []struct {
			name string
			conn net.Conn
			want error
		}{
			{"the service", near, unix.ECONNABORTED},
			{"the client", far, unix.ECONNRESET},
			{"the connection that existed before the table", earlier, unix.ECONNABORTED},
		} {
			end.conn.SetDeadline(time.Now().Add(patience))
			if _, err := end.conn.Read(make([]byte, 1)); !errors.Is(err, end.want) {
				t.Errorf("%s: %v, want %v", end.name, err, end.want)
			}
		}
		other.SetDeadline(time.Now().Add(silence))
		if _, err := other.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("that of another source: %v", err)
		}
		wantEcho(t, elsewhere)
		l.cut(Host(l.client), "tcp/22", 0)
		l.want(l.lab.client, l.server+":22", isFiltered)
		l.cut(Host(l.client), "tcp/1-65535", 1)
		if echoes(elsewhere) {
			t.Error("the connection to the other service goes on")
		}
	})
}

// A cut UDP flow stays out while the server goes on sending: conntrack still
// knows who began it.
func TestCutEndsAdmittedUDP(t *testing.T) {
	cuts(t, "udp/22", func(t *testing.T, l cutLab) {
		service22 := l.listenUDP(l.lab.server, ":22")
		apply(t, l.gate, &Ruleset{Protected: services("udp/22")})
		sources := []netip.Addr{l.client, l.thirdAddress()}
		for _, source := range sources {
			grant(t, l.gate, Grant{Source: Host(source), Service: service("udp/22"), Timeout: time.Minute})
		}
		conn := l.dialUDP(l.lab.client, l.server+":22")
		other := l.dialUDP(l.third.host, l.thirdServer()+":22")
		send := func(c net.Conn) netip.AddrPort {
			c.Write([]byte("x"))
			service22.SetReadDeadline(time.Now().Add(silence))
			_, from, _ := service22.ReadFromUDPAddrPort(make([]byte, 16))
			return from
		}
		peer := send(conn)
		if !peer.IsValid() || !send(other).IsValid() {
			t.Fatal("admitted datagrams did not come in")
		}
		for _, source := range sources {
			l.revoke(source, "udp/22")
		}
		if !send(conn).IsValid() {
			t.Fatal("the flow did not go on after its grant")
		}
		l.cut(Host(l.client), "udp/22", 1)
		for range 10 {
			if _, err := service22.WriteToUDPAddrPort([]byte("y"), peer); err != nil {
				t.Fatal(err)
			}
			if send(conn).IsValid() {
				t.Fatal("the flow goes on")
			}
		}
		if !send(other).IsValid() {
			t.Error("that of another source was cut, too")
		}
		l.cut(Host(l.client), "udp/22", 0)
	})
}

// Where a connection is forwarded there is no socket to end.
func TestCutEndsForwardedTCP(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.container()
		l.cutsForwarded(client, server)
	})
}

// cutsForwarded ends the connections to a published port.
func (l *lab) cutsForwarded(client netip.Addr, server string) {
	l.t.Helper()
	earlier := l.mustDial(l.client, "tcp", server+":8080")
	wantEcho(l.t, earlier)
	apply(l.t, l.gate, &Ruleset{Protected: services("tcp/8080")})
	grant(l.t, l.gate, Grant{Source: Host(client), Service: service("tcp/8080"), Timeout: time.Minute})
	conn := l.mustDial(l.client, "tcp", server+":8080")
	wantEcho(l.t, conn)
	l.revoke(client, "tcp/8080")
	wantEcho(l.t, conn)
	l.cut(Host(client), "tcp/8080", 2)
	for name, c := range map[string]net.Conn{"the connection": conn, "the connection that existed before the table": earlier} {
		if echoes(c) {
			l.t.Errorf("%s goes on", name)
		}
	}
	l.cut(Host(client), "tcp/8080", 0)
}

// A prefix cuts what is inside.
func TestCutByPrefix(t *testing.T) {
	t.Parallel()
	bothPeers(t, Config{}, "22", func(t *testing.T, p *peer) {
		conns := p.accepted(":22")
		bits := 24
		if p.here.Addr().Is6() {
			bits = 64
		}
		inside := netip.PrefixFrom(p.here.Addr(), bits).Masked()
		apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
		outside := flipped(p.here.Addr(), bits-1)
		for _, a := range []netip.Addr{p.here.Addr(), p.here.Addr().Next(), outside} {
			p.grant22(a)
			p.here = netip.AddrPortFrom(a, 4711)
			p.seq = 1000
			p.mustConnect()
			one(t, conns)
		}
		p.cut(inside, "tcp/23", 0)
		p.cut(inside, "tcp/22", 2)
		p.heard(silence)
		// That of outside goes on.
		p.transmit(p.segment(packet.ACK|packet.PSH, "x"))
		if s := p.next(patience); s == nil || s.RST || s.Ack != p.seq+1 {
			t.Errorf("%+v, want an acknowledgement", s)
		}
	})
}
