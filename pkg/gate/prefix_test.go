package gate

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"

	"nftknock/test/netns/netnstest"
)

// flipped is an address with one bit, counted from the left, the other way.
func flipped(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	a, _ = netip.AddrFromSlice(b)
	return a
}

func TestAPrefixLetsInWhatIsInsideAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source, server string
		lengths        []int
	}{
		"IPv4": {"11.173.85.102", server4, []int{1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 21, 23, 24, 25, 29, 30, 31, 32}},
		"IPv6": {"2001:db8:5aa5:f00f:1234:5678:9abc:def0", "[" + server6 + "]",
			[]int{1, 2, 3, 5, 7, 9, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 97, 119, 121, 126, 127, 128}},
	} {
		for _, opened := range []string{"tcp/22", "tcp/20-30"} {
			t.Run(name+" "+opened, func(t *testing.T) {
				t.Parallel()
				r := newRoad(t, Config{})
				r.accepted(":22")
				base, s := addr(tt.source), service(opened)
				var openings []Opening
				for _, bits := range tt.lengths {
					openings = append(openings, Opening{Service: s, Bits4: min(bits, 32), Bits6: bits})
				}
				apply(t, r.gate, &Ruleset{Protected: services("tcp/20-30"), Openings: openings})
				p := r.peer(netip.AddrPortFrom(base, 1000).String(), tt.server+":22")
				port := uint16(1000)
				comesInWithin := func(wait time.Duration, a netip.Addr) bool {
					port++
					p.here = netip.AddrPortFrom(a, port)
					return p.connectWithin(wait)
				}
				comesIn := func(a netip.Addr) bool { return comesInWithin(silence, a) }
				if comesIn(base) {
					t.Fatal("it came in without a grant")
				}
				for _, bits := range tt.lengths {
					source := netip.PrefixFrom(base, bits)
					grant(t, r.gate, Grant{Source: source, Service: s, Timeout: time.Minute})
					inside := []netip.Addr{base}
					if bits < base.BitLen() {
						inside = append(inside, flipped(base, base.BitLen()-1), flipped(base, bits))
					}
					for _, a := range inside {
						if !comesInWithin(patience, a) {
							t.Errorf("%s does not come in by %s", a, source.Masked())
						}
					}
					outside := []netip.Addr{flipped(base, bits-1)}
					if bits > 8 {
						outside = append(outside, flipped(base, bits-8), flipped(flipped(base, 7), bits-1))
					}
					for _, a := range outside {
						if comesIn(a) {
							t.Errorf("%s comes in by %s", a, source.Masked())
						}
					}
					if err := revoke(r.gate, source, s); err != nil {
						t.Fatal(err)
					}
				}
				if comesIn(base) {
					t.Error("it comes in after all were revoked")
				}
			})
		}
	}
}

// elementsOf counts what the kernel has in the sets of grants.
func elementsOf(t *testing.T, k *Kernel, conn *nftables.Conn) int {
	t.Helper()
	sets, err := conn.GetSets(k.table.netlink(0))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range sets {
		if isGrantSet(s.Name) {
			elements, err := conn.GetSetElements(s)
			if err != nil {
				t.Fatal(err)
			}
			n += len(elements)
		}
	}
	return n
}

// A grant takes one element, however many ports it opens, and an access no more
// than its quota.
func TestAGrantIsOneElement(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	k := open(t, host, Config{})
	const quota = 5
	apply(t, k, &Ruleset{
		Protected: services("tcp/1-65535"), Quotas: map[string]int{"a": quota},
		Openings: []Opening{{Service: service("tcp/1-65535")}, {Service: service("tcp/1-65535"), Bits4: 9, Bits6: 33, Once: true}},
	})
	conn := stranger(t, host)
	give := func(access, source string, once bool) error {
		return k.Grant(Grant{Source: prefix(source), Service: service("tcp/1-65535"), Once: once, Timeout: time.Minute, Access: access})
	}
	for n := range 3 * quota {
		err := give("a", fmt.Sprintf("10.0.0.%d/32", n), false)
		if n < quota && err != nil {
			t.Fatal(err)
		} else if n >= quota {
			wantError(t, err, ErrQuota)
		}
		if got := elementsOf(t, k, conn); got != min(n+1, quota) {
			t.Fatalf("%d elements after %d grants", got, n+1)
		}
	}
	wantError(t, give("a", "11.0.0.0/9", true), ErrQuota)
	for _, source := range []string{"11.0.0.0/9", "2001:db8::/33"} {
		if err := give("b", source, true); err != nil {
			t.Fatal(err)
		}
	}
	if got := elementsOf(t, k, conn); got != quota+2 {
		t.Errorf("%d elements, want %d", got, quota+2)
	}
}
