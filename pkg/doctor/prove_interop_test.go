//go:build interop

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// wall is a table as ours, in which elements of two sets are grants.
const wall = `table inet nftknock {
	set granted4 { type ipv4_addr; flags timeout; }
	set granted6 { type ipv6_addr; flags timeout; }
	chain prerouting { type filter hook prerouting priority -150;
		meta l4proto { tcp, udp } th dport { 22, 53 } ct state new jump service
	}
	chain service { ip saddr @granted4 accept; ip6 saddr @granted6 accept; drop; }
}
`

// nft runs nft in the namespace of the calling thread.
func nft(args ...string) error {
	if out, err := exec.Command("nft", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("nft %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// byElement grants by an element. Unless it is nil, it calls the function first.
type byElement func() error

func setOf(source netip.Prefix) string {
	if source.Addr().Is6() {
		return "granted6"
	}
	return "granted4"
}

func (before byElement) Grant(_ context.Context, source netip.Prefix, _ port.Range) error {
	if before != nil {
		if err := before(); err != nil {
			return err
		}
	}
	return nft("add", "element", "inet", "nftknock", setOf(source), "{ "+source.Addr().String()+" timeout 1s }")
}

func (byElement) End(_ context.Context, source netip.Prefix) {
	_ = nft("delete", "element", "inet", "nftknock", setOf(source), "{ "+source.Addr().String()+" }")
}

// prove proves a policy in a host, and returns findings and sentences, one per line.
func prove(t testing.TB, host *netns.NS, p Policy, grant Granter) string {
	t.Helper()
	var got string
	netnstest.Do(t, host, func() error {
		h := Look(context.Background(), p, t.TempDir())
		findings, proved := p.Prove(context.Background(), h, grant)
		got = lines(findings)
		for _, s := range proved {
			got += s + "\n"
		}
		return nil
	})
	return got
}

// mark returns what nft and ip say of a host, without what changes by itself.
func mark(t testing.TB, host *netns.NS) string {
	t.Helper()
	var out []byte
	netnstest.Do(t, host, func() (err error) {
		out, err = exec.Command("sh", "-c", `nft list ruleset; ip -br link | cut -d" " -f1; ip -o addr show scope global; (ip route; ip -6 route) | sed "s/linkdown//; s/ *$//"`).Output()
		return err
	})
	return string(out)
}

func TestInteropProve(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rules  string // after those of wall
		change func(*Policy)
		listen bool
		want   []string // parts of the lines
	}{
		{name: "ok", listen: true, want: []string{
			"proof: with a grant, a packet from 192.0.2.2 to tcp/22 at 198.51.100.1 passed ",
			"proof: with a grant, a packet from 2001:db8:6b6e:6f63::2 to tcp/22 at 2001:db8::1 passed "}},
		{name: "bad nobody listens", want: []string{
			"warning: with a grant, a SYN to tcp/22 at 198.51.100.1 passed all chains, and was answered that nobody listens",
			"warning: with a grant, a SYN to tcp/22 at 2001:db8::1 passed all chains, and was answered that nobody listens"}},
		{name: "bad a policy", listen: true, rules: "table ip late { chain i { type filter hook input priority 10; policy drop; }; }", want: []string{
			"error: with a grant, a packet to tcp/22 at 198.51.100.1 was dropped by the policy of chain ip late i",
			"proof: with a grant, a packet from 2001:db8:6b6e:6f63::2 to tcp/22 at 2001:db8::1 passed "}},
		{name: "bad a rule that nobody foresees", listen: true, rules: "table ip6 late { chain i { type filter hook input priority 10; tcp option maxseg missing tcp dport 22 drop; }; }", want: []string{
			"proof: with a grant, a packet from 192.0.2.2 to tcp/22 at 198.51.100.1 passed ",
			"error: with a grant, a packet to tcp/22 at 2001:db8::1 was dropped by rule handle 2 of chain ip6 late i"}},
		{name: "bad answers are dropped", listen: true, rules: "table inet late { chain o { type filter hook output priority 0; tcp sport 22 drop; }; }", want: []string{
			"warning: with a grant, a SYN to tcp/22 at 198.51.100.1 passed all chains and was not answered: its last one was ",
			"warning: with a grant, a SYN to tcp/22 at 2001:db8::1 passed all chains and was not answered: its last one was "}},
		{name: "the rules ask for the interface", listen: true, rules: "table inet late { chain i { type filter hook input priority 10; iifname != eth0 tcp dport 22 drop; }; }", want: []string{
			"warning: with a grant, a packet to tcp/22 at 198.51.100.1 was dropped by rule handle 2 of chain inet late i; your rules ask for the interface, which was nftkprove0 and not eth0",
			"warning: with a grant, a packet to tcp/22 at 2001:db8::1 was dropped by rule handle 2 of chain inet late i; your rules ask for the interface, which was nftkprove0 and not eth0"}},
		{name: "bad open without a grant", listen: true, rules: "flush chain inet nftknock service", want: []string{
			"error: a packet without a grant to tcp/22 at 198.51.100.1 was not dropped, and the service answered",
			"error: a packet without a grant to tcp/22 at 2001:db8::1 was not dropped, and the service answered",
			"proof: with a grant", "proof: with a grant"}},
		{name: "ok one service after the other", listen: true, change: func(p *Policy) { p.Services = []port.Range{ssh, dns} }, want: []string{
			"to tcp/22 at 198.51.100.1 passed ", "to udp/53 at 198.51.100.1 passed ", "to tcp/22 at 2001:db8::1 passed ", "to udp/53 at 2001:db8::1 passed "}},
		{name: "ok datagrams", change: func(p *Policy) { p.Services = []port.Range{dns} }, want: []string{
			"proof: with a grant, a packet from 192.0.2.2 to udp/53 at 198.51.100.1 passed ",
			"proof: with a grant, a packet from 2001:db8:6b6e:6f63::2 to udp/53 at 2001:db8::1 passed "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, p := newHost(t), sshPolicy()
			if tt.change != nil {
				tt.change(&p)
			}
			run(t, host, "nft -f - <<'END'\n"+wall+tt.rules+"\nEND")
			if tt.listen {
				var l net.Listener
				netnstest.Do(t, host, func() (err error) {
					l, err = net.Listen("tcp", "[::]:22")
					return err
				})
				defer l.Close()
			}
			before := mark(t, host)
			got := prove(t, host, p, byElement(nil))
			rest := got
			for _, w := range tt.want {
				if !strings.Contains(rest, w) {
					t.Errorf("missing: %s", w)
				}
				rest = strings.Replace(rest, w, "", 1)
			}
			if strings.Count(got, "\n") != len(tt.want) || t.Failed() {
				t.Errorf("got:\n%s", got)
			}
			if after := mark(t, host); after != before {
				t.Errorf("something is left:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// What a proof that was killed has granted says nothing about the next one.
func TestInteropProveAfterOneThatWasKilled(t *testing.T) {
	host := newHost(t)
	run(t, host, "nft -f - <<'END'\n"+wall+"\nEND")
	run(t, host, "nft add element inet nftknock granted4 '{ 192.0.2.2 timeout 1m }'")
	if got := prove(t, host, sshPolicy(), byElement(nil)); strings.Contains(got, "without a grant") {
		t.Errorf("got:\n%s", got)
	}
}

// Without the daemon, or stopped in the middle, nothing is left either.
func TestInteropProveEndsEarly(t *testing.T) {
	host := newHost(t)
	run(t, host, "nft -f - <<'END'\n"+wall+"\nEND")
	before := mark(t, host)
	refuses := byElement(func() error { return errors.New("no daemon") })
	if got := prove(t, host, sshPolicy(), refuses); strings.Count(got, "error: no proof for tcp/22 at ") != 2 || strings.Count(got, "no daemon") != 2 {
		t.Errorf("got:\n%s", got)
	}
	run(t, host, "nft add table inet nftkprove0")
	if got := prove(t, host, sshPolicy(), byElement(nil)); strings.Count(got, "error: no proof for IPv") != 2 || strings.Count(got, "there is one") != 2 {
		t.Errorf("with a table of that name:\n%s", got)
	}
	run(t, host, "nft delete table inet nftkprove0") // it was left alone
	ctx, cancel := context.WithCancel(context.Background())
	netnstest.Do(t, host, func() error {
		p := sshPolicy()
		p.Services = []port.Range{ssh, port.Single(packet.TCP, 53)}
		p.Prove(ctx, Look(ctx, p, t.TempDir()), byElement(func() error {
			cancel() // Ctrl-C while the grant runs
			return nil
		}))
		return nil
	})
	if after := mark(t, host); after != before {
		t.Errorf("something is left:\n%s\nbefore:\n%s", after, before)
	}
}
