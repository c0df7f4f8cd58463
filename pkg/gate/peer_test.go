package gate

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nftknock/pkg/packet"
	"nftknock/test/blast"
	"nftknock/test/netns/netnstest"
)

// A peer is the far end of a connection, at an address that no kernel has: what
// comes for it is answered by the test alone, with any segment that it likes.
type peer struct {
	*road
	here, there netip.AddrPort
	seq, ack    uint32
	wire        *blast.Sender
}

const (
	peer4, peer6 = "11.0.0.77", "fd77::77"

	// patience is how long to wait for what must come, and silence for what
	// must not: on a cable the far kernel answers within the call that sends.
	patience = 2 * time.Second
	silence  = 100 * time.Millisecond
)

func (r *road) peer(here, there string) *peer {
	return &peer{
		road: r, here: netip.MustParseAddrPort(here), there: netip.MustParseAddrPort(there),
		seq: 1000, wire: r.open(true),
	}
}

// bothPeers runs a test with a peer of either family at a port of the server.
func bothPeers(t *testing.T, c Config, port string, f func(t *testing.T, p *peer)) {
	for name, ends := range map[string][2]string{"IPv4": {peer4, server4}, "IPv6": {peer6, server6}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newRoad(t, c).peer(net.JoinHostPort(ends[0], "4711"), net.JoinHostPort(ends[1], port)))
		})
	}
}

// segment is a frame with a TCP segment that has some bits in its flag byte.
func (p *peer) segment(flags packet.TCPFlags, payload string) []byte {
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(p.here.Port()), DstPort: layers.TCPPort(p.there.Port()),
		Seq: p.seq, Ack: p.ack, Window: 64240,
		FIN: flags&packet.FIN != 0, SYN: flags&packet.SYN != 0, RST: flags&packet.RST != 0, PSH: flags&packet.PSH != 0,
		ACK: flags&packet.ACK != 0, URG: flags&packet.URG != 0, ECE: flags&packet.ECE != 0, CWR: flags&packet.CWR != 0,
	}
	return p.frame(p.here.Addr(), p.there.Addr(), tcp, []byte(payload))
}

// datagram is a frame with a UDP datagram.
func (p *peer) datagram(payload string) []byte {
	udp := &layers.UDP{SrcPort: layers.UDPPort(p.here.Port()), DstPort: layers.UDPPort(p.there.Port())}
	return p.frame(p.here.Addr(), p.there.Addr(), udp, []byte(payload))
}

func (p *peer) transmit(frames ...[]byte) {
	p.t.Helper()
	if _, err := p.sender.Send(frames); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) send(flags packet.TCPFlags) {
	p.t.Helper()
	p.transmit(p.segment(flags, ""))
}

// isMine reports whether a frame is for the peer's address, of any protocol.
func (p *peer) isMine(frame gopacket.Packet) bool {
	n := frame.NetworkLayer()
	if n == nil {
		return false
	}
	to, _ := netip.AddrFromSlice(n.NetworkFlow().Dst().Raw())
	return to == p.here.Addr()
}

// next is the next segment that comes to the peer, or nil.
func (p *peer) next(wait time.Duration) (tcp *layers.TCP) {
	p.t.Helper()
	p.wire.Receive(wait, func(f []byte) bool {
		frame := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		if !p.isMine(frame) {
			return false
		}
		tcp, _ = frame.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if tcp != nil && tcp.DstPort != layers.TCPPort(p.here.Port()) {
			tcp = nil
		}
		return tcp != nil
	})
	return tcp
}

// heard is all that comes to the peer's address within a time.
func (p *peer) heard(wait time.Duration) (frames []gopacket.Packet) {
	p.wire.Receive(wait, func(f []byte) bool {
		if frame := gopacket.NewPacket(slices.Clone(f), layers.LayerTypeEthernet, gopacket.Default); p.isMine(frame) {
			frames = append(frames, frame)
		}
		return false
	})
	return frames
}

// reset ends the connections that were begun with SYN+ACKs, which the server would
// otherwise send again.
func (p *peer) reset(answers []gopacket.Packet) {
	p.t.Helper()
	q := *p
	for _, frame := range answers {
		if s, ok := frame.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && s.SYN && s.ACK {
			q.here = netip.AddrPortFrom(p.here.Addr(), uint16(s.DstPort))
			q.seq, q.ack = s.Ack, 0
			q.send(packet.RST)
		}
	}
	p.heard(silence)
}

// connect makes the connection, if somebody answers.
func (p *peer) connect() bool {
	p.t.Helper()
	return p.connectWithin(silence)
}

func (p *peer) connectWithin(wait time.Duration) bool {
	p.t.Helper()
	p.ack = 0
	p.send(packet.SYN)
	answer := p.next(wait)
	if answer == nil || !answer.SYN || !answer.ACK {
		return false
	}
	p.seq, p.ack = p.seq+1, answer.Seq+1
	p.send(packet.ACK)
	return true
}

func (p *peer) mustConnect() {
	p.t.Helper()
	if !p.connectWithin(patience) {
		p.t.Fatalf("no connection of %s to %s", p.here, p.there)
	}
}

// wantSilence fails if anything comes to the peer's address.
func (p *peer) wantSilence() {
	p.t.Helper()
	if frames := p.heard(silence); len(frames) > 0 {
		p.t.Errorf("%s got %d answers, the first:\n%s", p.here.Addr(), len(frames), frames[0])
	}
}

// accepted returns the connections of a service that does nothing with them.
func (l *lab) accepted(address string) <-chan net.Conn {
	l.t.Helper()
	return l.acceptedOn(func() (net.Listener, error) { return net.Listen("tcp", address) })
}

func (l *lab) acceptedOn(listen func() (net.Listener, error)) <-chan net.Conn {
	l.t.Helper()
	var listener net.Listener
	netnstest.Do(l.t, l.server, func() (err error) {
		listener, err = listen()
		return err
	})
	l.t.Cleanup(func() { listener.Close() })
	conns := make(chan net.Conn, 16)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns <- conn
		}
	}()
	return conns
}

// one waits for a connection, which is closed with the test.
func one(t testing.TB, conns <-chan net.Conn) net.Conn {
	t.Helper()
	select {
	case conn := <-conns:
		t.Cleanup(func() { conn.Close() })
		return conn
	case <-time.After(patience):
		t.Fatal("no connection came")
		return nil
	}
}

// grant22 lets a source in to tcp/22 for a while.
func (l *lab) grant22(source netip.Addr) {
	l.t.Helper()
	grant(l.t, l.gate, Grant{Source: Host(source), Service: service("tcp/22"), Timeout: time.Minute})
}

func (l *lab) revoke(source netip.Addr, s string) {
	l.t.Helper()
	if err := revoke(l.gate, Host(source), service(s)); err != nil {
		l.t.Fatal(err)
	}
}
