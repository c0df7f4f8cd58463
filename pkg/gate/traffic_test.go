package gate

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"nftknock/test/netns/netnstest"
)

func TestDoorOpensAndClosesByItself(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.serve(":22")
		l.serve(":80")
		l.want(l.client, server+":22", isOpen)
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
		l.want(l.client, server+":22", isFiltered)
		l.want(l.client, server+":80", isOpen)
		l.want(l.client, server+":81", isClosed)

		grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Timeout: MinTimeout})
		l.want(l.client, server+":22", isOpen)
		if g := grants(t, l.gate); len(g) != 1 || g[0].Packets != 1 || g[0].Bytes == 0 {
			t.Errorf("counted %+v, want one SYN", g)
		}
		time.Sleep(MinTimeout + 50*time.Millisecond)
		l.want(l.client, server+":22", isFiltered)
	})
}

func TestRevokedDoorIsClosed(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		l := newLab(t, Config{})
		l.serve(":22")
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
		grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Timeout: time.Minute})
		l.want(l.client, server+":22", isOpen)
		if err := revoke(l.gate, Host(client), service("tcp/22")); err != nil {
			t.Fatal(err)
		}
		l.want(l.client, server+":22", isFiltered)
	})
}

func TestRangeIsHiddenAndGranted(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		l := newLab(t, Config{})
		for _, port := range []int{7999, 8000, 8005, 8010} {
			l.serve(fmt.Sprintf(":%d", port))
		}
		apply(t, l.gate, &Ruleset{
			Hide: Reject, Protected: services("tcp/8000-8010"), Openings: openings("tcp/8000-8010", "tcp/8000-8008"),
		})
		l.want(l.client, server+":7999", isOpen)
		for _, port := range []string{":8000", ":8005", ":8010"} {
			l.want(l.client, server+port, isClosed)
		}
		grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/8000-8008"), Timeout: time.Minute})
		l.want(l.client, server+":8000", isOpen)
		l.want(l.client, server+":8005", isOpen)
		l.want(l.client, server+":8010", isClosed)
	})
}

func TestGrantIsForOneSourceAndProtocol(t *testing.T) {
	l := newLab(t, Config{})
	l.serve(":22")
	apply(t, l.gate, &Ruleset{Protected: services("tcp/22", "tcp/23")})
	for _, g := range []Grant{
		{Source: from("10.3.2.3"), Service: service("tcp/22"), Timeout: time.Minute},
		{Source: from("fd00::3"), Service: service("tcp/22"), Timeout: time.Minute},
		{Source: from(client4), Service: service("udp/22"), Timeout: time.Minute},
		{Source: from(client6), Service: service("tcp/23"), Timeout: time.Minute},
	} {
		grant(t, l.gate, g)
	}
	l.want(l.client, server4+":22", isFiltered)
	l.want(l.client, "["+server6+"]:22", isFiltered)
}

func TestRejectedPortsLookClosed(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		l := newLab(t, Config{})
		l.serve(":22")
		l.listenUDP(l.server, ":53")
		apply(t, l.gate, &Ruleset{Hide: Reject, Protected: services("tcp/22", "udp/53")})
		l.want(l.client, server+":22", isClosed)
		if err := sendUDP(l, server+":53"); err == nil {
			t.Error("no port unreachable for a protected UDP port")
		}
		grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Timeout: time.Minute})
		grant(t, l.gate, Grant{Source: Host(client), Service: service("udp/53"), Timeout: time.Minute})
		l.want(l.client, server+":22", isOpen)
		if err := sendUDP(l, server+":53"); err != nil {
			t.Errorf("granted UDP port: %v", err)
		}
	})
}

// sendUDP sends a datagram and gives the ICMP error it meets, which Linux
// reports with the next call.
func sendUDP(l *lab, address string) error {
	var conn net.Conn
	netnstest.Do(l.t, l.client, func() (err error) {
		conn, err = net.Dial("udp", address)
		return err
	})
	defer conn.Close()
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

func TestLoopbackAndOtherInterfacesAreUntouched(t *testing.T) {
	l := newLab(t, Config{})
	third := netnstest.New(t)
	netnstest.Connect(t, l.server, third, "wg7", []string{"10.9.9.1/24"}, []string{"10.9.9.2/24"})
	l.reach(third, "10.9.9.1:9")
	l.serve(":22")
	tests := []struct {
		unguarded []string
		eth0, wg7 string
	}{
		{nil, isFiltered, isFiltered},
		{[]string{"wg7"}, isFiltered, isOpen},
		{[]string{"eth0"}, isOpen, isFiltered},
		{[]string{"eth0", "wg7"}, isOpen, isOpen},
		{[]string{"eth", "wg"}, isFiltered, isFiltered},
	}
	for _, tt := range tests {
		apply(t, l.gate, &Ruleset{Unguarded: tt.unguarded, Protected: services("tcp/22")})
		l.want(l.client, server4+":22", tt.eth0)
		l.want(third, "10.9.9.1:22", tt.wg7)
		l.want(l.server, "127.0.0.1:22", isOpen)
		l.want(l.server, "[::1]:22", isOpen)
		l.want(l.server, server4+":22", isOpen)
	}
}

func TestForwardedTrafficIsUntouched(t *testing.T) {
	l := newLab(t, Config{})
	behind := netnstest.New(t)
	netnstest.Connect(t, l.server, behind, "eth1",
		[]string{"10.9.9.1/24", "fd09::1/64"}, []string{"10.9.9.2/24", "fd09::2/64"})
	for name, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"} {
		if err := l.server.Sysctl(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, route := range []struct {
		host interface{ Route(netip.Addr) error }
		via  string
	}{{l.client, server4}, {l.client, server6}, {behind, "10.9.9.1"}, {behind, "fd09::1"}} {
		if err := route.host.Route(addr(route.via)); err != nil {
			t.Fatal(err)
		}
	}
	l.reach(l.client, "10.9.9.2:9")
	l.reach(l.client, "[fd09::2]:9")
	apply(t, l.gate, &Ruleset{Hide: Reject, Protected: services("tcp/22")})
	routed := &lab{t: t, server: behind}
	routed.serve(":22")
	l.want(l.client, "10.9.9.2:22", isOpen)
	l.want(l.client, "[fd09::2]:22", isOpen)
	// The router's own address is protected, whichever side it is on.
	l.want(l.client, "10.9.9.1:22", isClosed)
	l.want(l.client, "[fd09::1]:22", isClosed)
}

func TestLinkLocalAddressesAreProtectedToo(t *testing.T) {
	l := newLab(t, Config{})
	const server = "fe80::1"
	netnstest.Connect(t, l.server, l.client, "eth1", []string{server + "/64"}, []string{"fe80::2/64"})
	l.reach(l.client, "["+server+"%eth1]:9")
	l.serve(":22")
	apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
	l.want(l.client, "["+server+"%eth1]:22", isFiltered)
	grant(t, l.gate, Grant{Source: from("fe80::2"), Service: service("tcp/22"), Timeout: time.Minute})
	l.want(l.client, "["+server+"%eth1]:22", isOpen)
}

func TestConnectionOutlivesItsGrant(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		l := newLab(t, Config{})
		l.serve(":22")
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
		grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Timeout: time.Minute})
		conn, err := l.dial(l.client, server+":22")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		echo := func() {
			t.Helper()
			got := make([]byte, 4)
			if _, err := conn.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(got); err != nil || string(got) != "ping" {
				t.Errorf("read %q, %v", got, err)
			}
		}
		echo()
		if err := revoke(l.gate, Host(client), service("tcp/22")); err != nil {
			t.Fatal(err)
		}
		l.want(l.client, server+":22", isFiltered)
		echo()
		apply(t, l.gate, &Ruleset{Hide: Reject, Protected: services("tcp/22")})
		echo()
	})
}

// The server's own connections may come from any port, also one that is
// protected.
func TestAnswersToTheServerPass(t *testing.T) {
	l := newLab(t, Config{})
	other := &lab{t: t, server: l.client}
	other.serve(":80")
	apply(t, l.gate, &Ruleset{Protected: services("tcp/1-65535", "udp/1-65535")})
	l.want(l.server, client4+":80", isOpen)
	l.want(l.server, "["+client6+"]:80", isOpen)
	l.want(l.server, client4+":81", isClosed)
}

// A service that is bound to no address also gets what is sent to all hosts
// of a network.
func TestBroadcastAndMulticastAreHiddenToo(t *testing.T) {
	l := newLab(t, Config{})
	conn := l.listenUDP(l.server, ":5300")
	client := l.listenUDP(l.client, ":0")
	zone := ""
	netnstest.Do(t, l.client, func() error {
		device, err := net.InterfaceByName("eth0")
		if err == nil {
			zone = fmt.Sprint(device.Index)
		}
		return err
	})
	send := func() {
		t.Helper()
		for _, to := range []string{"10.3.2.255:5300", "[ff02::1%" + zone + "]:5300", server4 + ":5300"} {
			_, err := client.WriteToUDPAddrPort([]byte(to), netip.MustParseAddrPort(to))
			for range 50 { // a new cable has no link-local address to send from
				if !errors.Is(err, syscall.ENETUNREACH) {
					break
				}
				time.Sleep(100 * time.Millisecond)
				_, err = client.WriteToUDPAddrPort([]byte(to), netip.MustParseAddrPort(to))
			}
			if err != nil {
				t.Fatalf("%s: %v", to, err)
			}
		}
	}
	send()
	if n := received(t, conn); n != 3 {
		t.Fatalf("%d of 3 datagrams came through without a table", n)
	}
	apply(t, l.gate, &Ruleset{Protected: services("udp/5300")})
	send()
	if n := received(t, conn); n != 0 {
		t.Errorf("%d of 3 datagrams came through", n)
	}
	grant(t, l.gate, Grant{Source: from(client4), Service: service("udp/5300"), Timeout: time.Minute})
	send()
	if n := received(t, conn); n != 2 {
		t.Errorf("%d datagrams came through, want both from the address that is granted", n)
	}
}
