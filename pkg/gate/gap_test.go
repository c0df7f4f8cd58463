package gate

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/test/thorough"
)

// flood sends datagrams from the client to the server as fast as it can
// until stop is called, which gives their number.
func (l *lab) flood(to string) (stop func() int) {
	conn := l.listenUDP(l.client, ":0")
	target := netip.MustParseAddrPort(to)
	var done atomic.Bool
	sent := make(chan int)
	go func() {
		n := 0
		for !done.Load() {
			if _, err := conn.WriteToUDPAddrPort([]byte("x"), target); err == nil {
				n++
			}
		}
		sent <- n
	}()
	return func() int {
		done.Store(true)
		return <-sent
	}
}

// received counts what a socket has got until it has got nothing for a while.
func received(t *testing.T, conn *net.UDPConn) int {
	t.Helper()
	for n := 0; ; n++ {
		conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 16)); err != nil {
			return n
		}
	}
}

func TestNothingSlipsThroughWhileRulesetsChange(t *testing.T) {
	t.Parallel()
	l := newLab(t, Config{Owner: OwnerOff})
	conn := l.listenUDP(l.server, ":53")
	changes := []Ruleset{
		{Protected: services("udp/53")},
		{Protected: services("tcp/22", "udp/53", "udp/1000-2000"), ICMP: true},
		{Protected: services("udp/50-60"), KnockPorts: services("tcp/1", "udp/2", "tcp/3"), Workers: 4, Group: 7},
	}
	apply(t, l.gate, &changes[0])
	stop := l.flood(server4 + ":53")
	for n := range thorough.Choose(30, 300) {
		apply(t, l.gate, &changes[n%len(changes)])
	}
	sent := stop()
	if sent < len(changes) {
		t.Fatalf("%d datagrams were sent", sent)
	}
	if n := received(t, conn); n != 0 {
		t.Errorf("%d of %d datagrams came through", n, sent)
	}
}

// foreignSet makes the table one that Apply has to build anew.
func foreignSet(t testing.TB, other *nftables.Conn) {
	t.Helper()
	table := &nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet}
	other.AddSet(&nftables.Set{Table: table, Name: "foreign", KeyType: nftables.TypeIPAddr}, nil)
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestNothingSlipsThroughWhileTheTableIsBuiltAnew(t *testing.T) {
	for _, hide := range []Hide{Drop, Reject} {
		t.Run(hide.String(), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{Owner: OwnerOff})
			conn := l.listenUDP(l.server, ":53")
			r := Ruleset{Hide: hide, Protected: services("tcp/22", "udp/50-60")}
			apply(t, l.gate, &r)
			// Grants make the transaction a long one.
			for n := range thorough.Choose(300, 1500) {
				grant(t, l.gate, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Hour})
			}
			other := stranger(t, l.server)
			stop := l.flood(server4 + ":53")
			rounds := thorough.Choose(10, 50)
			for range rounds {
				foreignSet(t, other)
				apply(t, l.gate, &r)
			}
			sent := stop()
			if sent < rounds {
				t.Fatalf("%d datagrams were sent", sent)
			}
			if n := received(t, conn); n != 0 {
				t.Errorf("%d of %d datagrams came through", n, sent)
			}
		})
	}
}

// steady sends datagrams to the server until stop is called, and fails the
// test if one is missing at the other end. It returns when the first have arrived: stop
// returns how many did since then.
func (l *lab) steady(to string, at *net.UDPConn) (stop func() int) {
	conn := l.listenUDP(l.client, ":0")
	target := netip.MustParseAddrPort(to)
	var done atomic.Bool
	sent, begun := make(chan int), make(chan struct{}, 1)
	const burst = 16 // no more than a socket holds
	go func() {
		n := 0
		defer func() { sent <- n - burst }()
		defer close(begun)
		for !done.Load() {
			for range burst {
				conn.WriteToUDPAddrPort([]byte("x"), target)
			}
			at.SetReadDeadline(time.Now().Add(5 * time.Second))
			for range burst {
				if _, err := at.Read(make([]byte, 16)); err != nil {
					l.t.Errorf("after %d datagrams: %v", n, err)
					return
				}
				n++
			}
			select {
			case begun <- struct{}{}:
			default:
			}
		}
	}()
	<-begun
	return func() int {
		done.Store(true)
		return <-sent
	}
}

func TestGrantedTrafficLosesNothing(t *testing.T) {
	tests := []struct {
		name string
		do   func(*lab, *nftables.Conn)
	}{
		{"while grants are renewed", func(l *lab, _ *nftables.Conn) {
			for n := range thorough.Choose(200, 1000) {
				timeout := time.Minute + time.Duration(n%2)*time.Second
				grant(l.t, l.gate, Grant{Source: from(client4), Service: service("udp/53"), Timeout: timeout})
			}
		}},
		{"while rulesets change", func(l *lab, _ *nftables.Conn) {
			for n := range thorough.Choose(30, 200) {
				apply(l.t, l.gate, &Ruleset{Protected: services("udp/53"), Hide: Hide(n % 2)})
			}
		}},
		{"while the table is built anew", func(l *lab, other *nftables.Conn) {
			for range thorough.Choose(15, 100) {
				foreignSet(l.t, other)
				apply(l.t, l.gate, &Ruleset{Protected: services("udp/53")})
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{Owner: OwnerOff})
			conn := l.listenUDP(l.server, ":53")
			apply(t, l.gate, &Ruleset{Protected: services("udp/53")})
			grant(t, l.gate, Grant{Source: from(client4), Service: service("udp/53"), Timeout: time.Minute})
			stop := l.steady(server4+":53", conn)
			tt.do(l, stranger(t, l.server))
			if stop() == 0 {
				t.Error("nothing was sent meanwhile")
			}
		})
	}
}
