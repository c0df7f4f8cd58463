package gate

import (
	"net/netip"
	"testing"
)

// Whatever others call their sets: one that is taken for ours is called so by us,
// and its keys are read as they were written.
func FuzzParseGrantSet(f *testing.F) {
	for _, tt := range rulesets() {
		for _, m := range tt.ruleset.grantSets() {
			f.Add(m.name())
		}
	}
	f.Add("granted_tcp4_1_99999")
	f.Add("granted_udp6_net999_once")
	f.Fuzz(func(t *testing.T, name string) {
		m, ok := parseGrantSet(name)
		if !ok {
			return
		}
		if m.name() != name {
			t.Fatalf("%q is read as %+v, which is called %q", name, m, m.name())
		}
		for _, x := range []portExpr{destinationPort, originalPort} {
			if r := when(m.holds(x)...); r.String() == "" || len(r.exprs()) == 0 {
				t.Errorf("%q: no rule", name)
			}
		}
		source := netip.PrefixFrom(addr("2001:db8::1"), m.bits)
		if m.digit == "4" {
			source = netip.PrefixFrom(addr("192.0.2.1"), m.bits)
		}
		if got, s, err := m.parse(m.key(source, service("tcp/22"))); err == nil && (got != source || s.CheckService() != nil) {
			t.Errorf("%q: key of %v is read as %v, %v", name, source, got, s)
		}
	})
}
