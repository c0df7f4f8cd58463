package gate

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"nftknock/pkg/packet"
)

const someMark = 0x10000

// marked matches packets that have a bit of the mark.
func marked(bit uint32) match {
	return match{exprs: append([]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: reg1}}, anyBit(binaryutil.NativeEndian.PutUint32(bit))...)}
}

// dropUnmarked gives the server a firewall that drops what comes in, or is forwarded from the
// client, but for pings, its own traffic and what has the mark. It knows nothing of
// connections.
func (l *lab) dropUnmarked() *nftables.Conn {
	l.t.Helper()
	conn := stranger(l.t, l.server)
	table := &nftables.Table{Name: "wall", Family: nftables.TableFamilyINet}
	conn.AddTable(table)
	policy := nftables.ChainPolicyDrop
	for name, hook := range map[string]*nftables.ChainHook{"input": nftables.ChainHookInput, "forward": nftables.ChainHookForward} {
		c := conn.AddChain(&nftables.Chain{
			Table: table, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter, Policy: &policy,
		})
		rules := []rule{
			when(fromInterface("lo")).do(accept()),
			when(fromInterface("eth1")).do(accept()),
			when(overProtocol(packet.ICMP)).do(accept()),
			when(overProtocol(packet.ICMPv6)).do(accept()),
			when(marked(someMark)).do(accept()),
		}
		for _, r := range rules {
			conn.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: r.exprs()})
		}
	}
	flush(l.t, conn)
	return conn
}

// markAll has all bits of all marks set earlier than our table can.
func (l *lab) markAll(conn *nftables.Conn) {
	l.t.Helper()
	table := &nftables.Table{Name: "wall", Family: nftables.TableFamilyINet}
	early := conn.AddChain(&nftables.Chain{
		Table: table, Name: "early", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: early, Exprs: changeMark(0, 0xffffffff)})
	flush(l.t, conn)
}

// Only a grant lets in, whatever the mark was before; and the connection that it admitted
// goes on without it.
func TestTheMarkLetsGrantedPacketsIn(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{})
				l.serve(":22")
				l.serveUDP(l.server, ":22")
				apply(t, l.gate, &Ruleset{Mode: ModeMark, Mark: someMark, Protected: services(network + "/22")})
				wall := l.dropUnmarked()
				l.wantNoneBeside(network, server+":22")
				grant(t, l.gate, Grant{Source: Host(client), Service: service(network + "/22"), Timeout: time.Minute})
				conn := l.mustDial(l.client, network, server+":22")
				wantEcho(t, conn)
				l.revoke(client, network+"/22")
				wantEcho(t, conn)
				l.wantNoneBeside(network, server+":22")
				l.markAll(wall)
				wantEcho(t, conn)
				l.wantNoneBeside(network, server+":22")
			})
		})
	}
}

// A published port is marked by the port that is dialled, for the forward chain.
func TestTheMarkLetsPacketsThroughToAContainer(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
				t.Parallel()
				l := newLab(t, Config{})
				l.container()
				apply(t, l.gate, &Ruleset{Mode: ModeMark, Mark: someMark, Protected: services(network + "/8080")})
				l.dropUnmarked()
				l.wantNoneBeside(network, server+":8080")
				grant(t, l.gate, Grant{Source: Host(client), Service: service(network + "/8080"), Timeout: time.Minute})
				conn := l.mustDial(l.client, network, server+":8080")
				wantEcho(t, conn)
				l.revoke(client, network+"/8080")
				wantEcho(t, conn)
				l.wantNoneBeside(network, server+":8080")
			})
		})
	}
}

// A prefix, a range and a single use are what they are in mode gate.
func TestTheMarkOfOtherForms(t *testing.T) {
	t.Parallel()
	bothFamilies(t, func(t *testing.T, client netip.Addr, server string) {
		t.Parallel()
		l := newLab(t, Config{})
		l.serve(":8005")
		opening := Opening{Service: service("tcp/8000-8010"), Bits4: 24, Bits6: 64, Once: true}
		apply(t, l.gate, &Ruleset{Mode: ModeMark, Mark: someMark, Protected: services("tcp/8000-8010"), Openings: []Opening{opening}})
		l.dropUnmarked()
		l.wantNoneBeside("tcp", server+":8005")
		source := netip.PrefixFrom(client, opening.bits(familyOf(client))).Masked()
		grant(t, l.gate, Grant{Source: source, Service: opening.Service, Once: true, Timeout: time.Minute})
		conn := l.mustDial(l.client, "tcp", server+":8005")
		wantEcho(t, conn)
		l.wantNoneBeside("tcp", server+":8005")
		wantEcho(t, conn)
	})
}
