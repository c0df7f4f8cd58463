package gate

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nftknock/pkg/packet"
	"nftknock/test/thorough"
)

// goesOn is a case in which a connection is to go on, over TCP, UDP or both.
type goesOn struct {
	name     string
	networks []string
	before   func(*lab) // before the connection begins
	after    func(*lab) // after the table is there, and the grant has ended
}

// overBoth are the cases that hold for connections that existed before the table
// and for those that were admitted.
func overBoth() []goesOn {
	both := []string{"tcp", "udp"}
	return []goesOn{
		{name: "with conntrack in use", networks: both, before: (*lab).track},
		{name: "over a flush of the table", networks: both, before: (*lab).track, after: (*lab).loseAndRepair},
		{name: "over another ruleset", networks: both, before: (*lab).track, after: (*lab).applyAnother},
	}
}

// loseAndRepair deletes the table and has the gate repair it.
func (l *lab) loseAndRepair() {
	l.t.Helper()
	l.loseTable()
	awaitChange(l.t, l.gate)
	repair(l.t, l.gate, true)
}

// applyAnother applies another ruleset that hides port 22.
func (l *lab) applyAnother() {
	l.t.Helper()
	apply(l.t, l.gate, &Ruleset{Hide: Reject, Protected: services("tcp/20-30", "udp/20-30"), KnockPorts: services("tcp/7", "udp/8")})
}

func (l *lab) flushConntrack() { flushConntrack(l.t, l.server) }

// goOn runs the cases. Begin opens the connection to port 22 of the server, and
// leaves it without a grant behind a table that hides the port.
func goOn(t *testing.T, cases []goesOn, begin func(l *lab, client netip.Addr, network, address string) net.Conn) {
	t.Parallel()
	for _, tt := range cases {
		for _, network := range tt.networks {
			t.Run(tt.name+"/"+network, func(t *testing.T) {
				t.Parallel()
				bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
					t.Parallel()
					l := newLab(t, Config{Owner: OwnerOff})
					if tt.before != nil {
						tt.before(l)
					}
					l.serveOver(network, ":22")
					conn := begin(l, client, network, server+":22")
					if tt.after != nil {
						tt.after(l)
					}
					wantEcho(t, conn)
					wantEcho(t, conn)
					l.wantNoneBeside(network, server+":22")
				})
			})
		}
	}
}

// Connections that existed before the table go on, the client speaking first.
func TestExistingConnectionsGoOn(t *testing.T) {
	goOn(t, append(overBoth(),
		// UDP is known by conntrack alone, and so only where that is in use.
		goesOn{name: "without conntrack", networks: []string{"tcp"}},
		goesOn{name: "over a flush of conntrack", networks: []string{"tcp", "udp"}, before: (*lab).track, after: (*lab).flushConntrack},
		goesOn{name: "over a flush of conntrack that nobody else uses", networks: []string{"tcp"}, after: (*lab).flushConntrack},
		goesOn{
			name: "over a restart and a flush of the table", networks: []string{"tcp", "udp"}, before: (*lab).track,
			after: func(l *lab) {
				r := *l.gate.applied
				if err := l.gate.Close(); err != nil {
					l.t.Fatal(err)
				}
				l.gate = open(l.t, l.server, Config{Owner: OwnerOff})
				apply(l.t, l.gate, &r)
				l.loseAndRepair()
			},
		},
		goesOn{name: "untracked", networks: []string{"tcp"}, before: func(l *lab) { l.notrack("tcp/22") }},
	), func(l *lab, _ netip.Addr, network, address string) net.Conn {
		conn := l.mustDial(l.client, network, address)
		wantEcho(l.t, conn)
		apply(l.t, l.gate, &Ruleset{Protected: services(network + "/22")})
		return conn
	})
}

// Connections that were admitted go on after their grant.
func TestAdmittedConnectionsGoOnAfterTheirGrant(t *testing.T) {
	goOn(t, append(overBoth(),
		goesOn{name: "alone on the host", networks: []string{"tcp", "udp"}},
		goesOn{name: "over another ruleset, alone on the host", networks: []string{"tcp", "udp"}, after: (*lab).applyAnother},
		// Of UDP nothing is left then: see TestAnAdmittedFlowThatConntrackLostNeedsAGrant.
		goesOn{name: "over a flush of conntrack", networks: []string{"tcp"}, before: (*lab).track, after: (*lab).flushConntrack},
		goesOn{
			name: "untracked", networks: []string{"tcp", "udp"},
			before: func(l *lab) {
				l.notrack("tcp/22")
				l.notrack("udp/22")
			},
		},
	), func(l *lab, client netip.Addr, network, address string) net.Conn {
		apply(l.t, l.gate, &Ruleset{Protected: services(network + "/22")})
		grant(l.t, l.gate, Grant{Source: Host(client), Service: service(network + "/22"), Timeout: time.Minute})
		conn := l.mustDial(l.client, network, address)
		wantEcho(l.t, conn)
		l.revoke(client, network+"/22")
		return conn
	})
}

// A UDP flow that existed before the table is known by its addresses and ports alone: once it has
// ended, whoever has them could go on with it.
func TestAFlowThatEndedDoesNotComeBackWithTheTable(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, _ netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{Owner: OwnerOff})
		l.track()
		l.serveUDP(l.server, ":53")
		stays, ends := l.dialUDP(l.client, server+":53"), l.dialUDP(l.client, server+":53")
		wantEcho(t, stays)
		wantEcho(t, ends)
		apply(t, l.gate, &Ruleset{Protected: services("udp/53")})
		wantEcho(t, stays)
		wantEcho(t, ends)
		l.endFlow(ends)
		l.loseAndRepair()
		if echoes(ends) {
			t.Error("the flow that had ended goes on")
		}
		wantEcho(t, stays)
		// Neither does it with the next one.
		l.loseAndRepair()
		if echoes(ends) {
			t.Error("the flow that had ended goes on after another flush")
		}
		wantEcho(t, stays)
	})
}

// endFlow deletes a UDP flow of the client's from the server's conntrack.
func (l *lab) endFlow(conn net.Conn) {
	l.t.Helper()
	local := conn.LocalAddr().(*net.UDPAddr)
	family := netlink.InetFamily(netlink.FAMILY_V6)
	if local.IP.To4() != nil {
		family = netlink.FAMILY_V4
	}
	var n uint
	err := l.server.Do(func() error {
		filter := &netlink.ConntrackFilter{}
		if err := filter.AddProtocol(byte(packet.UDP)); err != nil {
			return err
		}
		if err := filter.AddPort(netlink.ConntrackOrigSrcPort, uint16(local.Port)); err != nil {
			return err
		}
		var err error
		n, err = netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, filter)
		return err
	})
	if err != nil || n != 1 {
		l.t.Fatalf("%d flows of %s deleted, %v; want one", n, local, err)
	}
}

// wantNoneBeside fails if another connection of the client comes in.
func (l *lab) wantNoneBeside(network, address string) {
	l.t.Helper()
	if network == "udp" {
		if echoes(l.dialUDP(l.client, address)) {
			l.t.Error("another flow came in")
		}
		return
	}
	if conn, err := l.dial(l.client, address); err == nil {
		conn.Close()
		l.t.Error("another connection came in")
	}
}

// An admitted UDP flow that conntrack lost begins anew: with its next datagram it
// needs a grant.
func TestAnAdmittedFlowThatConntrackLostNeedsAGrant(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.serveUDP(l.server, ":22")
		apply(t, l.gate, &Ruleset{Protected: services("udp/22")})
		g := Grant{Source: Host(client), Service: service("udp/22"), Timeout: time.Minute}
		grant(t, l.gate, g)
		conn := l.dialUDP(l.client, server+":22")
		wantEcho(t, conn)
		l.revoke(client, "udp/22")
		flushConntrack(t, l.server)
		if echoes(conn) {
			t.Error("it goes on without a grant")
		}
		grant(t, l.gate, g)
		wantEcho(t, conn)
	})
}

// Existing connections go on, too, when a later ruleset hides their port.
func TestExistingConnectionsGoOnWhenTheirPortIsHiddenLater(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, _ netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{Owner: OwnerOff})
				l.container()
				l.serveOver(network, ":22")
				apply(t, l.gate, &Ruleset{Protected: services(network + "/1-21")})
				here := l.mustDial(l.client, network, server+":22")
				forwarded := l.mustDial(l.client, network, server+":8080")
				wantEcho(t, here)
				wantEcho(t, forwarded)
				next := &Ruleset{Protected: services(network+"/1-22", network+"/8080")}
				apply(t, l.gate, next)
				goOn := func() {
					t.Helper()
					wantEcho(t, here)
					wantEcho(t, forwarded)
					l.wantNoneBeside(network, server+":22")
					l.wantNoneBeside(network, server+":8080")
				}
				goOn()
				// That of a gap is not among them, whatever is applied then.
				l.loseTable()
				late := l.dialUDP(l.client, server+":22")
				if network == "udp" {
					wantEcho(t, late)
				}
				next.KnockPorts = services("tcp/7")
				apply(t, l.gate, next)
				goOn()
				if network == "udp" && echoes(late) {
					t.Error("a flow of a gap goes on")
				}
			})
		})
	}
}

// An existing flow goes on from the table's first moment.
func TestAnExistingFlowLosesNothingWhenTheTableIsMade(t *testing.T) {
	t.Parallel()
	l := newLab(t, Config{Owner: OwnerOff})
	l.track()
	conn := l.listenUDP(l.server, ":53")
	stop := l.steady(server4+":53", conn)
	time.Sleep(silence)
	for range thorough.Choose(15, 50) {
		apply(t, l.gate, &Ruleset{Protected: services("udp/53")})
		time.Sleep(time.Millisecond)
		if err := l.gate.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if stop() == 0 {
		t.Error("nothing was sent meanwhile")
	}
}

// What begins while the first Apply is under way is in, or is kept out, for
// good.
func TestWhatBeginsWhileTheTableIsMadeGoesOn(t *testing.T) {
	t.Parallel()
	r := newRoad(t, Config{Owner: OwnerOff})
	r.track()
	service := r.listenUDP(r.server, ":53")
	ports := make(chan uint16, 1<<16)
	go func() {
		defer close(ports)
		for {
			_, from, err := service.ReadFromUDPAddrPort(make([]byte, 16))
			if err != nil {
				return
			}
			ports <- from.Port()
		}
	}()
	p := r.peer(peer4+":1", server4+":53")
	next := uint16(1024)
	for range thorough.Choose(2, 8) {
		done := make(chan error, 1)
		go func() { done <- p.gate.Apply(&Ruleset{Protected: services("udp/53")}) }()
		for applied := false; !applied; next++ {
			p.here = netip.AddrPortFrom(p.here.Addr(), next)
			p.transmit(p.datagram("x"))
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				applied = true
			default:
			}
		}
		began := drain(ports)
		silent := began
		for range 10 { // a busy machine loses some
			var frames [][]byte
			for port := range silent {
				p.here = netip.AddrPortFrom(p.here.Addr(), port)
				frames = append(frames, p.datagram("y"))
			}
			for part := range slices.Chunk(frames, 64) { // no more than a socket holds
				p.transmit(part...)
				time.Sleep(time.Millisecond)
			}
			for port := range drain(ports) {
				delete(silent, port)
			}
			if len(silent) == 0 {
				break
			}
		}
		if len(silent) > 0 {
			t.Fatalf("%d flows do not go on that began while the table was made", len(silent))
		}
		flushConntrack(t, p.server) // what is too much for the table is cut
		if err := p.gate.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// drain returns what comes out of a channel until nothing does for a while.
func drain(ports <-chan uint16) map[uint16]bool {
	all := make(map[uint16]bool)
	for {
		select {
		case port := <-ports:
			all[port] = true
		case <-time.After(silence):
			return all
		}
	}
}
