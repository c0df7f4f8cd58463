package gate

import (
	"encoding/binary"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"

	"nftknock/pkg/packet"
	"nftknock/test/netns/netnstest"
)

// The kernel calls a SYN on the entry of a connection that has ended, or half
// ended, established.
func TestASYNOnAnEndedConnectionNeedsAGrant(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		end  func(p *peer, service net.Conn)
	}{
		{"reset by the service", func(p *peer, service net.Conn) {
			service.(*net.TCPConn).SetLinger(0)
			service.Close()
			if s := p.next(patience); s == nil || !s.RST {
				p.t.Fatalf("%+v, want a reset", s)
			}
		}},
		{"half closed by the client", func(p *peer, _ net.Conn) {
			p.send(packet.FIN | packet.ACK)
			p.seq++
			if s := p.next(patience); s == nil || s.Ack != p.seq {
				p.t.Fatalf("%+v, want the FIN acknowledged", s)
			}
		}},
		{"closed by the service and the client", func(p *peer, service net.Conn) {
			service.Close()
			s := p.next(patience)
			if s == nil || !s.FIN {
				p.t.Fatalf("%+v, want a FIN", s)
			}
			p.ack = s.Seq + 1
			p.send(packet.FIN | packet.ACK)
			p.seq++
			if s := p.next(patience); s == nil || s.Ack != p.seq {
				p.t.Fatalf("%+v, want the FIN acknowledged", s)
			}
		}},
		{"closed by the client and the service", func(p *peer, service net.Conn) {
			p.send(packet.FIN | packet.ACK)
			p.seq++
			service.Close()
			for {
				s := p.next(patience)
				if s == nil {
					p.t.Fatal("no FIN")
				}
				if s.FIN {
					p.ack = s.Seq + 1
					p.send(packet.ACK)
					return
				}
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bothPeers(t, Config{}, "22", func(t *testing.T, p *peer) {
				conns := p.accepted(":22")
				apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
				p.grant22(p.here.Addr())
				p.mustConnect()
				service := one(t, conns)
				p.revoke(p.here.Addr(), "tcp/22")
				tt.end(p, service)
				p.heard(silence)
				p.seq, p.ack = p.seq+100000, 0
				p.send(packet.SYN)
				p.wantSilence()
				p.transmit(p.segment(packet.SYN, "data"), p.segment(packet.SYN|packet.ECE|packet.CWR, ""), p.segment(packet.SYN|packet.PSH|packet.URG, ""))
				p.wantSilence()
				// With a grant it is answered, so that it was the grant that was
				// missing.
				p.grant22(p.here.Addr())
				p.send(packet.SYN)
				if p.next(patience) == nil {
					t.Error("no answer with a grant")
				}
			})
		})
	}
}

// allFlags are segments with each of the 256 flag bytes, from as many ports, with
// and without data.
func (p *peer) allFlags() (frames [][]byte) {
	port := uint16(20000)
	for flags := range 256 {
		for _, payload := range []string{"", "data"} {
			p.here = netip.AddrPortFrom(p.here.Addr(), port)
			port++
			p.seq, p.ack = 1, 1
			frames = append(frames, p.segment(packet.TCPFlags(flags), payload))
		}
	}
	return frames
}

func TestNoFlagsOfTCPGetAnAnswerFromAHiddenPort(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ listen4, listen6 string }{
		"service of all addresses": {":22", ":22"},
		"service of one address":   {server4 + ":22", "[" + server6 + "]:22"},
		"no service":               {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothPeers(t, Config{}, "22", func(t *testing.T, p *peer) {
				address := tt.listen6
				if p.here.Addr().Is4() {
					address = tt.listen4
				}
				if address != "" {
					p.serve(address)
				}
				frames := p.allFlags()
				p.transmit(frames...)
				// The kernel takes 64 frames at a time, and a busy machine pauses between.
				var answers []gopacket.Packet
				for end := time.Now().Add(patience); time.Now().Before(end); {
					more := p.heard(silence)
					answers = append(answers, more...)
					if len(more) == 0 && len(answers) >= 128 {
						break
					}
				}
				if len(answers) < 128 {
					t.Fatalf("%d answers without a table", len(answers))
				}
				p.reset(answers)
				apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
				// As what begins: that of before is in conntrack.
				flushConntrack(t, p.server)
				p.transmit(frames...)
				p.wantSilence()
			})
		})
	}
}

// Where the kernel does not look for a packet's socket early, a service that
// listens on one address resets what acknowledges something: it is seen to be
// there, as before, and not opened.
func TestWithoutEarlyDemuxAHiddenPortSendsResetsAtMost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listen4, listen6 string
		resets           bool
	}{
		"service of all addresses": {":22", ":22", false},
		"service of one address":   {server4 + ":22", "[" + server6 + "]:22", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, _ string) {
				t.Parallel()
				r := newRoad(t, Config{})
				if err := r.server.Sysctl("net/ipv4/tcp_early_demux", "0"); err != nil {
					t.Fatal(err)
				}
				r.gate = open(t, r.server, Config{})
				address, p := tt.listen4, r.peer(peer4+":4711", server4+":22")
				if client.Is6() {
					address, p = tt.listen6, r.peer("["+peer6+"]:4711", "["+server6+"]:22")
				}
				p.serve(address)
				apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
				p.transmit(p.allFlags()...)
				resets := 0
				for _, frame := range p.heard(silence) {
					if s, ok := frame.Layer(layers.LayerTypeTCP).(*layers.TCP); !ok || !s.RST {
						t.Errorf("answered:\n%s", frame)
					}
					resets++
				}
				if (resets > 0) != tt.resets {
					t.Errorf("%d resets, want some: %v", resets, tt.resets)
				}
				// What existed goes on, and what is admitted comes in.
				p.here = netip.AddrPortFrom(p.here.Addr(), 4711)
				p.grant22(p.here.Addr())
				p.mustConnect()
			})
		})
	}
}

func flushConntrack(t testing.TB, host interface{ Do(func() error) error }) {
	t.Helper()
	if err := host.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatal(err)
	}
}

// fragments cuts the frame of an IP packet in two. Over IPv4 the first has 8 bytes
// of the transport header: the ports, and nothing of the flags. (Over IPv6 it must
// have the whole header: RFC 8200, section 4.5.)
func fragments(t *testing.T, frame []byte) [][]byte {
	t.Helper()
	const eth = 14
	var list [][]byte
	add := func(header, data []byte) {
		list = append(list, append(append(append([]byte{}, frame[:eth]...), header...), data...))
	}
	if frame[eth]>>4 == 4 {
		const length, first = 20, 8
		data := frame[eth+length : eth+binary.BigEndian.Uint16(frame[eth+2:])]
		header := func(offset, n int, more uint16) []byte {
			h := append([]byte{}, frame[eth:eth+length]...)
			binary.BigEndian.PutUint16(h[2:], uint16(length+n))
			binary.BigEndian.PutUint16(h[4:], 7) // identification
			binary.BigEndian.PutUint16(h[6:], more<<13|uint16(offset/8))
			h[10], h[11] = 0, 0
			binary.BigEndian.PutUint16(h[10:], checksum(h))
			return h
		}
		add(header(0, first, 1), data[:first])
		add(header(first, len(data)-first, 0), data[first:])
		return list
	}
	const length, first = 40, 24
	data := frame[eth+length:]
	header := func(offset, n int, more uint16) []byte {
		h := append([]byte{}, frame[eth:eth+length]...)
		next := h[6]
		h[6] = 44 // fragment header, RFC 8200
		binary.BigEndian.PutUint16(h[4:], uint16(8+n))
		h = append(h, next, 0)
		h = binary.BigEndian.AppendUint16(h, uint16(offset)|more)
		return binary.BigEndian.AppendUint32(h, 7)
	}
	add(header(0, first, 1), data[:first])
	add(header(first, len(data)-first, 0), data[first:])
	return list
}

func checksum(header []byte) uint16 {
	var sum uint32
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func TestFragmentsOfASYNAreNotLetIn(t *testing.T) {
	t.Parallel()
	bothPeers(t, Config{}, "22", func(t *testing.T, p *peer) {
		p.serve(":22")
		p.transmit(fragments(t, p.segment(packet.SYN, "some data"))...)
		answers := p.heard(silence)
		if len(answers) != 1 {
			t.Fatalf("%d answers without a table, want the fragments put together and answered", len(answers))
		}
		p.reset(answers)
		apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
		for n, flags := range []packet.TCPFlags{packet.SYN, packet.SYN | packet.FIN, packet.ACK, 0} {
			p.here = netip.AddrPortFrom(p.here.Addr(), 4712+uint16(n))
			two := fragments(t, p.segment(flags, "some data"))
			p.transmit(two...)
			p.wantSilence()
			p.transmit(two[1], two[0])
			p.wantSilence()
		}
		p.grant22(p.here.Addr())
		p.transmit(fragments(t, p.segment(packet.SYN, "some data"))...)
		if s := p.next(patience); s == nil || !s.SYN {
			t.Errorf("%+v with a grant", s)
		}
	})
}

// What this host sent a datagram to may answer. (Who can write the sender's
// address into a datagram, and guesses the port, may do so, too: without a grant
// UDP knows the sender by its address alone.)
func TestOnlyWhatTheHostSentToMayAnswer(t *testing.T) {
	t.Parallel()
	bothPeers(t, Config{}, "5300", func(t *testing.T, p *peer) {
		service := p.listenUDP(p.server, ":5300")
		apply(t, p.gate, &Ruleset{Protected: services("udp/5300")})
		p.transmit(p.datagram("before"))
		if n := received(t, service); n != 0 {
			t.Fatal("a datagram came in before the host sent one")
		}
		if _, err := service.WriteToUDPAddrPort([]byte("x"), p.here); err != nil {
			t.Fatal(err)
		}
		if len(p.heard(silence)) == 0 {
			t.Fatal("the host's datagram did not come")
		}
		other := *p
		other.here = netip.AddrPortFrom(p.here.Addr().Next(), p.here.Port())
		other.transmit(other.datagram("of another address"))
		other.here = netip.AddrPortFrom(p.here.Addr(), p.here.Port()+1)
		other.transmit(other.datagram("of another port"))
		if n := received(t, service); n != 0 {
			t.Errorf("%d datagrams came in that answer nothing", n)
		}
		p.transmit(p.datagram("answer"))
		forged := p.datagram("forged")
		copy(forged[6:], net.HardwareAddr{2, 0, 0, 0, 0, 9}) // another sender
		p.transmit(forged)
		if n := received(t, service); n != 2 {
			t.Errorf("%d datagrams came in, want the answer and the one that looks like it", n)
		}
	})
}

// An address may be one of this host's in another routing table alone: to
// prerouting it is another host's.
func TestAddressesOfOtherRoutingTablesAreHiddenToo(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ address, client string }{
		"IPv4": {"10.77.0.1", client4}, "IPv6": {"fd78::1", client6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{})
			local := addr(tt.address)
			netnstest.Do(t, l.server, func() error { return localInTable(local, 100) })
			if err := l.client.Route(addr(map[bool]string{true: server4, false: server6}[local.Is4()])); err != nil {
				t.Fatal(err)
			}
			l.serveOn(transparent(":22"))
			to := net.JoinHostPort(tt.address, "22")
			l.want(l.client, to, isOpen)
			apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
			l.want(l.client, to, isFiltered)
			l.grant22(addr(tt.client))
			conn, err := l.dial(l.client, to)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			l.revoke(addr(tt.client), "tcp/22")
			wantEcho(t, conn)
			l.want(l.client, to, isFiltered)
		})
	}
}

// localInTable makes an address local in a routing table that a rule leads to.
func localInTable(a netip.Addr, table int) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	family, whole := netlink.FAMILY_V6, &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
	if a.Is4() {
		family = netlink.FAMILY_V4
	}
	rule := netlink.NewRule()
	rule.Family, rule.Dst, rule.Table = family, whole, table
	if err := netlink.RuleAdd(rule); err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: whole, Table: table, Type: syscall.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
	})
}

// Such an address is admitted at input, by a label of its own.
func TestASYNOnAnEndedConnectionToAnotherRoutingTableNeedsAGrant(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string][2]string{
		"IPv4": {peer4 + ":4711", "10.77.0.1:22"}, "IPv6": {"[" + peer6 + "]:4711", "[fd78::1]:22"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newRoad(t, Config{}).peer(ends[0], ends[1])
			netnstest.Do(t, p.server, func() error { return localInTable(p.there.Addr(), 100) })
			conns := p.acceptedOn(transparent(":22"))
			apply(t, p.gate, &Ruleset{Protected: services("tcp/22")})
			p.grant22(p.here.Addr())
			p.mustConnect()
			service := one(t, conns)
			p.revoke(p.here.Addr(), "tcp/22")
			service.(*net.TCPConn).SetLinger(0)
			service.Close()
			if s := p.next(patience); s == nil || !s.RST {
				t.Fatalf("%+v, want a reset", s)
			}
			p.seq, p.ack = p.seq+100000, 0
			p.send(packet.SYN)
			p.wantSilence()
			p.grant22(p.here.Addr())
			p.send(packet.SYN)
			if s := p.next(patience); s == nil || !s.SYN {
				t.Errorf("%+v with a grant", s)
			}
		})
	}
}

// Between its SYN and its third packet a connection has no socket: where
// conntrack forgets it then, the grant lets it go on.
func TestAHandshakeGoesOnOverAFlushOfConntrack(t *testing.T) {
	t.Parallel()
	for name, once := range map[string]bool{"grant": false, "single use": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothPeers(t, Config{}, "22", func(t *testing.T, p *peer) {
				conns := p.accepted(":22")
				apply(t, p.gate, &Ruleset{Protected: services("tcp/22"), Openings: []Opening{{Service: service("tcp/22"), Once: once}}})
				grant(t, p.gate, Grant{Source: Host(p.here.Addr()), Service: service("tcp/22"), Once: once, Timeout: time.Minute})
				p.send(packet.SYN)
				s := p.next(patience)
				if s == nil || !s.SYN {
					t.Fatalf("%+v, want a SYN+ACK", s)
				}
				flushConntrack(t, p.server)
				p.seq, p.ack = p.seq+1, s.Seq+1
				p.send(packet.ACK)
				one(t, conns)
			})
		})
	}
}
