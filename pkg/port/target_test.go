package port

import (
	"net/netip"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	for _, c := range []struct{ text, bad string }{
		{"10.0.0.5:22", ""},
		{"10.0.0.0/24:22,80", ""},
		{"[2001:db8::5]:22", ""},
		{"[2001:db8::/64]:22,8000-8010", ""},
		{"local:22", ""},
		{"10.0.0.5", "bad target"},
		{"10.0.0.5:", "bad port"},
		{"10.0.0.5:0", "bad port"},
		{"10.0.0.5:022", "bad port"},
		{"10.0.0.5:65536", "bad port"},
		{"10.0.0.5:22-22", "bad port"},
		{"10.0.0.5:22,", "bad port"},
		{"2001:db8::5:22", "bad target"},
		{"[10.0.0.5]:22", "bad target"},
		{"server.example:22", "bad host"},
		{"127.0.0.1:22", "loopback"},
		{"[::1]:22", "loopback"},
		{"0.0.0.0:22", "no address of a host"},
		{"0.1.2.3:22", "no address of a host"},
		{"[::]:22", "no address of a host"},
		{"224.0.0.1:22", "multicast"},
		{"[ff02::1]:22", "multicast"},
		{"255.255.255.255:22", "broadcast"},
		{"169.254.169.254:80", "link-local"},
		{"[fe80::1]:22", "link-local"},
		{"[fe80::1%eth0]:22", "bad target"},
		{"[::ffff:10.0.0.5]:22", "bad target"},
		{"10.0.0.1/24:22", "bits beyond"},
		{"0.0.0.0/0:22", "bad prefix"},
		{"10.0.0.0/7:22", "bad prefix"},
		{"8.0.0.0/7:22", "bad prefix"},
		{"", "bad target"},
	} {
		got, err := ParseTargets(c.text)
		switch {
		case c.bad == "" && (err != nil || got.String() != c.text):
			t.Errorf("%q: %v, %v", c.text, got, err)
		case c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)):
			t.Errorf("%q: %v, want an error with %q", c.text, err, c.bad)
		}
	}
}

// What lies in a prefix and names no host is none of its targets.
func TestHasTarget(t *testing.T) {
	parse := func(s string) Targets {
		targets, err := ParseTargets(s)
		if err != nil {
			t.Fatal(err)
		}
		return targets
	}
	for _, c := range []struct {
		targets, one string
		want         bool
	}{
		{"10.0.0.5:22", "10.0.0.5:22", true},
		{"10.0.0.5:22", "10.0.0.5:23", false},
		{"10.0.0.5:22", "10.0.0.6:22", false},
		{"10.0.0.0/24:22,80-90", "10.0.0.9:85", true},
		{"10.0.0.0/24:22,80-90", "10.0.1.9:85", false},
		{"local:22", "local:22", true},
		{"local:22", "10.0.0.5:22", false},
		{"10.0.0.5:22", "local:22", false},
		{"[2001:db8::/64]:22", "[2001:db8::7]:22", true},
		{"[2001:db8::/64]:22", "[2001:db8:1::7]:22", false},
	} {
		one, err := ParseTarget(c.one)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(c.targets).Has(one); got != c.want {
			t.Errorf("%s in %s: %t", c.one, c.targets, got)
		}
	}
	// 126.0.0.0/7 is refused for its length; 168.0.0.0/8 and up to 169.254.0.0/16 are not.
	if parse("169.0.0.0/8:80").Has(Target{netip.MustParseAddr("169.254.169.254"), 80}) {
		t.Error("a prefix around the link-local addresses has one of these as its target")
	}
	if (Targets{}).Has(Target{}) {
		t.Error("no target is one of none")
	}
}

func FuzzParseTargets(f *testing.F) {
	for _, s := range []string{"10.0.0.5:22", "10.0.0.0/24:22,80", "[2001:db8::5]:22", "[2001:db8::/64]:1-65535", "local:22"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		targets, err := ParseTargets(s)
		if err != nil {
			if targets.Ports != nil || targets.Hosts.IsValid() {
				t.Fatalf("%q: %v beside %v", s, targets, err)
			}
			return
		}
		again, err := ParseTargets(targets.String())
		if err != nil || again.String() != targets.String() {
			t.Fatalf("%q: printed as %q, which is %q, %v", s, targets, again, err)
		}
		if one, ok := targets.only(); ok && (one.Check() != nil || !targets.Has(one)) {
			t.Fatalf("%q: %v is none of them", s, one)
		}
	})
}
