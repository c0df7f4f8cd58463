package gate

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"nftknock/pkg/packet"
	"nftknock/test/thorough"
)

// What begins while the table is missing is established to the kernel, and as
// long as it sends.

func TestAFlowOfAGapIsShutOut(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{Owner: OwnerOff})
		l.track()
		l.serveUDP(l.server, ":53")
		apply(t, l.gate, &Ruleset{Protected: services("udp/53")})
		conn := l.dialUDP(l.client, server+":53")
		if echoes(conn) {
			t.Fatal("a flow came in before the gap")
		}
		l.loseTable()
		for range 3 { // seen in both directions, and again
			wantEcho(t, conn)
		}
		awaitChange(t, l.gate)
		repair(t, l.gate, true)
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
			if echoes(conn) {
				t.Fatal("the flow of the gap goes on")
			}
		}
		grant(t, l.gate, Grant{Source: Host(client), Service: service("udp/53"), Timeout: time.Minute})
		wantEcho(t, conn)
	})
}

// A TCP connection that began in a gap has a socket of this host, and so goes on
// like what existed before: nothing tells the two apart. With an owned table there
// are no gaps. What begins afterwards needs its grant, and so does what was half
// made.
func TestATCPConnectionOfAGapGoesOnByItsSocketAlone(t *testing.T) {
	t.Parallel()
	bothPeers(t, Config{Owner: OwnerOff}, "22", func(t *testing.T, p *peer) {
		conns := p.accepted(":22")
		p.track()
		apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
		p.loseTable()
		p.mustConnect()
		service := one(t, conns)
		half := *p
		half.here = netip.AddrPortFrom(p.here.Addr(), p.here.Port()+1)
		half.send(packet.SYN)
		answer := half.next(patience)
		if answer == nil || !answer.SYN {
			t.Fatal("no answer in the gap")
		}
		awaitChange(t, p.gate)
		repair(t, p.gate, true)

		half.seq, half.ack = half.seq+1, answer.Seq+1
		half.send(packet.ACK)
		select {
		case <-conns:
			t.Error("a connection was made whose SYN came in the gap")
		case <-time.After(silence):
		}

		p.transmit(p.segment(packet.ACK|packet.PSH, "ping"))
		p.seq += 4
		got := make([]byte, 4)
		service.SetReadDeadline(time.Now().Add(patience))
		if n, err := service.Read(got); err != nil || string(got[:n]) != "ping" {
			t.Errorf("the service got %q, %v", got[:n], err)
		}
		p.heard(silence)
		p.seq, p.ack = p.seq+100000, 0
		p.send(packet.SYN)
		p.here = netip.AddrPortFrom(p.here.Addr(), p.here.Port()+2)
		p.send(packet.SYN)
		// The kernel sends the half made one's SYN+ACK again.
		for _, frame := range p.heard(silence) {
			s, _ := frame.Layer(layers.LayerTypeTCP).(*layers.TCP)
			if s == nil || s.DstPort != layers.TCPPort(half.here.Port()) {
				t.Errorf("answered:\n%s", frame)
			}
		}
	})
}

func TestASYNFloodGetsNoAnswerWhileRulesetsChange(t *testing.T) {
	t.Parallel()
	for name, port := range map[string]uint16{"single port": 22, "port of a range": 8005} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoad(t, Config{Owner: OwnerOff})
			r.serve(":22")
			r.serve(":8005")
			once := Opening{Service: service("tcp/8000-8010"), Bits4: 24, Once: true}
			changes := []Ruleset{
				{Protected: services("tcp/22", "tcp/8000-8010")},
				{Protected: services("tcp/22", "tcp/8000-8010"), Unguarded: []string{"wg7"}},
				{Protected: services("tcp/22", "tcp/8000-8010"), Unguarded: []string{"wg7", "wg8"}, ICMP: true, Openings: openings("tcp/8000-8010")},
				{Protected: services("tcp/20-30", "tcp/8000-8020", "udp/53"), Hide: Drop, Openings: []Opening{once}},
				{Protected: services("tcp/22", "tcp/23", "tcp/8000-8009"), KnockPorts: services("tcp/1", "udp/2"), Workers: 4, Group: 7, Label: 5},
				{Protected: append(services("tcp/22", "tcp/8005"), manyRanges()...)},
			}
			apply(t, r.gate, &changes[0])
			listener := r.open(true)
			frames := r.syns(port)[:2000]
			var done atomic.Bool
			sent := make(chan int)
			go func() {
				n := 0
				for !done.Load() {
					if _, err := r.sender.Send(frames); err != nil {
						t.Error(err)
						break
					}
					n += len(frames)
				}
				sent <- n
			}()
			for n := range thorough.Choose(24, 200) {
				apply(t, r.gate, &changes[n%len(changes)])
			}
			done.Store(true)
			n := <-sent
			answers := 0
			listener.Receive(silence, func(f []byte) bool {
				frame := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
				if s, ok := frame.Layer(layers.LayerTypeTCP).(*layers.TCP); ok && s.SrcPort == layers.TCPPort(port) {
					answers++
				}
				return false
			})
			if answers > 0 {
				t.Errorf("%d answers or more to %d SYNs", answers, n)
			}
			if n < len(frames) {
				t.Errorf("%d SYNs were sent", n)
			}
			// Without a table they are answered.
			if err := r.gate.Remove(); err != nil {
				t.Fatal(err)
			}
			if _, err := r.sender.Send(frames[:100]); err != nil {
				t.Fatal(err)
			}
			if _, err := listener.Receive(patience, func(f []byte) bool {
				frame := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
				s, ok := frame.Layer(layers.LayerTypeTCP).(*layers.TCP)
				return ok && s.SYN && s.ACK
			}); err != nil {
				t.Error("no answers without a table")
			}
		})
	}
}
