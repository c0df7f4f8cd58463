package knock

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func v4(n uint32) netip.Addr { return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))) }

func (t *table[S]) put(addr netip.Addr, now int64) *pending[S] {
	if t.full() {
		t.remove(t.victim())
	}
	return t.add(key(addr.As16()), addr, 0, now)
}

func emptyTable(limit int) *table[struct{}] {
	return newTable(limit, func(*struct{}) {}, func(*struct{}) {})
}

func TestAFloodPushesOutItsOwnPrefix(t *testing.T) {
	honest := []netip.Addr{
		netip.MustParseAddr("198.51.100.7"),
		netip.MustParseAddr("2001:db8:1::7"),
	}
	floods := map[string]func(i int) netip.Addr{
		"an IPv4 network of 256 prefixes": func(i int) netip.Addr { return v4(0x0a000000 + uint32(i)%0x10000) },
		"one IPv6 /48": func(i int) netip.Addr {
			a := netip.MustParseAddr("2001:db8:2::").As16()
			binary.BigEndian.PutUint64(a[8:], uint64(i))
			return netip.AddrFrom16(a)
		},
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			table := emptyTable(1024)
			for _, a := range honest {
				table.put(a, 0)
			}
			for i := range 200_000 {
				table.put(flood(i), int64(i))
			}
			for _, a := range honest {
				if table.find(key(a.As16()), 0) == nil {
					t.Errorf("%v was pushed out", a)
				}
			}
			if table.len != 1024 {
				t.Errorf("%d knocks held, want the table full with 1024", table.len)
			}
		})
	}
}

func TestAmongEqualsTheOldestGoesFirst(t *testing.T) {
	table := emptyTable(4)
	for i := range uint32(4) {
		table.put(v4(i<<8), int64(i))
	}
	table.put(v4(9<<8), 9)
	if table.find(key(v4(0).As16()), 0) != nil {
		t.Error("the oldest stayed")
	}
	for _, i := range []uint32{1, 2, 3, 9} {
		if table.find(key(v4(i<<8).As16()), 0) == nil {
			t.Errorf("%v went", v4(i<<8))
		}
	}
}

// check compares everything the table keeps in more than one place.
func (t *table[S]) check(tb testing.TB) {
	tb.Helper()
	seen, prefixes := 0, make(map[*prefix[S]]int)
	last := int64(-1)
	for l := t.ages.first; l != nil; l = l.next {
		n := l.of
		if t.find(n.key, n.group) != n {
			tb.Fatalf("%v is listed and not found", n.source)
		}
		if n.since < last {
			tb.Fatalf("%v is older than the one before it", n.source)
		}
		last = n.since
		prefixes[n.prefix]++
		seen++
	}
	if seen != t.len || seen > t.max {
		tb.Fatalf("%d listed, %d counted, %d allowed", seen, t.len, t.max)
	}
	busiest := 0
	for p, n := range prefixes {
		listed := 0
		for l := p.knocks.first; l != nil; l = l.next {
			listed++
		}
		if p.count != n || listed != n || t.prefixes.first(p.key) != p {
			tb.Fatalf("prefix of %d counts %d and lists %d", n, p.count, listed)
		}
		busiest = max(busiest, n)
	}
	if t.busiest != busiest {
		tb.Fatalf("busiest %d, want %d", t.busiest, busiest)
	}
}

func TestTableStaysConsistent(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	table := emptyTable(64)
	for now := range int64(20_000) {
		addr := v4(uint32(rng.IntN(8))<<8 | uint32(rng.IntN(32)))
		n := table.find(key(addr.As16()), 0)
		switch {
		case n == nil:
			table.put(addr, now)
		case rng.IntN(3) == 0:
			table.remove(n)
		default:
			table.renew(n, now)
		}
		if now%97 == 0 {
			table.check(t)
		}
	}
	table.check(t)
}
