package gate

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/test/netns"
)

// What the host's other tables do, and its services.

// theirs is a chain of another table, which has the chain's name.
type theirs struct {
	name     string
	kind     nftables.ChainType
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
}

// add makes the table with the chain.
func (c theirs) add(conn *nftables.Conn, rules ...[]expr.Any) {
	table := conn.AddTable(&nftables.Table{Name: c.name, Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{Table: table, Name: c.name, Type: c.kind, Hooknum: c.hook, Priority: c.priority})
	for _, r := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r})
	}
}

// others adds a chain of another table to the server.
func (l *lab) others(c theirs, rules ...[]expr.Any) {
	l.t.Helper()
	conn := stranger(l.t, l.server)
	c.add(conn, rules...)
	flush(l.t, conn)
}

// track has somebody else use conntrack.
func (l *lab) track() {
	l.t.Helper()
	l.others(theirs{"firewall", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter},
		when(isTranslated()).do(accept()).exprs())
}

// notrack keeps conntrack off a service, in both directions.
func (l *lab) notrack(s string) {
	l.t.Helper()
	to, from := service(s), service(s)
	source := append(ofProtocol(from.Protocol),
		&expr.Payload{DestRegister: reg1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
		equal(binaryutil.BigEndian.PutUint16(from.First)...))
	l.others(theirs{"raw_in", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw},
		append(when(destinationPort.in(to)).exprs(), &expr.Notrack{}))
	l.others(theirs{"raw_out", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityRaw},
		append(source, &expr.Notrack{}))
}

// redirect sends what comes for a service to another port of the server.
func (l *lab) redirect(s string, port uint16) {
	l.t.Helper()
	l.others(theirs{"redirect", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest},
		append(when(destinationPort.in(service(s))).exprs(),
			&expr.Immediate{Register: reg1, Data: binaryutil.BigEndian.PutUint16(port)},
			&expr.Redir{RegisterProtoMin: reg1}))
}

// publish sends what comes for a service to another host, as container engines do.
func (l *lab) publish(s string, to ...netip.AddrPort) {
	l.t.Helper()
	var rules [][]expr.Any
	for _, end := range to {
		f := familyOf(end.Addr())
		rules = append(rules, append(append(f.guard(), when(destinationPort.in(service(s))).exprs()...),
			&expr.Immediate{Register: reg1, Data: end.Addr().AsSlice()},
			&expr.Immediate{Register: reg2, Data: binaryutil.BigEndian.PutUint16(end.Port())},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: reg1, RegProtoMin: reg2, Specified: true}))
	}
	l.others(theirs{"publish", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest}, rules...)
}

// loseTable deletes our table alone.
func (l *lab) loseTable() {
	l.t.Helper()
	conn := stranger(l.t, l.server)
	conn.DelTable(l.gate.table.netlink(0))
	flush(l.t, conn)
}

// transparent listens on addresses that the server does not know for its own in
// its local table, too.
func transparent(address string) func() (net.Listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
		}); e != nil {
			return e
		}
		return err
	}}
	return func() (net.Listener, error) { return config.Listen(context.Background(), "tcp", address) }
}

// echoes reports whether what is sent comes back.
func echoes(conn net.Conn) bool { return echoesWithin(silence, conn) }

func echoesWithin(wait time.Duration, conn net.Conn) bool {
	conn.SetDeadline(time.Now().Add(wait))
	got := make([]byte, 4)
	if _, err := conn.Write([]byte("ping")); err != nil {
		return false
	}
	n, err := conn.Read(got)
	return err == nil && string(got[:n]) == "ping"
}

func wantEcho(t testing.TB, conn net.Conn) {
	t.Helper()
	if !echoesWithin(patience, conn) {
		t.Errorf("the connection of %s to %s does not go on", conn.LocalAddr(), conn.RemoteAddr())
	}
}

// serveUDP sends back what comes to a UDP port of a host.
func (l *lab) serveUDP(host *netns.NS, address string) {
	l.t.Helper()
	conn := l.listenUDP(host, address)
	go func() {
		buf := make([]byte, 64)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			conn.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
}

// dialUDP opens a UDP socket of a host that sends to an address.
func (l *lab) dialUDP(from *netns.NS, address string) net.Conn {
	l.t.Helper()
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = net.Dial("udp", address)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	return conn
}

// mustDial connects to a TCP port, or opens a UDP socket.
func (l *lab) mustDial(from *netns.NS, network, address string) net.Conn {
	l.t.Helper()
	if network == "udp" {
		return l.dialUDP(from, address)
	}
	var conn net.Conn
	err := from.Do(func() (err error) {
		conn, err = net.DialTimeout("tcp", address, patience)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	return conn
}

// serveOver echoes over a protocol.
func (l *lab) serveOver(network, address string) {
	l.t.Helper()
	if network == "udp" {
		l.serveUDP(l.server, address)
		return
	}
	l.serve(address)
}
