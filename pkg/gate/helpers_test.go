package gate

import (
	"net/netip"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// from is an address as a grant's source.
func from(s string) netip.Prefix { return Host(addr(s)) }

// prefix is a network as a grant's source.
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func service(s string) port.Range {
	v, err := port.ParseService(s)
	if err != nil {
		panic(err)
	}
	return v
}

func services(list ...string) []port.Range {
	var out []port.Range
	for _, s := range list {
		out = append(out, service(s))
	}
	return out
}

// open opens a Kernel inside a host, to be closed with the test.
func open(t testing.TB, host *netns.NS, c Config) *Kernel {
	t.Helper()
	var k *Kernel
	netnstest.Do(t, host, func() (err error) {
		k, err = Open(c)
		return err
	})
	t.Cleanup(func() { k.Close() })
	return k
}

func apply(t testing.TB, g Gate, r *Ruleset) {
	t.Helper()
	if err := g.Apply(r); err != nil {
		t.Fatal(err)
	}
}

func grant(t testing.TB, g Gate, what Grant) {
	t.Helper()
	if err := g.Grant(what); err != nil {
		t.Fatal(err)
	}
}

func grants(t testing.TB, g Gate) []Grant {
	t.Helper()
	list, err := g.Grants()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type namedRuleset struct {
	name    string
	ruleset Ruleset
}

// rulesets have every statement among them that a ruleset can have.
func rulesets() []namedRuleset {
	return []namedRuleset{
		{"empty", Ruleset{}},
		{"article", Ruleset{
			Protected:  services("tcp/22"),
			KnockPorts: services("tcp/50053", "udp/6020", "tcp/24034", "udp/9680"),
			ICMP:       true,
			Group:      5,
		}},
		{"forward", Ruleset{
			Protected:  services("tcp/2222", "udp/53"),
			KnockPorts: services("tcp/50053"),
			Forward:    true,
			Masquerade: true,
			Unguarded:  []string{"eth1"},
		}},
		{"forward alone", Ruleset{KnockPorts: services("udp/62201"), Forward: true}},
		{"ranges and rejects", Ruleset{
			Hide:       Reject,
			Unguarded:  []string{"eth1"},
			Protected:  services("udp/51820", "tcp/8000-8010", "tcp/8005-8020", "tcp/22", "tcp/22"),
			KnockPorts: services("udp/62201", "tcp/1-65535"),
			Openings:   openings("tcp/8000-8010", "tcp/8005-8020", "tcp/22"),
			Group:      65535,
		}},
		{"workers", Ruleset{
			Unguarded:  []string{"eth1", "wg0", "br-0a1b2c.7", "a"},
			Protected:  services("tcp/22"),
			KnockPorts: services("udp/62201"),
			ICMP:       true,
			Group:      5,
			Workers:    3,
			Label:      1,
		}},
		{"prefixes and single use", Ruleset{
			Protected: services("tcp/22", "tcp/8000-8010", "udp/53", "udp/5000-5001"),
			Openings: []Opening{
				{Service: service("tcp/22"), Bits4: 24, Bits6: 64},
				{Service: service("tcp/8000-8010"), Bits4: 16, Bits6: 48, Once: true},
				{Service: service("tcp/22"), Once: true},
				{Service: service("udp/53"), Once: true},
				{Service: service("udp/5000-5001"), Bits4: 31, Bits6: 127},
			},
			Group: 5,
		}},
		{"many ranges", Ruleset{Protected: manyRanges()}},
		{"messages", Ruleset{
			Protected:  services("tcp/22", "udp/5300"),
			KnockPorts: services("udp/5200-5400"),
			Messages:   append(services("tcp/1-65535", "udp/1-65535"), port.Echo),
			Group:      5,
		}},
		{"messages beside pings", Ruleset{
			Hide:      Reject,
			Unguarded: []string{"eth1"},
			Protected: services("tcp/22"),
			Messages:  append(services("tcp/62201", "udp/10000-20000", "udp/30000"), port.Echo),
			ICMP:      true,
			Workers:   2,
		}},
		{"messages alone", Ruleset{Messages: []port.Range{port.Echo}}},
		{"set", Ruleset{
			Mode: ModeSet, Set4: theirSet("inet filter clients4"), Set6: theirSet("ip6 filter clients6"),
			KnockPorts: services("tcp/50053", "udp/6020"),
			Messages:   services("udp/62201"),
			Openings:   openings("tcp/22", "tcp/8000-8010"),
			ICMP:       true,
			Group:      5,
		}},
		{"mark", Ruleset{
			Mode: ModeMark, Mark: 0x10000,
			Unguarded:  []string{"eth1"},
			Protected:  services("tcp/22", "udp/51820", "tcp/8000-8010"),
			KnockPorts: services("udp/62201", "tcp/8005"),
			Messages:   services("udp/51820", "tcp/22"),
			Openings: []Opening{
				{Service: service("tcp/22"), Bits4: 24, Bits6: 64},
				{Service: service("tcp/8000-8010"), Once: true},
				{Service: service("udp/51820"), Once: true},
			},
			Group: 5,
		}},
	}
}

// theirSet is a set of another table.
func theirSet(s string) SetName {
	n, err := ParseSetName(s)
	if err != nil {
		panic(err)
	}
	return n
}

// openings are those of services for single addresses.
func openings(list ...string) []Opening {
	var out []Opening
	for _, s := range services(list...) {
		out = append(out, Opening{Service: s})
	}
	return out
}

// manyRanges are more than are compared with one after the other.
func manyRanges() []port.Range {
	var out []port.Range
	for n := range uint16(maxRanges + 5) {
		out = append(out, port.Range{Protocol: packet.TCP, First: 1000 * (n + 1), Last: 1000*(n+1) + 10*n + 1})
	}
	return out
}

// revoke is Gate.Revoke for those who do not ask which grants it ended.
func revoke(g interface {
	Revoke(netip.Prefix, port.Range) ([]Grant, error)
}, from netip.Prefix, s port.Range) error {
	_, err := g.Revoke(from, s)
	return err
}
