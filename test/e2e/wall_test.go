package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nftknock/test/lab"
)

// A connection that was established before the daemon's first start continues, on a host
// without conntrack rules, whichever side sends first.
func TestTheSessionOfTheFirstStartGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	c := s.Clients[0]
	conn := s.connect(c)
	s.start(access("ssh", three, "1s"))
	s.wantAlive(conn)
	s.wantOpen(c, lab.Server4, false)
}

func TestRevokeAndCut(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "30s"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	conn, other := s.connect(c), s.connect(c)
	s.command(0, "1 grant revoked\n", "revoke", c.Addr4.String(), "tcp/22")
	s.await("access of " + c.Addr4.String() + " to tcp/22 ended: revoked")
	s.wantOpen(c, lab.Server4, false)
	s.wantAlive(other)
	s.command(0, "0 grants revoked, 1 connection cut\n", "revoke", c.Addr4.String(), "--cut")
	s.await("1 connection of " + c.Addr4.String() + " to tcp/1-65535 cut")
	s.wantReset(conn)
	s.command(1, "bad service", "revoke", c.Addr4.String(), "ssh")
	s.command(2, "bad source", "revoke", "everybody")
}

func (s *stage) wantReset(conn net.Conn) {
	s.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		s.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		s.Errorf("read: %v, want a reset", err)
	}
}

func TestSingleUse(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	s.start(access("ssh", three, "30s", "single_use = true"))
	c := s.Clients[0]
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	conn := s.connect(c)
	s.wantOpen(c, lab.Server4, false)
	s.wantAlive(conn)
}

// A client behind a carrier's NAT knocks from one address and connects from another.
func TestAPrefixIsLetIn(t *testing.T) {
	t.Parallel()
	s := newStage(t, 3)
	s.start(access("ssh", three, "30s", "prefix4 = 23"))
	// 192.168.10.2 and 192.168.11.2 are in one /23, 192.168.12.2 is not.
	s.knock(s.Clients[0], lab.Server4, strings.Fields(three)...)
	s.await("granted 192.168.10.0/23 access to tcp/22 for 30s")
	s.wantOpen(s.Clients[1], lab.Server4, true)
	s.wantOpen(s.Clients[2], lab.Server4, false)
	// Access of one address in the network cannot be revoked alone; the error says so.
	s.command(1, "still let in, by a grant for more than was revoked: 192.168.10.0/23 to tcp/22", "revoke", "192.168.11.2")
	s.wantOpen(s.Clients[1], lab.Server4, true)
	s.command(0, "1 grant revoked\n", "revoke", "192.168.10.0/23")
	s.wantOpen(s.Clients[1], lab.Server4, false)
}

// An interface that the policy names stays guarded when it is renamed, and a wrong name
// exposes no service.
func TestGuardedInterfaces(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	for _, c := range s.Clients {
		s.wantReachable(c)
	}
	s.start("nftables.interfaces = [\"eth0\"]\n" + access("ssh", three, "30s"))
	s.wantOpen(s.Clients[0], lab.Server4, false)
	s.wantOpen(s.Clients[1], lab.Server4, true)
	s.rename("eth0", "lan0")
	s.await("lan0")
	s.wantOpen(s.Clients[0], lab.Server4, false)
	s.wantOpen(s.Clients[1], lab.Server4, true)

	s.write("nftables.interfaces = [\"eht0\"]\n" + access("ssh", three, "30s"))
	s.hangup("reloaded: ")
	s.await("eht0")
	for _, c := range s.Clients {
		s.wantOpen(c, lab.Server4, false)
	}
}

func (s *stage) wantReachable(c *lab.Client) {
	s.Helper()
	for range 20 {
		if c.Open(lab.Server4, 22) {
			return
		}
	}
	s.Fatal("the server cannot be reached")
}

func (s *stage) rename(from, to string) {
	s.Helper()
	err := s.Server.Do(func() error {
		link, err := netlink.LinkByName(from)
		if err != nil {
			return err
		}
		// A device that is up can be renamed since Linux 6.2.
		return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetName(link, to), netlink.LinkSetUp(link))
	})
	if err != nil {
		s.Fatal(err)
	}
}

// An attacker who replays a sequence from many addresses fills only the share of grants of
// that access.
func TestOneAccessCannotUseUpAnothersRoom(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	var policy strings.Builder
	for n := range 100 { // so that a share is 327 grants
		policy.WriteString(access(fmt.Sprint("other", n), fmt.Sprintf("udp/%d udp/%d", 20000+n, 30000+n), "30s"))
	}
	s.start(access("ssh", "udp/7001 udp/7002", "1h") + access("mine", three, "1h") + policy.String())
	c := s.Clients[0]
	s.flood(c, 600, 7001, 7002)
	s.await("has used up its share of the grants")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.wantReachable(c) // so many were let in that the log does not name each
	if n := len(s.grantedIn("nftknock")); n < 300 || n > 400 {
		t.Errorf("%d grants, want the share of one access and one more", n)
	}
}

// flood knocks from as many forged addresses as sources says.
func (s *stage) flood(c *lab.Client, sources int, ports ...uint16) {
	s.Helper()
	for n := range sources {
		for _, port := range ports {
			if err := c.Datagram(netip.AddrFrom4([4]byte{10, 200, byte(n >> 8), byte(n)}), lab.Server4, port); err != nil {
				s.Fatal(err)
			}
		}
	}
}
