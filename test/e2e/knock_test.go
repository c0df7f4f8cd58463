package e2e

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/test/lab"
)

const three = "tcp/50053 udp/6020 tcp/24034"

var article = []string{"tcp/50053", "udp/6020", "icmp", "icmp", "tcp/24034", "udp/9680"}

func TestTheArticlesExample(t *testing.T) {
	for name, server := range map[string]netip.Addr{"IPv4": lab.Server4, "IPv6": lab.Server6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start(access("ssh", strings.Join(article, " "), "8s", `require_os = "linux"`, `within = "20s"`))
			c := s.Clients[0]
			s.wantOpen(c, server, false)
			s.knock(c, server, article...)
			src := c.Addr4.String()
			if server.Is6() {
				src = c.Addr6.String()
			}
			s.await("OS guess: Linux")
			s.await("port knock access sequence matched for " + src)
			s.await("granted " + src + " access to tcp/22 for 8s")
			s.wantOpen(c, server, true)
			s.await("access of " + src + " to tcp/22 ended, 8s timeout exceeded")
			s.wantOpen(c, server, false)
		})
	}
}

func TestAConnectionOutlivesItsGrant(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "8s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	conn := s.connect(c)
	s.await(" ended, ")
	s.wantOpen(c, lab.Server4, false)
	s.wantAlive(conn)
}

// connect opens a connection to the service.
func (s *stage) connect(c *lab.Client) *net.TCPConn {
	s.Helper()
	return s.connectTo(c, lab.Server4)
}

// connectTo opens a connection to the service at one of the server's addresses.
func (s *stage) connectTo(c *lab.Client, server netip.Addr) *net.TCPConn {
	s.Helper()
	conn, err := c.Dial(server, 22, 5*time.Second)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	if _, err := conn.Read(make([]byte, 64)); err != nil {
		s.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// wantAlive closes a connection, and fails the test unless the server closes it too.
func (s *stage) wantAlive(conn *net.TCPConn) {
	s.Helper()
	if err := conn.CloseWrite(); err != nil {
		s.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 64)); n != 0 || err == nil || strings.Contains(err.Error(), "timeout") {
		s.Errorf("read %d, %v; want the connection's orderly end", n, err)
	}
}

func TestKnocks(t *testing.T) {
	const slack = `reorder = "1s"` // so that a slow machine swaps no verdict
	for _, c := range []struct {
		name   string
		policy string
		knock  []string
		log    string
		open   bool
	}{
		{"ok in order", access("ssh", three, "20s"), strings.Fields(three), "granted ", true},
		{"ok a packet twice", access("ssh", three, "20s"),
			[]string{"tcp/50053", "tcp/50053", "udp/6020", "udp/6020", "tcp/24034"}, "granted ", true},
		{"ok neighbours swapped", access("ssh", three, "20s", slack),
			[]string{"udp/6020", "tcp/50053", "tcp/24034"}, "granted ", true},
		{"bad wrong order", access("ssh", three, "20s"),
			[]string{"--delay", "300ms", "tcp/50053", "tcp/24034", "udp/6020"}, "sequence out of order", false},
		{"bad too fast", access("ssh", three, "20s", `min_interval = "2s"`), strings.Fields(three),
			"packets too close together", false},
		{"bad too slow", access("ssh", three, "20s", `max_interval = "200ms"`, `reorder = "0s"`),
			[]string{"--delay", "400ms", "tcp/50053", "udp/6020", "tcp/24034"}, "packets too far apart", false},
		{"bad beyond within", access("ssh", three, "20s", `within = "500ms"`, `reorder = "0s"`),
			[]string{"--delay", "400ms", "tcp/50053", "udp/6020", "tcp/24034"}, "packets too far apart", false},
		{"ok timed", access("ssh", three, "20s", `min_interval = "100ms"`, `max_interval = "10s"`),
			[]string{"--delay", "300ms", "tcp/50053", "udp/6020", "tcp/24034"}, "granted ", true},
		{"bad wrong system", access("ssh", three, "20s", `require_os = "windows"`), strings.Fields(three),
			"OS guess: Linux", false},
		{"ok two workers", "[nflog]\nworkers = 2\n" + access("ssh", three, "20s"), strings.Fields(three), "granted ", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.start("[log]\nlevel = \"debug\"\n" + c.policy)
			s.wantOpen(s.Clients[0], lab.Server4, false)
			s.knock(s.Clients[0], lab.Server4, c.knock...)
			s.await(c.log)
			s.wantOpen(s.Clients[0], lab.Server4, c.open)
		})
	}
}

func TestAForgedStackIsToldFromLinux(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", "tcp/50053 tcp/24034", "20s", `require_os = "linux"`))
	for _, port := range []uint16{50053, 24034} {
		if err := s.Clients[0].SYN(lab.Server4, port, lab.Windows); err != nil {
			t.Fatal(err)
		}
	}
	line := s.await("not accepted")
	if !strings.Contains(line, "OS guess: Windows") || !strings.Contains(line, "required: linux") {
		t.Errorf("the log says %q", line)
	}
	s.wantOpen(s.Clients[0], lab.Server4, false)
}

func TestTwoClientsAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	s.start(access("ssh", strings.Join(article, " "), "20s", `require_os = "linux"`))
	var wg sync.WaitGroup
	for _, c := range s.Clients[:2] {
		wg.Go(func() {
			if out, err := c.Nftknock(append([]string{"--delay", "100ms", lab.Server4.String()}, article...)...); err != nil {
				t.Errorf("%v: %v\n%s", c.Addr4, err, out)
			}
		})
	}
	wg.Wait()
	for _, c := range s.Clients[:2] {
		s.await("granted " + c.Addr4.String() + " ")
		s.wantOpen(c, lab.Server4, true)
	}
	s.wantOpen(s.Clients[2], lab.Server4, false)
}

// Other packets of the client do not disturb its knock, unless they go to knock ports.
func TestAKnockAmongUnrelatedTraffic(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start("[engine]\ntripwires = 0\n" + access("ssh", three, "20s"))
	c := s.Clients[0]
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for port := 1000; ctx.Err() == nil && port < 6000; port++ {
			_ = c.Do(func() error {
				conn, err := net.DialTimeout("tcp", net.JoinHostPort(lab.Server4.String(), strconv.Itoa(port)), time.Second)
				if err == nil {
					conn.Close()
				}
				datagram, err := net.Dial("udp", net.JoinHostPort(lab.Server4.String(), strconv.Itoa(port)))
				if err == nil {
					_, _ = datagram.Write([]byte("noise"))
					datagram.Close()
				}
				return nil
			})
		}
	})
	s.knock(c, lab.Server4, append([]string{"--delay", "50ms"}, strings.Fields(three)...)...)
	s.await("granted ")
	cancel()
	wg.Wait()
	s.wantOpen(c, lab.Server4, true)
}

func TestATripwireEndsTheKnock(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", "tcp/50053 tcp/24034 tcp/31000", "20s"))
	s.knock(s.Clients[0], lab.Server4, "tcp/50053", "tcp/24034", "tcp/24035", "tcp/31000")
	s.await("sent a packet to a tripwire port")
	s.wantOpen(s.Clients[0], lab.Server4, false)
}

func TestRejectLooksClosed(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start("[nftables]\nhide = \"reject\"\n" + access("ssh", three, "20s"))
	for _, server := range []netip.Addr{lab.Server4, lab.Server6} {
		conn, err := s.Clients[0].Dial(server, 22, 10*time.Second)
		if err == nil {
			conn.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v: %v, want connection refused", server, err)
		}
	}
}
