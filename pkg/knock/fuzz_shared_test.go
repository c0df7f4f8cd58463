package knock_test

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// arrival is a packet of the history an oracle looks back on.
type arrival struct {
	at time.Duration
	el port.Range
}

// possible is an oracle for grants, written for clarity alone: is there any
// choice of arrivals, one for each element, that keeps all the rules? The
// engine may refuse more than that (it forgets, and a late element out of
// order voids), but never less.
func possible(a knock.Shared, history []arrival) bool {
	marks := make([]time.Duration, len(a.Sequence))
	var choose func(i int) bool
	choose = func(i int) bool {
		if i == len(marks) {
			first, last := time.Duration(math.MaxInt64), time.Duration(math.MinInt64)
			for _, m := range marks {
				first, last = min(first, m), max(last, m)
			}
			return last-first <= a.Within
		}
		for _, h := range history {
			if h.el != a.Sequence[i] {
				continue
			}
			if i > 0 {
				d := h.at - marks[i-1]
				if d < -a.Reorder || a.MinInterval > 0 && d < a.MinInterval || a.MaxInterval > 0 && d > a.MaxInterval {
					continue
				}
			}
			marks[i] = h.at
			if choose(i + 1) {
				return true
			}
		}
		return false
	}
	return choose(0)
}

// FuzzShared turns bytes into packets of two sources to a handful of ports.
// Whatever is granted must have been possible by the oracle, from that
// source's packets since its last tripwire.
func FuzzShared(f *testing.F) {
	f.Add([]byte{0, 10, 1, 10, 2, 10})
	f.Add([]byte{0, 10, 2, 1, 1, 1, 5, 1, 0, 40, 1, 40, 2, 40})
	f.Add([]byte{3, 10, 3, 0, 0, 50, 4, 10, 0, 200, 255, 255})
	f.Add([]byte{0x80, 1, 0, 1, 0x81, 1, 1, 1, 0x82, 1, 2, 1})
	ports := []port.Range{
		port.Single(packet.TCP, 1000), port.Single(packet.UDP, 2000), port.Single(packet.TCP, 3000),
		port.Echo, port.Single(packet.TCP, 4000), port.Single(packet.TCP, 666),
	}
	wire := ports[5]
	accesses := make([]knock.Access, 4)
	for i, seq := range []string{
		"tcp/1000, udp/2000, tcp/3000", "icmp, icmp, tcp/1000", "tcp/1000, tcp/4000, tcp/1000", "udp/2000, tcp/4000",
	} {
		accesses[i] = knock.Access{Name: seq, Knock: knock.Shared{
			Sequence: sequence(f, seq), Within: 20 * time.Second, Reorder: 100 * time.Millisecond,
		}}
	}
	alter(&accesses[3], func(s *knock.Shared) { s.MinInterval, s.MaxInterval = time.Second, 3*time.Second })

	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64 {
			return
		}
		e := engine(t, knock.Config{Accesses: accesses, Tripwires: []port.Range{wire}, MaxSources: 5})
		history := make(map[netip.Addr][]arrival)
		var now time.Duration
		for ; len(data) >= 2; data = data[2:] {
			src, el := alice, ports[int(data[0]&0x7f)%len(ports)]
			if data[0]&0x80 != 0 {
				src = bob
			}
			now += time.Duration(data[1]) * time.Duration(data[1]) * time.Millisecond / 2
			if el == wire {
				history[src] = nil
			} else {
				history[src] = append(history[src], arrival{now, el})
			}
			for _, v := range e.Handle(epoch.Add(now), touch(src, el)) {
				a := accesses[v.Access]
				if v.Granted() && !possible(shared(a), history[v.Source]) {
					t.Fatalf("granted %q to %v, impossible after %v", a.Name, v.Source, history[v.Source])
				}
				if v.Granted() && (v.Source != src || v.Step != len(shared(a).Sequence)) {
					t.Fatalf("granted at %v's packet: %+v", src, v)
				}
			}
			if n := e.Stats().Sources; n > 5 {
				t.Fatalf("%d half-done knocks, 5 allowed", n)
			}
		}
	})
}
