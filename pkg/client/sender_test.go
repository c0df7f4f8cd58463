//go:build linux

package client

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func knockElement(p packet.Packet) port.Range {
	if p.Protocol == packet.TCP || p.Protocol == packet.UDP {
		return port.Single(p.Protocol, p.DstPort)
	}
	return port.Echo
}

// send knocks out of a host. It works because a Sender stays in the thread of
// its caller: package net dials a single address without a goroutine.
func send(t *testing.T, n *netns.NS, k Knock) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		s, err := NewSender(&k)
		if err != nil {
			return err
		}
		defer s.Close()
		return k.Send(t.Context(), s, func(int, int, Packet) {})
	})
}

// ports is what the server does with SYNs to the ports of the test.
const (
	openPort    = 7001
	closedPort  = 7002
	droppedPort = 7003
)

// dropPort drops TCP to a port in prerouting.
func dropPort(t *testing.T, n *netns.NS, port uint16) {
	t.Helper()
	dropTCP(t, n,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
	)
}

// dropTCP drops the TCP packets that match in prerouting.
func dropTCP(t *testing.T, n *netns.NS, match ...expr.Any) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "test"})
		chain := c.AddChain(&nftables.Chain{
			Table: table, Name: "in", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter,
		})
		exprs := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		}
		exprs = append(append(exprs, match...), &expr.Verdict{Kind: expr.VerdictDrop})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
		return c.Flush()
	})
}

func listenTCP(t *testing.T, n *netns.NS, port int) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	})
}

// Whether ports answer or not, the packets of a knock leave in the order it
// is written in, each once: no SYN is repeated in the three seconds in which
// the connection of anybody else repeats it twice.
func TestEachElementIsOnePacketInOrder(t *testing.T) {
	for _, tt := range []struct{ name, dst string }{{"IPv4", serverAddr4}, {"IPv6", serverAddr6}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, client := hosts(t)
			dst := netip.MustParseAddr(tt.dst)
			listenTCP(t, server, openPort)
			dropPort(t, server, droppedPort)
			seen := listen(t, server, dst)
			k := Knock{Dst: dst, Repeat: 1, Packets: packets(t,
				"tcp/7003, udp/6020, icmp, tcp/7001, icmp, tcp/7002, udp/9680, tcp/7003, icmp")}
			want := elements(k)
			send(t, client, k)
			seen.wait(t, len(want))

			// The control: a connection to the dropped port that is
			// not given up, from a fourth port of the sequence.
			const control = 4000
			dropped := dialOn(client, netip.AddrPortFrom(dst, droppedPort), control)
			defer dropped()
			time.Sleep(3 * time.Second)

			var got []arrival
			repeated := 0
			for _, a := range seen.knocks() {
				if a.SrcPort == control {
					repeated++
					continue
				}
				got = append(got, a)
			}
			if diff := cmp.Diff(want, written(got)); diff != "" {
				t.Error(diff)
			}
			if repeated < 2 {
				t.Errorf("the control sent %d SYNs: the test would not see a second one", repeated)
			}
			checkEchoes(t, got)
			checkSYNs(t, got)
		})
	}
}

// Packets whose order counts arrive in it, each from a port of its own.
func TestAnOrderedKnockArrivesInOrder(t *testing.T) {
	for _, encoding := range []Encoding{Article, Fwknop19} {
		s := encrypted(t, encoding, Source)
		s.Rotate = to(true)
		k := encode(t, s, &Secrets{Key: passphrase(t, "fwknoptest")})
		server, client := hosts(t)
		seen := listen(t, server, k.Dst)
		send(t, client, *k)
		got := seen.wait(t, len(k.Packets))
		if diff := cmp.Diff(elements(*k), written(got)); diff != "" {
			t.Errorf("%s: %s", encoding, diff)
		}
		ports := make(map[uint16]bool)
		for _, a := range got {
			ports[a.SrcPort] = true
		}
		if len(ports) < len(got)-1 { // by chance two may be the same
			t.Errorf("%s: %d packets from the ports %v", encoding, len(got), ports)
		}
	}
}

func TestSPAArrivesAsItWasMade(t *testing.T) {
	key := passphrase(t, "open sesame")
	k := encode(t, Settings{Kind: SPA, Open: sequence(t, "tcp/22, udp/1194"), Repeat: 2}, &Secrets{Key: key, HMACKey: key})
	reader, err := spa.NewKey(spa.Config{Key: key.Bytes(), HMACKey: key.Bytes(), HMAC: spa.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	server, client := hosts(t)
	seen := listen(t, server, k.Dst)
	send(t, client, *k)
	got := seen.wait(t, 2)
	for _, a := range got {
		m, _, err := reader.Open(a.Payload)
		if err != nil || a.DstPort != 62201 || m.User != "mbr" {
			t.Errorf("udp/%d: %v, %v", a.DstPort, m, err)
		}
	}
	if got[0].SrcPort == got[1].SrcPort {
		t.Errorf("both come from port %d", got[0].SrcPort)
	}
}

// dialOn begins a connection from a source port and lets it go on until the
// function it returns is called.
func dialOn(n *netns.NS, dst netip.AddrPort, source int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = n.Do(func() error {
			d := net.Dialer{LocalAddr: &net.TCPAddr{Port: source}}
			conn, err := d.DialContext(ctx, "tcp", dst.String())
			if err == nil {
				conn.Close()
			}
			return err
		})
	}()
	return func() { cancel(); <-done }
}

// checkEchoes: numbered from 1, one identifier, the size of ping(8).
func checkEchoes(t *testing.T, list []arrival) {
	t.Helper()
	var seqs []uint16
	ids := map[uint16]bool{}
	for _, a := range list {
		if a.EchoRequest() {
			seqs = append(seqs, a.ICMP.Seq)
			ids[a.ICMP.ID] = true
			if len(a.Payload) != 56 {
				t.Errorf("echo request of %d bytes", len(a.Payload))
			}
		}
	}
	if diff := cmp.Diff([]uint16{1, 2, 3}, seqs); diff != "" {
		t.Errorf("echo sequence numbers: %s", diff)
	}
	if len(ids) != 1 {
		t.Errorf("echo identifiers: %v", ids)
	}
}

// checkSYNs: the options are those of the system, without MPTCP and fast
// open, and datagrams hold one byte.
func checkSYNs(t *testing.T, list []arrival) {
	t.Helper()
	for _, a := range list {
		if a.Protocol == packet.UDP && len(a.Payload) != 1 {
			t.Errorf("datagram of %d bytes", len(a.Payload))
		}
		if a.Protocol != packet.TCP {
			continue
		}
		var kinds []packet.OptionKind
		for opt, rest, ok := a.TCP.Options.Next(); ok; opt, rest, ok = rest.Next() {
			kinds = append(kinds, opt.Kind)
		}
		want := []packet.OptionKind{packet.OptionMSS, packet.OptionSACKPermitted,
			packet.OptionTimestamps, packet.OptionNOP, packet.OptionWindowScale}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Errorf("TCP options: %s", diff)
		}
	}
}

// A firewall that answers with "prohibited" must not look like a failure to
// send: Linux reports it from connect as EHOSTUNREACH (IPv4) and EACCES (IPv6).
func TestAnswersOfFirewallsAreNoFailures(t *testing.T) {
	for _, tt := range []struct {
		name, dst string
		code      uint8
	}{
		{"IPv4 host prohibited", serverAddr4, 10}, {"IPv4 administratively prohibited", serverAddr4, 13},
		{"IPv4 protocol unreachable", serverAddr4, 2}, {"IPv4 network unreachable", serverAddr4, 0},
		{"IPv6 administratively prohibited", serverAddr6, 1}, {"IPv6 no route", serverAddr6, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := hosts(t)
			dst := netip.MustParseAddr(tt.dst)
			rejectTCP(t, server, dst, tt.code)
			seen := listen(t, server, dst)
			send(t, client, Knock{Dst: dst, Repeat: 1, Packets: packets(t, "tcp/7003, tcp/7004")})
			if diff := cmp.Diff([]string{"tcp/7003", "tcp/7004"}, written(seen.wait(t, 2))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// rejectTCP answers all TCP with an ICMP "destination unreachable" of a code.
func rejectTCP(t *testing.T, n *netns.NS, dst netip.Addr, code uint8) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		family := nftables.TableFamilyIPv4
		if dst.Is6() {
			family = nftables.TableFamilyIPv6
		}
		table := c.AddTable(&nftables.Table{Family: family, Name: "test"})
		chain := c.AddChain(&nftables.Chain{
			Table: table, Name: "in", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Reject{Type: unix.NFT_REJECT_ICMP_UNREACH, Code: code},
		}})
		return c.Flush()
	})
}

func TestWithoutARouteNothingIsSent(t *testing.T) {
	lonely := netnstest.New(t)
	for _, dst := range []string{serverAddr4, serverAddr6} {
		netnstest.Do(t, lonely, func() error {
			s, err := NewSender(&Knock{Dst: netip.MustParseAddr(dst), Packets: packets(t, "tcp/1, tcp/2")})
			if err == nil {
				s.Close()
				t.Errorf("%s: a sender without a route", dst)
				return nil
			}
			want := "no route to " + dst + ": connect: network is unreachable"
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
			return nil
		})
	}
}

func TestVerifyReallyConnects(t *testing.T) {
	server, client := hosts(t)
	listenTCP(t, server, openPort)
	for _, dst := range []string{serverAddr4, serverAddr6} {
		netnstest.Do(t, client, func() error {
			_, err := Verify(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(dst), openPort), 5*time.Second)
			return err
		})
	}
}

func TestWhatIsAnAnswerAndWhatAFailure(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want bool
	}{
		{"ok refused", os.NewSyscallError("connect", syscall.ECONNREFUSED), true},
		{"ok unreachable", os.NewSyscallError("connect", syscall.EHOSTUNREACH), true},
		{"ok prohibited", os.NewSyscallError("connect", syscall.EACCES), true},
		{"ok refused on Windows", os.NewSyscallError("connectex", syscall.ECONNREFUSED), true},
		{"bad no source port", os.NewSyscallError("connect", syscall.EADDRNOTAVAIL), false},
		{"bad forbidden", os.NewSyscallError("connect", syscall.EPERM), false},
		{"bad socket", os.NewSyscallError("socket", syscall.EMFILE), false},
	} {
		if got := answered(&net.OpError{Op: "dial", Err: tt.err}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
