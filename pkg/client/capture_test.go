//go:build linux

package client

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

const (
	serverAddr4, serverAddr6 = "10.3.2.1", "fd00::1"
	clientAddr4, clientAddr6 = "10.3.2.2", "fd00::2"
)

// hosts makes a server and a client, joined by a veth pair.
func hosts(t *testing.T) (server, client *netns.NS) {
	t.Helper()
	server, client = netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0",
		[]string{serverAddr4 + "/24", serverAddr6 + "/64"}, []string{clientAddr4 + "/24", clientAddr6 + "/64"})
	return server, client
}

// arrival is a packet that arrived at the server's interface.
type arrival struct {
	packet.Packet
	at time.Time
}

// tap captures all IP packets that arrive at a host, before its firewall.
type tap struct {
	fd   int
	mu   sync.Mutex
	seen []arrival
	done chan struct{}
}

// listen begins to capture packets to one address.
func listen(t *testing.T, n *netns.NS, dst netip.Addr) *tap {
	t.Helper()
	p := &tap{done: make(chan struct{})}
	netnstest.Do(t, n, func() (err error) {
		all := int(binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})) // big endian
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
		return err
	})
	// Read times out every 20 ms, to check whether the test has ended.
	if err := unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20000}); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		p.read(dst)
	}()
	t.Cleanup(func() {
		close(p.done)
		<-stopped
		unix.Close(p.fd)
	})
	return p
}

func (p *tap) read(dst netip.Addr) {
	buf := make([]byte, 65536)
	for {
		select {
		case <-p.done:
			return
		default:
		}
		size, _, err := unix.Recvfrom(p.fd, buf, 0)
		if err != nil {
			continue
		}
		a := arrival{at: time.Now()}
		if packet.Decode(append([]byte(nil), buf[:size]...), &a.Packet) != nil || a.Dst != dst {
			continue
		}
		p.mu.Lock()
		p.seen = append(p.seen, a)
		p.mu.Unlock()
	}
}

// knocks returns the packets that a knock server would count, in order.
func (p *tap) knocks() []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []arrival
	for _, a := range p.seen {
		if a.PureSYN() || a.Protocol == packet.UDP || a.EchoRequest() {
			list = append(list, a)
		}
	}
	return list
}

// wait returns the knocks as soon as there are n of them.
func (p *tap) wait(t *testing.T, n int) []arrival {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if got := p.knocks(); len(got) >= n {
			return got
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("%d knocks arrived, want %d: %v", len(p.knocks()), n, written(p.knocks()))
	return nil
}

// written returns the elements of the packets.
func written(list []arrival) []string {
	var out []string
	for _, a := range list {
		e := knockElement(a.Packet)
		out = append(out, e.String())
	}
	return out
}
