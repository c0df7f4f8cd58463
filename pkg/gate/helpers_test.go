package gate

import (
	"net/netip"
	"testing"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func service(s string) Service {
	v, err := ParseService(s)
	if err != nil {
		panic(err)
	}
	return v
}

func services(list ...string) []Service {
	var out []Service
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
		{"ranges and rejects", Ruleset{
			Hide:       Reject,
			Interfaces: []string{"eth0"},
			Protected:  services("udp/51820", "tcp/8000-8010", "tcp/8005-8020", "tcp/22", "tcp/22"),
			KnockPorts: services("udp/62201", "tcp/1-65535"),
			Group:      65535,
		}},
		{"workers", Ruleset{
			Interfaces: []string{"eth0", "wg*", "br-0a1b2c.7"},
			Protected:  services("tcp/22"),
			KnockPorts: services("udp/62201"),
			ICMP:       true,
			Group:      5,
			Workers:    3,
		}},
	}
}
