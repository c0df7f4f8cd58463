package gate

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// container is a host behind the server, whose ports 80 of TCP and UDP the server
// publishes as 8080.
func (l *lab) container() *netns.NS {
	l.t.Helper()
	behind := netnstest.New(l.t)
	netnstest.Connect(l.t, l.server, behind, "eth1", []string{"10.9.9.1/24", "fd09::1/64"}, []string{"10.9.9.2/24", "fd09::2/64"})
	for name, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"} {
		if err := l.server.Sysctl(name, value); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, via := range []string{"10.9.9.1", "fd09::1"} {
		if err := behind.Route(addr(via)); err != nil {
			l.t.Fatal(err)
		}
	}
	l.reach(l.server, "10.9.9.2:9")
	l.reach(l.server, "[fd09::2]:9")
	inside := &lab{t: l.t, server: behind}
	inside.serve(":80")
	inside.serveUDP(behind, ":80")
	ends := []netip.AddrPort{netip.MustParseAddrPort("10.9.9.2:80"), netip.MustParseAddrPort("[fd09::2]:80")}
	l.publish("tcp/8080", ends...)
	l.publish("udp/8080", ends...)
	return behind
}

// What is published from a container is hidden, and opened, by the port that is
// dialled.
func TestAPublishedPortIsHiddenByTheDialledPort(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{})
				l.container()
				existing := l.mustDial(l.client, network, server+":8080")
				wantEcho(t, existing)
				// To hide the port inside hides nothing.
				apply(t, l.gate, &Ruleset{Protected: services(network + "/80")})
				wantEcho(t, l.mustDial(l.client, network, server+":8080"))
				if err := l.gate.Remove(); err != nil {
					t.Fatal(err)
				}

				apply(t, l.gate, &Ruleset{Protected: services(network + "/8080")})
				wantEcho(t, existing)
				l.wantNoneBeside(network, server+":8080")
				g := Grant{Source: Host(client), Service: service(network + "/80"), Timeout: time.Minute}
				grant(t, l.gate, g)
				l.wantNoneBeside(network, server+":8080")
				g.Service = service(network + "/8080")
				grant(t, l.gate, g)
				conn := l.mustDial(l.client, network, server+":8080")
				wantEcho(t, conn)
				l.revoke(client, network+"/8080")
				wantEcho(t, conn)
				wantEcho(t, existing)
				l.wantNoneBeside(network, server+":8080")
				// An existing connection is known by its tuples, before and after the
				// translation.
				flushConntrack(t, l.server)
				wantEcho(t, existing)
				l.wantNoneBeside(network, server+":8080")
			})
		})
	}
}

// A container engine may have a program listen on the published port, which
// serves what the translation does not reach.
func TestAPublishedPortWithAListenerAnswersNothing(t *testing.T) {
	t.Parallel()
	for name, listen := range map[string]map[bool]string{
		"on all addresses": {true: ":8080", false: ":8080"},
		"on one address":   {true: server4 + ":8080", false: "[" + server6 + "]:8080"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothPeers(t, Config{}, "8080", func(t *testing.T, p *peer) {
				p.container()
				p.serve(listen[p.here.Addr().Is4()])
				p.send(packet.SYN)
				answers := p.heard(silence)
				if len(answers) != 1 {
					t.Fatalf("%d answers without a table", len(answers))
				}
				p.reset(answers)
				apply(t, p.gate, &Ruleset{Protected: services("tcp/8080")})
				p.transmit(p.allFlags()...)
				p.wantSilence()
			})
		})
	}
}

// Neither does such a listener keep a connection alive that is cut.
func TestCutEndsForwardedTCPBesideAListener(t *testing.T) {
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.container()
		l.serve(server + ":8080")
		l.cutsForwarded(client, server)
	})
}

// Who redirects an open port to a hidden one opens that on purpose.
func TestAPortRedirectedToAHiddenOneStaysOpen(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, _ netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.serve(":22")
		l.redirect("tcp/9999", 22)
		apply(t, l.gate, &Ruleset{Protected: services("tcp/22")})
		l.want(l.client, server+":22", isFiltered)
		wantEcho(t, l.mustDial(l.client, "tcp", server+":9999"))
	})
}

func TestARedirectedPortIsHiddenByTheDialledPort(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{})
				l.serveOver(network, ":80")
				l.redirect(network+"/2222", 80)
				existing := l.mustDial(l.client, network, server+":2222")
				wantEcho(t, existing)
				apply(t, l.gate, &Ruleset{Protected: services(network + "/2222")})
				wantEcho(t, existing)
				l.wantNoneBeside(network, server+":2222")
				wantEcho(t, l.mustDial(l.client, network, server+":80"))
				g := Grant{Source: Host(client), Service: service(network + "/80"), Timeout: time.Minute}
				grant(t, l.gate, g)
				l.wantNoneBeside(network, server+":2222")
				g.Service = service(network + "/2222")
				grant(t, l.gate, g)
				conn := l.mustDial(l.client, network, server+":2222")
				wantEcho(t, conn)
				l.revoke(client, network+"/2222")
				wantEcho(t, conn)
				l.wantNoneBeside(network, server+":2222")
			})
		})
	}
}

// A redirected address that is local only in another routing table is known at
// input alone, after the translation.
func TestARedirectedPortOfAnotherRoutingTableIsHidden(t *testing.T) {
	t.Parallel()
	const address = "10.77.0.1"
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{})
			netnstest.Do(t, l.server, func() error { return localInTable(addr(address), 100) })
			if err := l.client.Route(addr(server4)); err != nil {
				t.Fatal(err)
			}
			l.serveOver(network, ":80")
			l.redirect(network+"/2222", 80)
			to := net.JoinHostPort(address, "2222")
			wantEcho(t, l.mustDial(l.client, network, to))
			apply(t, l.gate, &Ruleset{Protected: services(network + "/2222")})
			l.wantNoneBeside(network, to)
			grant(t, l.gate, Grant{Source: from(client4), Service: service(network + "/2222"), Timeout: time.Minute})
			conn := l.mustDial(l.client, network, to)
			wantEcho(t, conn)
			l.revoke(addr(client4), network+"/2222")
			wantEcho(t, conn)
			l.wantNoneBeside(network, to)
		})
	}
}

// What was another host's before its translation passes, as does all that is
// forwarded: a transparent proxy on this host's way takes ports of its own choice.
func TestWhatIsTranslatedOnItsWayToAnotherHostPasses(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, Config{})
			l.container()
			if err := l.client.Route(addr(server4)); err != nil {
				t.Fatal(err)
			}
			const elsewhere = "192.0.2.1:8080"
			existing := l.mustDial(l.client, network, elsewhere)
			wantEcho(t, existing)
			apply(t, l.gate, &Ruleset{Protected: services(network + "/8080")})
			wantEcho(t, existing)
			conn := l.mustDial(l.client, network, elsewhere)
			wantEcho(t, conn)
			wantEcho(t, conn)
		})
	}
}
