package gate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/pkg/packet"
)

func TestTheFirstConnectionUsesAGrantUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		opening        Opening
		source4        string // 4 and 6: of the grant
		source6        string
		other4, other6 string // another address that the grant holds for, if any
	}{
		{name: "one port", opening: Opening{Service: service("tcp/8005")}, source4: peer4 + "/32", source6: peer6 + "/128"},
		{name: "a range", opening: Opening{Service: service("tcp/8000-8010")}, source4: peer4 + "/32", source6: peer6 + "/128"},
		{
			name: "a prefix", opening: Opening{Service: service("tcp/8005"), Bits4: 24, Bits6: 64},
			source4: "11.0.0.0/24", source6: "fd77::/64", other4: "11.0.0.78", other6: "fd77::78",
		},
		{
			name: "a range for a prefix", opening: Opening{Service: service("tcp/8000-8010"), Bits4: 9, Bits6: 17},
			source4: "11.0.0.0/9", source6: "fd77::/17", other4: "11.120.0.1", other6: "fd77:7000::1",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bothPeers(t, Config{}, "8005", func(t *testing.T, p *peer) {
				source, other := tt.source4, tt.other4
				if p.here.Addr().Is6() {
					source, other = tt.source6, tt.other6
				}
				conns := p.accepted(":8005")
				opening := tt.opening
				opening.Once = true
				apply(t, p.gate, &Ruleset{Protected: services("tcp/8000-8010"), Openings: []Opening{opening}})
				g := Grant{Source: prefix(source), Service: opening.Service, Once: true, Timeout: time.Minute}
				grant(t, p.gate, g)

				// Its SYN comes twice: the answer was lost.
				for range 2 {
					p.ack = 0
					p.send(packet.SYN)
					s := p.next(patience)
					if s == nil || !s.SYN || !s.ACK {
						t.Fatalf("%+v, want a SYN+ACK", s)
					}
					p.ack = s.Seq + 1
				}
				second := *p
				second.here = netip.AddrPortFrom(p.here.Addr(), p.here.Port()+1)
				if second.connect() {
					t.Error("a second connection came in")
				}
				if other != "" {
					second.here = netip.AddrPortFrom(addr(other), p.here.Port())
					if second.connect() {
						t.Error("a connection of another address came in")
					}
				}
				wantGrants(t, p.gate)
				if there, err := p.gate.Lasts(g); there || err != nil {
					t.Errorf("a grant that was used lasts: %v, %v", there, err)
				}
				p.seq++
				p.send(packet.ACK)
				one(t, conns)
				// The next grant is for the next connection.
				grant(t, p.gate, g)
				if there, err := p.gate.Lasts(g); !there || err != nil {
					t.Errorf("a grant that was not used lasts: %v, %v", there, err)
				}
				second.here = netip.AddrPortFrom(p.here.Addr(), p.here.Port()+2)
				second.mustConnect()
			})
		})
	}
}

// The first datagram uses it up, and the flow goes on.
func TestTheFirstDatagramUsesAGrantUp(t *testing.T) {
	t.Parallel()
	for name, opening := range map[string]Opening{
		"one port": {Service: service("udp/53"), Once: true}, "a range": {Service: service("udp/50-60"), Once: true},
	} {
		for _, untracked := range []bool{false, true} {
			if untracked {
				name += ", untracked"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
					t.Parallel()
					l := newLab(t, Config{})
					if untracked {
						l.notrack("udp/53")
					}
					l.serveUDP(l.server, ":53")
					apply(t, l.gate, &Ruleset{Protected: services("udp/50-60"), Openings: []Opening{opening}})
					grant(t, l.gate, Grant{Source: Host(client), Service: opening.Service, Once: true, Timeout: time.Minute})
					first, second := l.dialUDP(l.client, server+":53"), l.dialUDP(l.client, server+":53")
					wantEcho(t, first)
					wantGrants(t, l.gate)
					if echoes(second) {
						t.Error("a second flow came in")
					}
					wantEcho(t, first)
				})
			})
		}
	}
}

// A connection under notrack, too, is one connection.
func TestTheFirstUntrackedConnectionUsesAGrantUp(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.notrack("tcp/22")
		l.serve(":22")
		opening := Opening{Service: service("tcp/22"), Once: true}
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22"), Openings: []Opening{opening}})
		grant(t, l.gate, Grant{Source: Host(client), Service: opening.Service, Once: true, Timeout: time.Minute})
		conn := l.mustDial(l.client, "tcp", server+":22")
		wantEcho(t, conn)
		l.wantNoneBeside("tcp", server+":22")
		wantEcho(t, conn)
	})
}

// A grant that was used up stays so, whatever becomes of the table.
func TestAUsedGrantDoesNotComeBackWithTheTable(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*lab, *Ruleset){
		"flushed and repaired": func(l *lab, _ *Ruleset) {
			l.loseTable()
			awaitChange(l.t, l.gate)
			repair(l.t, l.gate, true)
		},
		"built anew by Apply": func(l *lab, r *Ruleset) {
			// A table with something in it that is no set and no chain cannot
			// be changed in place.
			conn := stranger(l.t, l.server)
			conn.AddObj(&nftables.CounterObj{Table: l.gate.table.netlink(0), Name: "theirs"})
			flush(l.t, conn)
			apply(l.t, l.gate, r)
		},
		"another ruleset": func(l *lab, r *Ruleset) {
			next := *r
			next.Hide, next.KnockPorts = Reject, services("tcp/7")
			apply(l.t, l.gate, &next)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{Owner: OwnerOff})
				l.serve(":22")
				r := &Ruleset{Protected: services("tcp/22"), Openings: []Opening{{Service: service("tcp/22"), Once: true}}}
				apply(t, l.gate, r)
				grant(t, l.gate, Grant{Source: Host(client), Service: service("tcp/22"), Once: true, Timeout: time.Minute})
				conn := l.mustDial(l.client, "tcp", server+":22")
				wantEcho(t, conn)
				lose(l, r)
				wantEcho(t, conn)
				l.wantNoneBeside("tcp", server+":22")
			})
		})
	}
}

func TestSingleUseGrantsGoWithTheTable(t *testing.T) {
	t.Parallel()
	victims(t, func(t *testing.T, v victim) {
		r := &Ruleset{
			Protected: services("tcp/22"), Openings: []Opening{{Service: service("tcp/22"), Once: true}},
			Quotas: map[string]int{"a": 2},
		}
		apply(t, v, r)
		stays := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute, Access: "a"}
		once := stays
		once.Source, once.Once = from("192.0.2.2"), true
		for _, again := range []func(){
			func() { repair(t, v, true) },
			func() { apply(t, v, r) },
		} {
			grant(t, v, stays)
			grant(t, v, once)
			v.flush()
			awaitChange(t, v)
			again()
			if list := grants(t, v); len(list) != 1 || list[0].Source != stays.Source {
				t.Errorf("grants %+v, want the one that no connection uses up", list)
			}
		}
		// It does not count against the quota any more.
		once.Source = from("192.0.2.3")
		grant(t, v, once)
	})
}
