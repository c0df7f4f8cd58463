package e2e

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
	"nftknock/test/lab"
	"nftknock/test/netns"
)

// The host behind the server, whose port 22 greets with another banner than the server's.
var (
	behind4 = netip.MustParseAddr("10.0.0.5")
	behind6 = netip.MustParseAddr("fd00:5::5")
)

const behindBanner = "SSH-2.0-behind"

// behind makes the host behind the server, to which the server forwards.
func (s *stage) behind() *netns.NS {
	s.Helper()
	host, err := netns.New()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { host.Close() })
	here := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00:5::1/64")}
	err = errors.Join(
		// A router looks for its neighbours from its link-local address, which it may not use
		// for a second where it first makes sure that nobody else has it.
		s.Server.Sysctl("net/ipv6/conf/default/accept_dad", "0"), host.Sysctl("net/ipv6/conf/default/accept_dad", "0"),
		s.Server.Sysctl("net/ipv4/ip_forward", "1"), s.Server.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		netns.Connect(s.Server, host, "lan0", here, []netip.Prefix{netip.PrefixFrom(behind4, 24), netip.PrefixFrom(behind6, 64)}),
		host.Route(here[0].Addr()), host.Route(here[1].Addr()),
		(&lab.Lab{Server: host}).Serve(s.Context(), 22, behindBanner))
	if err != nil {
		s.Fatal(err)
	}
	return host
}

// banner returns what a client reads from a port of the server, or "" if it cannot connect.
func (s *stage) banner(c *lab.Client, server netip.Addr, port uint16) string {
	s.Helper()
	conn, line := s.greeted(c, server, port)
	if conn != nil {
		conn.Close()
	}
	return line
}

// greeted connects, and reads the banner.
func (s *stage) greeted(c *lab.Client, server netip.Addr, port uint16) (net.Conn, string) {
	s.Helper()
	conn, err := c.Dial(server, port, 900*time.Millisecond)
	if err != nil {
		return nil, ""
	}
	s.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		s.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		s.Errorf("read the banner: %v", err)
	}
	return conn, strings.TrimSpace(line)
}

// wantBanner fails if a client reads another banner: behindBanner, "SSH-2.0-hidden" of the
// server, or "" of nobody.
func (s *stage) wantBanner(c *lab.Client, server netip.Addr, port uint16, want string) {
	s.Helper()
	if got := s.banner(c, server, port); got != want {
		s.Errorf("%v -> [%v]:%d is %q, want %q; log:\n%s", c.Addr4, server, port, got, want, s.daemon.Log())
	}
}

// wantGoesOn fails if a connection does not go on. What is written is read by the service
// and not answered, so that an end or a reset shows only later.
func (s *stage) wantGoesOn(conn net.Conn) {
	s.Helper()
	if conn == nil {
		s.Fatal("there is no connection")
	}
	for range 3 {
		if _, err := io.WriteString(conn, "go on\n"); err != nil {
			s.Fatalf("the connection ended: %v", err)
		}
		time.Sleep(30 * time.Millisecond)
	}
}

const forwardLines = `open = ["tcp/2222"]
timeout = "20s"
forward = ["tcp/2222 -> 10.0.0.5:22", "tcp/2222 -> [fd00:5::5]:22"]
`

// sharedForward is an access with a shared sequence that leads to the host behind the
// server.
const sharedForward = "[[access]]\nname = \"inner\"\nsequence = [\"udp/50053\", \"udp/6020\", \"udp/24034\"]\n" + forwardLines

var sharedKnock = []string{"udp/50053", "udp/6020", "udp/24034"}

// An opened port leads to a host behind the server, with a shared sequence, a sealed
// message and SPA, over IPv4 and IPv6; not for others, and not before.
func TestForward(t *testing.T) {
	for name, knock := range map[string]struct {
		access func(s *stage) string
		flags  func(s *stage, six bool) []string
	}{
		"shared": {
			func(*stage) string { return sharedForward },
			func(*stage, bool) []string { return sharedKnock },
		},
		"siv": {
			func(s *stage) string {
				return "[[access]]\nname = \"inner\"\nknock = \"encrypted\"\n" + s.keys("base64:"+cipherKey, "") + forwardLines
			},
			func(s *stage, _ bool) []string {
				return []string{"-e", "-P", "tcp", "-p", "2222", "--key-file", filepath.Join(s.Dir, "keys/cipher")}
			},
		},
		"spa": {
			func(s *stage) string {
				return s.spaForward(`forward = ["10.0.0.5:22", "[fd00:5::5]:22"]` + "\n")
			},
			func(s *stage, six bool) []string {
				to := "10.0.0.5:22"
				if six {
					to = "[fd00:5::5]:22"
				}
				return []string{"--spa", "-p", "2222", "--forward", to,
					"--key-file", filepath.Join(s.Dir, "keys/cipher"), "--hmac-key-file", filepath.Join(s.Dir, "keys/hmac")}
			},
		},
	} {
		for family, server := range map[string]netip.Addr{"IPv4": lab.Server4, "IPv6": lab.Server6} {
			t.Run(name+" "+family, func(t *testing.T) {
				t.Parallel()
				s := newStage(t, 2)
				s.behind()
				s.start(knock.access(s))
				client := s.Clients[0]
				s.wantBanner(client, server, 2222, "")
				s.knock(client, server, knock.flags(s, server.Is6())...)
				src, to := client.Addr4, behind4
				if server.Is6() {
					src, to = client.Addr6, behind6
				}
				s.await(fmt.Sprintf("granted %s access to tcp/2222 (forwarded to %s) for 20s", src, netip.AddrPortFrom(to, 22)))
				s.wantBanner(client, server, 2222, behindBanner)
				other := s.Clients[1]
				at := netip.MustParseAddr("192.168.11.1")
				if server.Is6() {
					at = netip.AddrFrom16([16]byte{0: 0xfd, 3: 11, 15: 1})
				}
				s.wantBanner(other, at, 2222, "")
			})
		}
	}
}

// seal makes a packet of SPA.
func (s *stage) seal(m spa.Message) []byte {
	s.Helper()
	decode := func(text string) []byte {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			s.Fatal(err)
		}
		return b
	}
	key, err := spa.NewKey(spa.Config{Key: decode(cipherKey), HMACKey: decode(hmacKey), HMAC: spa.SHA256})
	if err != nil {
		s.Fatal(err)
	}
	m.User, m.Time, m.Version, m.Digest = "mbr", time.Now(), "3.0.0", spa.SHA256
	if m.Random == "" {
		m.Random = fmt.Sprintf("%016d", time.Now().UnixNano()%1e16)
	}
	payload, err := key.Seal(m, rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	return payload
}

// send sends a datagram to the port of SPA.
func (s *stage) send(c *lab.Client, server netip.Addr, payload []byte) {
	s.Helper()
	err := c.Do(func() error {
		conn, err := net.Dial("udp", netip.AddrPortFrom(server, 62201).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write(payload)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) spaForward(more string) string {
	return "[[access]]\nname = \"inner\"\nknock = \"spa\"\nopen = [\"tcp/22\", \"tcp/2222\"]\ntimeout = \"20s\"\nmax_timeout = \"1m\"\n" +
		s.keys("base64:"+cipherKey, "base64:"+hmacKey) + more
}

// The types 2, 4, 5 and 6 of SPA ask for a target, within what the policy allows.
func TestForwardBySPA(t *testing.T) {
	const targets = `forward = ["10.0.0.0/24:22", "[fd00:5::5]:22", "local:22"]` + "\n" +
		"[[access]]\nname = \"other\"\nsequence = [\"udp/50053\", \"udp/6020\", \"udp/24034\"]\nopen = [\"tcp/41000\"]\n"
	for _, c := range []struct {
		name   string
		kind   spa.Type
		nat    string
		dial   uint16
		six    bool
		log    string
		banner string
	}{
		{"type 2", spa.NATAccess, "10.0.0.5,22", 2222, false, "access to tcp/2222 (forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"type 2 by a random port", spa.NATAccess, "10.0.0.5,22", 40022, false, "access to tcp/40022 (forwarded to 10.0.0.5:22) for 20s", behindBanner},
		{"type 2 over IPv6", spa.NATAccess, "fd00:5::5,22", 2222, true, "(forwarded to [fd00:5::5]:22) for 20s", behindBanner},
		{"type 4", spa.NATAccessTimeout, "10.0.0.5,22", 22, false, "access to tcp/22 (forwarded to 10.0.0.5:22) for 50s", behindBanner},
		{"type 5", spa.LocalNAT, "127.0.0.1,22", 40022, false, "access to tcp/40022 (forwarded to local:22) for 20s", "SSH-2.0-hidden"},
		{"type 5 over IPv6", spa.LocalNAT, "gateway.example,22", 40022, true, "(forwarded to local:22) for 20s", "SSH-2.0-hidden"},
		{"type 6", spa.LocalNATTimeout, "10.3.2.1,22", 2222, false, "(forwarded to local:22) for 50s", "SSH-2.0-hidden"},

		{"bad address", spa.NATAccess, "10.0.1.5,22", 2222, false, "does not allow: tcp/2222 to 10.0.1.5:22", ""},
		{"bad port", spa.NATAccess, "10.0.0.5,23", 2222, false, "does not allow: tcp/2222 to 10.0.0.5:23", ""},
		{"bad loopback", spa.NATAccess, "127.0.0.1,22", 2222, false, "does not allow: tcp/2222 to 127.0.0.1:22", ""},
		{"bad name", spa.NATAccess, "host.example,22", 2222, false, "names are not resolved", ""},
		{"bad family", spa.NATAccess, "fd00:5::5,22", 2222, false, "the other address family", ""},
		{"bad local port", spa.LocalNAT, "127.0.0.1,23", 40022, false, "does not allow: tcp/40022 to local:23", ""},
		{"bad dialled port", spa.NATAccess, "10.0.0.5,22", 443, false, "does not allow: tcp/443 to 10.0.0.5:22", ""},
		{"bad port of another access", spa.NATAccess, "10.0.0.5,22", 41000, false, "does not allow: tcp/41000 to 10.0.0.5:22", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 2)
			s.behind()
			s.start(s.spaForward(targets))
			server := lab.Server4
			if c.six {
				server = lab.Server6
			}
			s.wantBanner(s.Clients[0], server, c.dial, "")
			m := spa.Message{Type: c.kind, NAT: c.nat, Services: []port.Range{port.Single(packet.TCP, c.dial)}}
			if c.kind == spa.NATAccessTimeout || c.kind == spa.LocalNATTimeout {
				m.Timeout = 50 * time.Second
			}
			payload := s.seal(m)
			s.send(s.Clients[0], server, payload)
			s.await(c.log)
			s.wantBanner(s.Clients[0], server, c.dial, c.banner)
			// The packet again, from elsewhere, opens nothing.
			elsewhere := netip.MustParseAddr("192.168.11.1")
			s.send(s.Clients[1], elsewhere, payload)
			s.await(" refused for 192.168.11.2: ")
			s.wantBanner(s.Clients[1], elsewhere, c.dial, "")
		})
	}
}

// The kernel ends the grant while no daemon runs; a connection goes on; and a daemon that
// starts goes on with a grant that has time left.
func TestForwardOutlivesTheDaemon(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.behind()
	s.start(strings.Replace(sharedForward, "20s", "4s", 1))
	client := s.Clients[0]
	s.knock(client, lab.Server4, sharedKnock...)
	s.await("granted 192.168.10.2 access to tcp/2222 (forwarded to 10.0.0.5:22) for 4s")
	since := time.Now()
	conn, _ := s.greeted(client, lab.Server4, 2222)
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		s.Fatal(err)
	}
	s.wantBanner(client, lab.Server4, 2222, behindBanner)
	time.Sleep(time.Until(since.Add(4200 * time.Millisecond)))
	s.wantBanner(client, lab.Server4, 2222, "")
	s.wantGoesOn(conn)
	s.launch()
	s.await("ready: ")
	s.wantBanner(client, lab.Server4, 2222, "")
	s.knock(client, lab.Server4, sharedKnock...)
	s.await("granted 192.168.10.2 access to tcp/2222 (forwarded")
	if err := s.daemon.Signal(syscall.SIGKILL); err != nil {
		s.Fatal(err)
	}
	if _, err := s.daemon.Wait(); err != nil {
		s.Fatal(err)
	}
	s.launch()
	s.await("access of 192.168.10.2 to tcp/2222 continues for")
	s.wantBanner(client, lab.Server4, 2222, behindBanner)
	s.wantGoesOn(conn)
	s.await("access of 192.168.10.2 to tcp/2222 ended")
	s.wantBanner(client, lab.Server4, 2222, "")
}

// A reload that takes a target away ends the grants that lead there at once.
func TestReloadTakesTargetsAway(t *testing.T) {
	withoutForward, _, _ := strings.Cut(sharedForward, "forward =")
	for name, c := range map[string]struct{ policy, reason, banner string }{
		"the target":   {strings.ReplaceAll(sharedForward, "10.0.0.5:22", "10.0.0.6:22"), "no longer forwards it to 10.0.0.5:22", ""},
		"all of it":    {withoutForward, "no longer forwards it to 10.0.0.5:22", ""},
		"masquerade":   {sharedForward + "masquerade = true\n", "has a changed masquerade", ""},
		"nothing":      {sharedForward + "limit = 10\n", "", behindBanner},
		"its timeout":  {strings.Replace(sharedForward, "20s", "5s", 1), "shortened to 5s", behindBanner},
		"other target": {sharedForward + "# nothing else\n", "", behindBanner},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 1)
			s.behind()
			if err := s.Serve(t.Context(), 2222, "the server's own"); err != nil {
				t.Fatal(err)
			}
			s.start(sharedForward)
			client := s.Clients[0]
			s.knock(client, lab.Server4, sharedKnock...)
			s.await("granted 192.168.10.2 access to tcp/2222 (forwarded")
			conn, _ := s.greeted(client, lab.Server4, 2222)
			s.write(c.policy)
			s.command(0, "", "reload")
			s.wantBanner(client, lab.Server4, 2222, c.banner)
			if c.reason != "" {
				s.await(c.reason)
			}
			s.wantGoesOn(conn)
			s.command(0, "", "revoke", "192.168.10.2")
			s.wantBanner(client, lab.Server4, 2222, "")
		})
	}
}

// An access that leads to an IPv4 address alone opens nothing to a knock over IPv6.
func TestForwardOfOneFamily(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.behind()
	s.start(strings.Replace(sharedForward, `, "tcp/2222 -> [fd00:5::5]:22"`, "", 1))
	s.knock(s.Clients[0], lab.Server6, sharedKnock...)
	s.await("the access forwards tcp/2222 to no IPv6 address")
	s.wantBanner(s.Clients[0], lab.Server6, 2222, "")
	s.knock(s.Clients[0], lab.Server4, sharedKnock...)
	s.await("granted 192.168.10.2 access to tcp/2222 (forwarded to 10.0.0.5:22) for 20s")
	s.wantBanner(s.Clients[0], lab.Server4, 2222, behindBanner)
}
