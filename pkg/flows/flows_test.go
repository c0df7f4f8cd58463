package flows

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

const (
	server4, client4 = "10.3.2.1", "10.3.2.2"
	server6, client6 = "fd00::1", "fd00::2"
	label            = 93
)

// pair is two hosts joined by a veth pair; the server has conntrack and a Table.
type pair struct {
	t              *testing.T
	server, client *netns.NS
	table          *Table
}

// newPair makes a pair whose server sets labels on each new connection.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, server: netnstest.New(t), client: netnstest.New(t)}
	netnstest.Connect(t, p.server, p.client, "eth0",
		[]string{server4 + "/24", server6 + "/64"}, []string{client4 + "/24", client6 + "/64"})
	p.reach(server4)
	p.reach(server6)
	netnstest.Do(t, p.server, func() (err error) {
		p.table, err = Open()
		return err
	})
	t.Cleanup(func() { p.table.Close() })
	p.rules(nftables.ChainTypeFilter, nftables.ChainPriorityMangle,
		[]expr.Any{
			&expr.Immediate{Register: 1, Data: labels(label)},
			&expr.Ct{Key: expr.CtKeyLABELS, Register: 1, SourceRegister: true},
		}, []expr.Any{
			&expr.Immediate{Register: 1, Data: labels(7)},
			&expr.Ct{Key: expr.CtKeyLABELS, Register: 1, SourceRegister: true},
		})
	return p
}

// reach waits until a new cable carries traffic. It dials a closed port: a dial
// that times out must not leave a connection behind, which a test would find.
func (p *pair) reach(server string) {
	p.t.Helper()
	for range 50 {
		err := p.client.Do(func() error {
			_, err := net.DialTimeout("tcp", net.JoinHostPort(server, "9"), 300*time.Millisecond)
			return err
		})
		if errors.Is(err, unix.ECONNREFUSED) {
			return
		}
	}
	p.t.Fatalf("%s cannot be reached", server)
}

func labels(n uint8) []byte {
	b := make([]byte, 16)
	b[n/8] = 1 << (n % 8)
	return b
}

func (p *pair) rules(kind nftables.ChainType, priority *nftables.ChainPriority, rules ...[]expr.Any) {
	p.t.Helper()
	var conn *nftables.Conn
	netnstest.Do(p.t, p.server, func() (err error) {
		conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	defer conn.CloseLasting()
	table := conn.AddTable(&nftables.Table{Name: string(kind), Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{Table: table, Name: "c", Type: kind, Hooknum: nftables.ChainHookPrerouting, Priority: priority})
	for _, r := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r})
	}
	if err := conn.Flush(); err != nil {
		p.t.Fatal(err)
	}
}

// redirect translates a TCP port of the server to another.
func (p *pair) redirect(from, to uint16) {
	p.rules(nftables.ChainTypeNAT, nftables.ChainPriorityNATDest, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: binaryutil.BigEndian.PutUint16(from)},
		&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(to)},
		&expr.Redir{RegisterProtoMin: 1},
	})
}

// connect returns both ends of a TCP connection that the client dials; the server
// listens on all addresses of both families.
func (p *pair) connect(address string, listen uint16) (near, far net.Conn) {
	p.t.Helper()
	var listener net.Listener
	netnstest.Do(p.t, p.server, func() (err error) {
		listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: int(listen)})
		return err
	})
	defer listener.Close()
	err := p.client.Do(func() (err error) {
		far, err = net.DialTimeout("tcp", address, 10*time.Second)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	near, err = listener.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

// flow returns the entry with this original tuple.
func (p *pair) flow(protocol packet.Protocol, original Tuple) (Flow, bool) {
	p.t.Helper()
	var list []Flow
	err := p.table.Flows(func(f Flow) {
		if f.Protocol == protocol && f.Original == original {
			list = append(list, f)
		}
	})
	if err != nil || len(list) > 1 {
		p.t.Fatalf("flows %+v, %v", list, err)
	}
	if len(list) == 0 {
		return Flow{}, false
	}
	return list[0], true
}

func (p *pair) mustFlow(protocol packet.Protocol, original Tuple) Flow {
	p.t.Helper()
	f, ok := p.flow(protocol, original)
	if !ok {
		p.t.Fatalf("no flow %+v", original)
	}
	return f
}

func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

func bothFamilies(t *testing.T, f func(t *testing.T, client, server string)) {
	t.Run("IPv4", func(t *testing.T) { t.Parallel(); f(t, client4, server4) })
	t.Run("IPv6", func(t *testing.T) { t.Parallel(); f(t, client6, server6) })
}

func TestFlowsListsTCPAndUDP(t *testing.T) {
	bothFamilies(t, func(t *testing.T, _, server string) {
		p := newPair(t)
		_, far := p.connect(net.JoinHostPort(server, "22"), 22)
		tuple := Tuple{addrPort(far.LocalAddr()), addrPort(far.RemoteAddr())}
		f := p.mustFlow(packet.TCP, tuple)
		if f.Reply != tuple.Reversed() || f.ID == 0 || f.Zone != 0 {
			t.Errorf("%+v", f)
		}
		for n := range uint8(128) {
			if f.HasLabel(n) != (n == label || n == 7) {
				t.Errorf("label %d: %v", n, f.HasLabel(n))
			}
		}

		var listener, udp net.Conn
		netnstest.Do(t, p.server, func() (err error) {
			listener, err = net.ListenUDP("udp", &net.UDPAddr{Port: 53})
			return err
		})
		defer listener.Close()
		netnstest.Do(t, p.client, func() (err error) {
			udp, err = net.Dial("udp", net.JoinHostPort(server, "53"))
			return err
		})
		defer udp.Close()
		if _, err := udp.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		listener.SetReadDeadline(time.Now().Add(2 * time.Second))
		if _, err := listener.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		u := p.mustFlow(packet.UDP, Tuple{addrPort(udp.LocalAddr()), addrPort(udp.RemoteAddr())})
		if u.ID == f.ID {
			t.Error("two flows have the same id")
		}
	})
}

func TestFlowsTellsTranslatedTuplesApart(t *testing.T) {
	bothFamilies(t, func(t *testing.T, _, server string) {
		p := newPair(t)
		p.redirect(2222, 80)
		_, far := p.connect(net.JoinHostPort(server, "2222"), 80)
		f := p.mustFlow(packet.TCP, Tuple{addrPort(far.LocalAddr()), addrPort(far.RemoteAddr())})
		inside := netip.AddrPortFrom(f.Original.Destination.Addr(), 80)
		if want := (Tuple{inside, f.Original.Source}); f.Reply != want {
			t.Errorf("reply %+v, want %+v", f.Reply, want)
		}
	})
}

func TestClearLabelClearsOneLabelAndKeepsTheEntry(t *testing.T) {
	bothFamilies(t, func(t *testing.T, _, server string) {
		p := newPair(t)
		_, far := p.connect(net.JoinHostPort(server, "22"), 22)
		f := p.mustFlow(packet.TCP, Tuple{addrPort(far.LocalAddr()), addrPort(far.RemoteAddr())})
		for range 2 { // the second call is no error
			if err := p.table.ClearLabel(f, label); err != nil {
				t.Fatal(err)
			}
		}
		after := p.mustFlow(packet.TCP, f.Original)
		if after.HasLabel(label) || !after.HasLabel(7) || after.ID != f.ID || after.Reply != f.Reply {
			t.Errorf("%+v after clearing label %d of %+v", after, label, f)
		}
		netnstest.Do(t, p.server, func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) })
		if err := p.table.ClearLabel(f, label); !errors.Is(err, ErrGone) {
			t.Errorf("%v, want ErrGone", err)
		}
		if _, ok := p.flow(packet.TCP, f.Original); ok {
			t.Error("ClearLabel created an entry")
		}
	})
}

func (p *pair) socket(local, remote netip.AddrPort) (Socket, bool) {
	p.t.Helper()
	var found []Socket
	err := p.table.Sockets(func(s Socket) {
		if s.Local == local && s.Remote == remote {
			found = append(found, s)
		}
	})
	if err != nil || len(found) > 1 {
		p.t.Fatalf("sockets %+v, %v", found, err)
	}
	if len(found) == 0 {
		return Socket{}, false
	}
	return found[0], true
}

func TestDestroyEndsAConnectionAtBothSides(t *testing.T) {
	bothFamilies(t, func(t *testing.T, _, server string) {
		p := newPair(t)
		near, far := p.connect(net.JoinHostPort(server, "22"), 22)
		other, _ := p.connect(net.JoinHostPort(server, "22"), 22)
		local, remote := addrPort(near.LocalAddr()), addrPort(near.RemoteAddr())
		s, ok := p.socket(local, remote)
		if !ok {
			t.Fatalf("no socket of %s to %s", remote, local)
		}
		for range 2 { // the second call is no error
			if err := p.table.Destroy(s); err != nil {
				t.Fatal(err)
			}
		}
		for _, end := range []struct {
			name string
			conn net.Conn
			want error
		}{{"the program", near, unix.ECONNABORTED}, {"the peer", far, unix.ECONNRESET}} {
			end.conn.SetDeadline(time.Now().Add(2 * time.Second))
			if _, err := end.conn.Read(make([]byte, 1)); !errors.Is(err, end.want) {
				t.Errorf("%s: %v, want %v", end.name, err, end.want)
			}
		}
		if _, ok := p.socket(local, remote); ok {
			t.Error("the socket is still there")
		}
		if _, ok := p.socket(addrPort(other.LocalAddr()), addrPort(other.RemoteAddr())); !ok {
			t.Error("another connection's socket is gone")
		}
	})
}

// Listeners have no peer, and connections in TIME_WAIT belong to no program.
func TestSocketsListsOnlyConnectedSockets(t *testing.T) {
	bothFamilies(t, func(t *testing.T, _, server string) {
		p := newPair(t)
		var listener net.Listener
		netnstest.Do(t, p.server, func() (err error) {
			listener, err = net.Listen("tcp", net.JoinHostPort(server, "23"))
			return err
		})
		defer listener.Close()
		near, far := p.connect(net.JoinHostPort(server, "22"), 22)
		local, remote := addrPort(near.LocalAddr()), addrPort(near.RemoteAddr())
		near.Close()
		far.Close()
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if _, ok := p.socket(local, remote); !ok {
				break
			}
			if time.Now().After(end) {
				t.Fatal("a closed connection is still listed")
			}
		}
		if err := p.table.Sockets(func(s Socket) { t.Errorf("listed %+v", s) }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestATableBelongsToItsNamespace(t *testing.T) {
	p := newPair(t)
	p.connect(net.JoinHostPort(server4, "22"), 22)
	var elsewhere *Table
	netnstest.Do(t, netnstest.New(t), func() (err error) {
		elsewhere, err = Open()
		return err
	})
	defer elsewhere.Close()
	if err := elsewhere.Flows(func(f Flow) { t.Errorf("listed %+v", f) }); err != nil {
		t.Error(err)
	}
	if err := elsewhere.Sockets(func(s Socket) { t.Errorf("listed %+v", s) }); err != nil {
		t.Error(err)
	}
}
