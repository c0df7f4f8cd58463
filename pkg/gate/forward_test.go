package gate

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func toTarget(s string) port.Target {
	to, err := port.ParseTarget(s)
	if err != nil {
		panic(err)
	}
	return to
}

func forwarding(t *testing.T, s Gate) {
	t.Helper()
	apply(t, s, &Ruleset{Protected: services("tcp/2222", "udp/53"), Forward: true, Masquerade: true, Quotas: map[string]int{"few": 2}})
}

func leadsToTarget(t *testing.T, s subject) {
	forwarding(t, s)
	four := Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute, Access: "ssh", Method: "shared"}
	masqueraded := Grant{Source: from("192.0.2.1"), Service: service("tcp/2223"), Forward: toTarget("10.0.0.5:22"), Masquerade: true, Timeout: defaultTimeout, Access: "ssh"}
	local := Grant{Source: from("192.0.2.1"), Service: service("udp/53"), Forward: toTarget("local:5353"), Timeout: time.Minute}
	free := Grant{Source: from("192.0.2.2"), Service: service("tcp/40000"), Forward: toTarget("local:22"), Timeout: time.Minute}
	six := Grant{Source: from("2001:db8::1"), Service: service("tcp/2222"), Forward: toTarget("[2001:db8::5]:22"), Masquerade: true, Timeout: time.Minute}
	plain := Grant{Source: from("192.0.2.2"), Service: service("tcp/22"), Timeout: time.Minute}
	for _, g := range []Grant{six, free, local, masqueraded, four, plain} {
		grant(t, s, g)
	}
	wantGrants(t, s, four, masqueraded, local, plain, free, six)
	if err := s.Withdraw(masqueraded); err != nil {
		t.Error(err)
	}
	if err := revoke(s, local.Source, service("udp/53")); err != nil {
		t.Error(err)
	}
	wantGrants(t, s, four, plain, free, six)
	for range 3 {
		grant(t, s, Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Hour, Access: "ssh", Method: "shared"})
	}
	four.Timeout = time.Hour
	wantGrants(t, s, four, plain, free, six)
	// A quota counts grants, not their elements.
	for i, source := range []string{"198.51.100.1", "198.51.100.2", "198.51.100.3"} {
		err := s.Grant(Grant{Source: from(source), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute, Access: "few"})
		if i < 2 && err != nil {
			t.Error(err)
		} else if i == 2 {
			wantError(t, err, ErrQuota)
		}
	}
}

func changesTarget(t *testing.T, s subject) {
	forwarding(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Hour, Access: "ssh"}
	for _, to := range []string{"10.0.0.5:22", "10.0.0.6:22", "local:22", "local:23", "10.0.0.6:22"} {
		g.Forward = toTarget(to)
		lasts, err := s.Lasts(g)
		if err != nil || lasts {
			t.Errorf("%s before it is granted: %t, %v", to, lasts, err)
		}
		// It does not shorten: it is another one.
		g.Timeout -= time.Minute
		grant(t, s, g)
		wantGrants(t, s, g)
		if lasts, err = s.Lasts(g); err != nil || !lasts {
			t.Errorf("%s: %t, %v", to, lasts, err)
		}
		g.Masquerade = !g.Forward.Local()
		grant(t, s, g)
		wantGrants(t, s, g)
		g.Masquerade = false
	}
	g.Forward = port.Target{}
	grant(t, s, g)
	wantGrants(t, s, g)
	if err := s.Withdraw(g); err != nil {
		t.Error(err)
	}
	wantGrants(t, s)
}

func needsMap(t *testing.T, s subject) {
	applied(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute}
	wantError(t, s.Grant(g), ErrNoRoom)
	apply(t, s, &Ruleset{Protected: services("tcp/22"), Forward: true})
	grant(t, s, g)
	g.Masquerade = true
	wantError(t, s.Grant(g), ErrNoRoom)
	g.Masquerade = false
	wantGrants(t, s, g)
}

func refusesTargets(t *testing.T, s subject) {
	forwarding(t, s)
	good := Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute}
	for name, change := range map[string]func(*Grant){
		"loopback":         func(g *Grant) { g.Forward.Addr = addr("127.0.0.1") },
		"unspecified":      func(g *Grant) { g.Forward.Addr = addr("0.0.0.0") },
		"multicast":        func(g *Grant) { g.Forward.Addr = addr("224.0.0.1") },
		"link-local":       func(g *Grant) { g.Forward.Addr = addr("169.254.169.254") },
		"other family":     func(g *Grant) { g.Forward.Addr = addr("2001:db8::1") },
		"mapped":           func(g *Grant) { g.Forward.Addr = addr("::ffff:10.0.0.5") },
		"no port":          func(g *Grant) { g.Forward.Port = 0 },
		"range":            func(g *Grant) { g.Service = service("tcp/2222-2223") },
		"prefix":           func(g *Grant) { g.Source = prefix("192.0.2.0/24") },
		"single use":       func(g *Grant) { g.Once = true },
		"masquerade alone": func(g *Grant) { g.Forward, g.Masquerade = port.Target{}, true },
		"masqueraded port": func(g *Grant) { g.Forward.Addr, g.Masquerade = netip.Addr{}, true },
	} {
		g := good
		change(&g)
		if err := s.Grant(g); err == nil {
			t.Errorf("%s: granted", name)
		}
	}
	wantGrants(t, s)
}

func keepsTargets(t *testing.T, s subject) {
	forwarding(t, s)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Masquerade: true, Timeout: time.Minute, Access: "ssh"}
	grant(t, s, g)
	applied(t, s)
	wantGrants(t, s, g)
	wantError(t, s.Grant(Grant{Source: from("192.0.2.2"), Service: g.Service, Forward: g.Forward, Timeout: time.Minute}), ErrNoRoom)
	if err := s.Withdraw(g); err != nil {
		t.Fatal(err)
	}
	applied(t, s)
	wantGrants(t, s)
	// And with others again.
	forwarding(t, s)
	grant(t, s, g)
	wantGrants(t, s, g)
}

// forwardLab is a lab with a host behind the server, and a grant of the client that leads
// there.
type forwardLab struct {
	*lab
	behind *netns.NS
	grant  Grant
	dialed string
}

// forwards runs a test over TCP and UDP, IPv4 and IPv6, with a dialled port that is hidden
// and one that is not.
func forwards(t *testing.T, c Config, test func(t *testing.T, l *forwardLab)) {
	for _, network := range []string{"tcp", "udp"} {
		for _, dialled := range []string{"2222", "40022"} {
			t.Run(network+"/"+dialled, func(t *testing.T) {
				bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
					t.Parallel()
					l := &forwardLab{lab: newLab(t, c), dialed: server + ":" + dialled}
					l.behind = l.container()
					to := "10.9.9.2:80"
					if client.Is6() {
						to = "[fd09::2]:80"
					}
					l.grant = Grant{Source: Host(client), Service: service(network + "/" + dialled), Forward: toTarget(to), Timeout: time.Minute, Access: "ssh"}
					apply(t, l.gate, &Ruleset{Protected: services("tcp/2222", "udp/2222"), Forward: true, Masquerade: true})
					test(t, l)
				})
			})
		}
	}
}

func (l *forwardLab) network() string { return l.grant.Service.Protocol.String() }

func (l *forwardLab) mustReach() net.Conn {
	l.t.Helper()
	conn := l.mustDial(l.client, l.network(), l.dialed)
	wantEcho(l.t, conn)
	return conn
}

// A granted port leads to its target, and to nothing else; what was begun goes on.
func TestAGrantedPortLeadsToItsTarget(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		l.wantNoneBeside(l.network(), l.dialed)
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		if list := grants(t, l.gate); len(list) != 1 || list[0].Packets == 0 || list[0].Forward != l.grant.Forward {
			t.Errorf("%+v", list)
		}
		third := l.third()
		stranger := &lab{t: t, client: third.host}
		_, at, _ := net.SplitHostPort(l.dialed)
		stranger.wantNoneBeside(l.network(), third.server[l.grant.Source.Addr().Is4()]+":"+at)
		l.revoke(l.grant.Source.Addr(), l.grant.Service.String())
		wantEcho(t, conn)
		l.wantNoneBeside(l.network(), l.dialed)
		wantEcho(t, conn)
	})
}

// The kernel ends a grant with a target by itself, and never leaves the dialled port of
// this host open in its place.
func TestAGrantWithATargetEndsByItself(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		l.grant.Timeout = MinTimeout
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		if err := l.gate.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(MinTimeout + 20*time.Millisecond)
		l.wantNoneBeside(l.network(), l.dialed)
		wantEcho(t, conn)
	})
}

// A table that another process deleted comes back with where its grants lead.
func TestTargetsSurviveAFlush(t *testing.T) {
	t.Parallel()
	forwards(t, Config{Owner: OwnerOff}, func(t *testing.T, l *forwardLab) {
		l.grant.Masquerade = true
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		l.loseAndRepair()
		wantEcho(t, conn)
		l.mustReach()
		if list := grants(t, l.gate); len(list) != 1 || list[0].Forward != l.grant.Forward || !list[0].Masquerade {
			t.Errorf("%+v", list)
		}
		l.revoke(l.grant.Source.Addr(), l.grant.Service.String())
		l.wantNoneBeside(l.network(), l.dialed)
	})
}

// Another daemon finds the grants of the one before it with their targets.
func TestTargetsSurviveARestart(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		if err := l.gate.Close(); err != nil {
			t.Fatal(err)
		}
		l.mustReach()
		l.gate = open(t, l.server, Config{})
		apply(t, l.gate, &Ruleset{Protected: services("tcp/2222", "udp/2222"), Forward: true, Masquerade: true})
		list := grants(t, l.gate)
		if len(list) != 1 || list[0].Forward != l.grant.Forward {
			t.Errorf("%+v", list)
		}
		wantEcho(t, conn)
		l.mustReach()
		if err := l.gate.Withdraw(l.grant); err != nil {
			t.Fatal(err)
		}
		wantEcho(t, conn)
		l.wantNoneBeside(l.network(), l.dialed)
	})
}

// A connection to a target can be cut.
func TestCutEndsWhatLeadsToATarget(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		l.revoke(l.grant.Source.Addr(), l.grant.Service.String())
		wantEcho(t, conn)
		l.cut(l.grant.Source, l.grant.Service.String(), 1)
		if echoes(conn) {
			t.Error("the connection goes on")
		}
	})
}

// A port of this host under another number.
func TestAGrantedPortLeadsToAnotherPort(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		l.serveOver(l.network(), ":22")
		apply(t, l.gate, &Ruleset{Protected: services("tcp/2222", "udp/2222", "tcp/22", "udp/22"), Forward: true})
		l.grant.Forward = toTarget("local:22")
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		_, at, _ := net.SplitHostPort(l.dialed)
		host := l.dialed[:len(l.dialed)-len(at)-1]
		l.wantNoneBeside(l.network(), host+":22")
		l.revoke(l.grant.Source.Addr(), l.grant.Service.String())
		wantEcho(t, conn)
		l.wantNoneBeside(l.network(), l.dialed)
	})
}

// The target sees this host's address, so that its answers come back to us whatever its
// routes are.
func TestATargetWithoutARouteBack(t *testing.T) {
	t.Parallel()
	forwards(t, Config{}, func(t *testing.T, l *forwardLab) {
		netnstest.Do(t, l.behind, deleteRoutes)
		grant(t, l.gate, l.grant)
		l.wantNoneBeside(l.network(), l.dialed)
		l.grant.Masquerade = true
		grant(t, l.gate, l.grant)
		conn := l.mustReach()
		l.revoke(l.grant.Source.Addr(), l.grant.Service.String())
		wantEcho(t, conn)
	})
}

// deleteRoutes deletes the default routes.
func deleteRoutes() error {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, r := range routes {
		if r.Gw != nil {
			if err := netlink.RouteDel(&r); err != nil {
				return err
			}
		}
	}
	return nil
}

// What goes through this host to another is not translated, though it goes to a port that
// is granted; and a port that another program publishes is, as long as the grant lasts.
func TestTargetsBesideOtherTranslations(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{})
			behind := l.container()
			if err := l.client.Route(addr(server4)); err != nil {
				t.Fatal(err)
			}
			inside := &lab{t: t, server: behind}
			inside.serveOver(network, ":2222")
			apply(t, l.gate, &Ruleset{Protected: services(network + "/8080"), Forward: true})
			// The port of the container leads elsewhere for the client: nobody listens there.
			g := Grant{Source: from(client4), Service: service(network + "/8080"), Forward: toTarget("10.9.9.2:81"), Timeout: time.Minute}
			grant(t, l.gate, g)
			grant(t, l.gate, Grant{Source: from(client4), Service: service(network + "/2222"), Forward: toTarget("10.9.9.2:81"), Timeout: time.Minute})
			wantEcho(t, l.mustDial(l.client, network, "10.9.9.2:2222"))
			l.wantNoneBeside(network, server4+":8080")
			g.Forward = port.Target{}
			grant(t, l.gate, g)
			wantEcho(t, l.mustDial(l.client, network, server4+":8080"))
		})
	}
}

// Who deletes one of the elements of a grant ends it: without its target, it would open
// the dialled port of this host.
func TestHalfAGrantWithATargetEnds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{forwardMap, "the set"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forwards(t, Config{Owner: OwnerOff}, func(t *testing.T, l *forwardLab) {
				l.serveOver(l.network(), ":"+l.grant.Service.String()[len(l.network())+1:])
				grant(t, l.gate, l.grant)
				conn := l.mustReach()
				part := l.grant.forwardParts()[0]
				deleted := forwardSet(l.gate.table.netlink(0), part.set)
				key := part.element.Key
				if name != forwardMap {
					m := grantSetOf(l.grant.element())
					deleted, key = m.in(l.gate.table.netlink(0)), m.key(l.grant.Source, l.grant.Service)
				}
				stranger := stranger(t, l.server)
				if err := stranger.SetDeleteElements(deleted, []nftables.SetElement{{Key: key}}); err != nil {
					t.Fatal(err)
				}
				flush(t, stranger)
				<-l.gate.Changes()
				if repaired, err := l.gate.Repair(); err != nil || repaired {
					t.Errorf("repaired: %t, %v", repaired, err)
				}
				wantGrants(t, l.gate)
				wantEcho(t, conn)
				if l.grant.Service.First == 2222 {
					l.wantNoneBeside(l.network(), l.dialed)
				}
				l.grant.Timeout = 2 * time.Minute
				grant(t, l.gate, l.grant)
				wantGrants(t, l.gate, l.grant)
			})
		})
	}
}

// Where another process has put another target into a map, a grant replaces it.
func TestATargetThatSomebodyChangedIsReplaced(t *testing.T) {
	t.Parallel()
	k := open(t, netnstest.New(t), Config{Owner: OwnerOff})
	forwarding(t, k)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/2222"), Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute, Access: "ssh"}
	grant(t, k, g)
	// As if the ledger knew another one than the kernel has.
	for _, known := range []port.Target{toTarget("10.0.0.7:22"), {}} {
		other := g
		other.Forward = known
		k.ledger.put(other.normal(), time.Now())
		g.Timeout += time.Minute
		grant(t, k, g)
		wantGrants(t, k, g)
		other.Forward = toTarget("10.0.0.7:22")
		k.ledger.put(other.normal(), time.Now())
		if err := k.Withdraw(g); err != nil {
			t.Fatal(err)
		}
		wantGrants(t, k)
		grant(t, k, g)
	}
}
