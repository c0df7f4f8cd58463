package event

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

func v4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// remember has the nth packet of a source refused.
func remember(r *Recent, source netip.Addr, step int) {
	r.Consume(Record{Event: Refused{Knock: Knock{Source: source}, Step: step}})
}

func steps(records []Record) (list []int) {
	for _, r := range records {
		list = append(list, r.Event.(Refused).Step)
	}
	return list
}

func TestRecentOf(t *testing.T) {
	r := NewRecent()
	for step := range 3 * maxPerSource {
		remember(r, client, step)
		remember(r, third, 1000+step)
	}
	got := steps(r.Of(client))
	if len(got) != maxPerSource || got[0] != 3*maxPerSource-1 || got[maxPerSource-1] != 2*maxPerSource {
		t.Errorf("steps %v, want the last %d, the newest first", got, maxPerSource)
	}
	if got := steps(r.Of(netip.MustParseAddr("::ffff:192.168.10.2"))); len(got) != maxPerSource {
		t.Errorf("a mapped address has %v", got)
	}
	if got := steps(r.Latest(3)); len(got) != 3 || got[0] != 1023 || got[1] != 23 || got[2] != 1022 {
		t.Errorf("the latest are %v", got)
	}
	if r.Of(netip.Addr{}) == nil || len(r.Of(netip.Addr{})) != 0 {
		t.Error("something is known of no address")
	}
}

// Events that are no outcome of a knock are not remembered; those that the log left out
// are.
func TestRecentKeepsOutcomes(t *testing.T) {
	r := NewRecent()
	d := NewDispatcher(newClock().now, r)
	for _, l := range lines {
		d.Emit(l.event)
	}
	kinds := make(map[string]int)
	for _, rec := range r.Latest(1000) {
		kinds[rec.Event.Line().Name]++
	}
	if len(kinds) != 4 || kinds["refused"] == 0 || kinds["granted"] == 0 || kinds["grant_failed"] == 0 || kinds["unrecorded"] == 0 {
		t.Errorf("remembered %v", kinds)
	}
	flood(d, 100, refusedFor("spa"))
	remember(r, third, 77)
	d.Emit(Refused{Knock: Knock{Source: third, Access: "spa", Kind: KindSPA}, Step: 78})
	if rec := r.Of(third)[0]; rec.Logged || rec.Event.(Refused).Step != 78 {
		t.Errorf("the newest is %+v, want the one that was not told", rec)
	}
}

// The newest of what a key and what no key proved are one list.
func TestRecentMergesProven(t *testing.T) {
	r := NewRecent()
	for step := range 6 {
		r.Consume(Record{Event: Refused{Knock: Knock{Source: client}, Step: step, Authenticated: step%2 == 0}})
	}
	for i, step := range steps(r.Of(client)) {
		if step != 5-i {
			t.Errorf("record %d is of step %d", i, step)
		}
	}
}

func TestRecentUnderFlood(t *testing.T) {
	six := netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name   string
		forge  func(n int) netip.Addr
		honest netip.Addr
	}{
		{"of one source", func(int) netip.Addr { return third }, client},
		{"of one /24, and the honest one of another", func(n int) netip.Addr { return v4(0xc6336400 + uint32(n%256)) }, client},
		{"of three hundred /24", func(n int) netip.Addr { return v4(uint32(n%300)<<8 + uint32(n/300%256)) }, client},
		{"of one /48", func(n int) netip.Addr {
			b := netip.MustParseAddr("2001:db8:1::").As16()
			binary.BigEndian.PutUint64(b[8:], uint64(n))
			return netip.AddrFrom16(b)
		}, six},
		{"of all IPv6, and the honest one of IPv4", func(n int) netip.Addr {
			b := netip.MustParseAddr("2001::").As16()
			binary.BigEndian.PutUint32(b[2:], uint32(n))
			return netip.AddrFrom16(b)
		}, client},
	}
	for _, c := range tests {
		r := NewRecent()
		for n := range maxSources { // it is full when the honest one comes
			remember(r, c.forge(n), 1)
		}
		remember(r, c.honest, 5)
		for n := range 20_000 {
			remember(r, c.forge(n), 1)
		}
		if got := steps(r.Of(c.honest)); len(got) != 1 || got[0] != 5 {
			t.Errorf("a flood %s leaves %v of the honest source", c.name, got)
		}
		checkShares(t, r)
	}
}

// Where no network stands out, whoever was silent for longest goes.
func TestRecentForgetsTheSilent(t *testing.T) {
	tests := []struct {
		name   string
		source func(n int) netip.Addr
	}{
		{"of one network", func(n int) netip.Addr {
			b := client.As16()
			copy(b[:], "\x20\x01\x0d\xb8")
			binary.BigEndian.PutUint32(b[12:], uint32(n))
			return netip.AddrFrom16(b)
		}},
		{"of a network each", func(n int) netip.Addr { return v4(uint32(n) << 8) }},
	}
	for _, c := range tests {
		r := NewRecent()
		for n := range maxSources {
			remember(r, c.source(n), 1)
		}
		remember(r, c.source(0), 2) // has something to say again
		remember(r, c.source(maxSources), 1)
		for n, want := range []int{2, 0, 1} {
			if got := len(r.Of(c.source(n))); got != want {
				t.Errorf("sources %s: of number %d %d records, want %d", c.name, n, got, want)
			}
		}
		checkShares(t, r)
	}
}

// From all over the Internet, a flood leaves what a key proved.
func TestRecentKeepsProvenUnderFlood(t *testing.T) {
	r := NewRecent()
	r.Consume(Record{Event: Refused{Knock: encrypted, Code: CodeTooOld, Authenticated: true}})
	r.Consume(Record{Event: Granted{fullGrant}})
	for n := range uint32(20_000) {
		remember(r, v4(n*65_537), 1)
	}
	remember(r, client, 1)
	if n := len(r.Of(client)); n != 3 {
		t.Errorf("%d records, want 3", n)
	}
	checkShares(t, r)
}

// checkShares holds the parts of each share against each other, and against its room.
func checkShares(t *testing.T, r *Recent) {
	t.Helper()
	for _, families := range r.shares {
		for _, s := range families {
			sum := 0
			for i, n := range s.heap {
				sum += n.sources.Len()
				if n.index != i || s.networks[n.prefix] != n || i > 0 && s.heap.Less(i, (i-1)/2) {
					t.Fatalf("network %s is in no order", n.prefix)
				}
			}
			if sum != len(s.sources) || len(s.sources) > s.room || len(s.networks) != len(s.heap) {
				t.Fatalf("%d sources in %d networks, %d in %d of the heap", len(s.sources), len(s.networks), sum, len(s.heap))
			}
		}
	}
}

func BenchmarkRecentUnderFlood(b *testing.B) {
	r := NewRecent()
	n := uint32(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		remember(r, v4(n*2_654_435_761), 1)
	}
}
