//go:build linux

package client

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/seal"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// Every round of a loose knock puts each of its packets on the wire once, from
// one source port, whether the ports at the other end answer, are silent or
// even open. No SYN is repeated by the system.
func TestALooseKnockLeavesFromOnePort(t *testing.T) {
	key := rawKey(t, strings.Repeat("01", 64))
	for _, tt := range []struct {
		name, dst string
		allow     netip.Addr
		rotate    bool
		server    func(t *testing.T, server *netns.NS, k *Knock)
		lanes     int
	}{
		{"IPv4 to closed ports", serverAddr4, Source, false, nil, 38},
		{"IPv4 to closed ports, rotated", serverAddr4, Source, true, nil, 38},
		{"IPv6 to closed ports, for an IPv6 address", serverAddr6, netip.MustParseAddr(clientAddr6), true, nil, 50},
		{"IPv4 to silent ports", serverAddr4, Source, true, silence, 38},
		{"IPv4 to silent ports, for an IPv6 address", serverAddr4, netip.MustParseAddr(clientAddr6), false, silence, 50},
		{"IPv6 to open ports", serverAddr6, Source, true, openAll, 38},
		{"IPv4 to open ports", serverAddr4, Source, false, openAll, 38},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := encrypted(t, SIV, tt.allow)
			s.Rotate, s.Repeat = &tt.rotate, 3
			k := encode(t, s, &Secrets{Key: key})
			k.Dst = netip.MustParseAddr(tt.dst)
			server, client := hosts(t)
			if tt.server != nil {
				tt.server(t, server, k)
			}
			seen := listen(t, server, k.Dst)
			send(t, client, *k)
			seen.wait(t, 3*tt.lanes)
			time.Sleep(1500 * time.Millisecond) // the system repeats a SYN after 1 s
			checkBursts(t, k, seen.knocks(), 3)
		})
	}
}

// silence has a host drop all TCP to the ports of a knock.
func silence(t *testing.T, n *netns.NS, _ *Knock) { dropTCP(t, n) }

// openAll listens on the TCP ports of a knock.
func openAll(t *testing.T, n *netns.NS, k *Knock) {
	for _, p := range k.Packets {
		if p.To.Protocol == packet.TCP {
			listenTCP(t, n, int(p.To.First))
		}
	}
}

func checkBursts(t *testing.T, k *Knock, got []arrival, rounds int) {
	t.Helper()
	size := len(k.Packets)
	if len(got) != rounds*size {
		t.Fatalf("%d packets arrived, want %d: %v", len(got), rounds*size, written(got))
	}
	ports := make(map[uint16]int)
	for round := range rounds {
		burst := got[round*size:][:size]
		if diff := cmp.Diff(elements(*k), written(burst)); diff != "" {
			t.Errorf("round %d: %s", round+1, diff)
		}
		lanes := make(map[uint16]bool)
		for _, a := range burst {
			lanes[(a.DstPort-seal.DefaultLaneBase)/seal.LaneWidth] = true
			ports[a.SrcPort]++
		}
		if len(lanes) != size {
			t.Errorf("round %d has %d lanes", round+1, len(lanes))
		}
		if took := burst[size-1].at.Sub(burst[0].at); round > 0 {
			gap := burst[0].at.Sub(got[round*size-1].at)
			t.Logf("round %d took %s, %s after the one before", round+1, took.Round(time.Microsecond), gap.Round(time.Millisecond))
		}
	}
	if len(ports) != 1 {
		t.Errorf("source ports: %v", ports)
	}
	checkSYNs(t, got)
}

// A burst has one socket for datagrams and one for the SYN in hand.
func TestALooseKnockHoldsFewDescriptors(t *testing.T) {
	_, client := hosts(t)
	k := encode(t, encrypted(t, SIV, Source), &Secrets{Key: rawKey(t, strings.Repeat("01", 64))})
	k.Dst = netip.MustParseAddr(serverAddr4)
	most := 0
	netnstest.Do(t, client, func() error {
		before := descriptors(t)
		s, err := NewSender(k)
		if err != nil {
			return err
		}
		defer s.Close()
		return k.Send(t.Context(), s, func(int, int, Packet) { most = max(most, descriptors(t)-before) })
	})
	if most > 2 {
		t.Errorf("%d file descriptors more", most)
	}
}

// descriptors counts those the process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A port that another socket of the host has is not used.
func TestASourcePortThatIsTaken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begun bool // datagrams have left from it already
	}{
		{"ok another one from the beginning", false},
		{"ok any for the rest", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := hosts(t)
			dst := netip.MustParseAddr(serverAddr4)
			seen := listen(t, server, dst)
			var taken uint16
			netnstest.Do(t, client, func() error {
				s, err := openSource(dst)
				if err != nil {
					return err
				}
				defer func() { s.conn.Close() }()
				taken, s.begun = s.port, tt.begun
				l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: int(taken)})
				if err != nil {
					return err
				}
				defer l.Close()
				for port := uint16(1); port <= 3; port++ {
					if err := s.sendSYN(t.Context(), dst, port); err != nil {
						return err
					}
				}
				return s.sendDatagram(dst, 4, []byte{0})
			})
			got := seen.wait(t, 4)
			if diff := cmp.Diff([]string{"tcp/1", "tcp/2", "tcp/3", "udp/4"}, written(got)); diff != "" {
				t.Error(diff)
			}
			ports := make(map[uint16]bool)
			for _, a := range got {
				ports[a.SrcPort] = true
			}
			if !tt.begun && (len(ports) != 1 || ports[taken]) || tt.begun && got[3].SrcPort != taken {
				t.Errorf("%d is taken, used are %v", taken, ports)
			}
		})
	}
}
