package knock_test

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
	"nftknock/test/thorough"
)

// doors are three-port sequences that scans must not open, from a scan's
// worst case to its best.
var doors = map[string]string{
	"scattered":  "tcp/31337, tcp/7212, tcp/49152",
	"ascending":  "tcp/7000, tcp/8000, tcp/9000",
	"descending": "tcp/9000, tcp/8000, tcp/7000",
	"adjacent":   "tcp/7000, tcp/7001, tcp/7002",
	"backwards":  "tcp/7002, tcp/7001, tcp/7000",
}

func doorEngine(t testing.TB, seq string) (*knock.Engine, []port.Range) {
	a := access(t, seq)
	wires := knock.Tripwires(256, [][]port.Range{shared(a).Sequence}, func(port.Range) bool { return false })
	e := engine(t, knock.Config{Accesses: []knock.Access{a}, Tripwires: wires, MaxSources: 4096})
	return e, append(slices.Clone(shared(a).Sequence), wires...)
}

// scanPaces are times for a whole scan, from what a fast scanner manages on a
// local network to a patient one. One to two hours are the hardest: that long
// between two tripwires is what calm allows, and still within a knock's time.
var scanPaces = []time.Duration{
	500 * time.Millisecond, 5 * time.Second, time.Minute, 4 * time.Minute, time.Hour, 2 * time.Hour, 12 * time.Hour,
}

func address(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 0x0a000000+n)))
}

func TestNoRandomScanOpensADoor(t *testing.T) {
	for name, seq := range doors {
		t.Run(name, func(t *testing.T) {
			scans := thorough.Choose(50, 200) * len(scanPaces)
			if name == "scattered" {
				scans = thorough.Choose(500, 10_000) * len(scanPaces)
			}
			e, ports := doorEngine(t, seq)
			rng := rand.New(rand.NewPCG(1, 2))
			var at time.Duration
			for scan := range scans {
				// Only what touches the engine matters: every port of it
				// gets a place among 65,535.
				places, order := make([]int, len(ports)), rng.Perm(len(ports))
				for i := range places {
					places[i] = rng.IntN(65535)
				}
				slices.SortFunc(order, func(i, j int) int { return cmp.Compare(places[i], places[j]) })
				pace := scanPaces[scan%len(scanPaces)]
				for _, i := range order {
					when := at + pace*time.Duration(places[i])/65535
					for _, v := range e.Handle(epoch.Add(when), touch(address(uint32(scan)), ports[i])) {
						if v.Granted() {
							t.Errorf("scan %d of %v opened the door", scan, pace)
						}
					}
				}
				at += pace
			}
		})
	}
}

// An honest knock right after a scan by a neighbour, and some time after one
// of the knocker's own, opens.
func TestAScanDoesNotLockAnyoneOut(t *testing.T) {
	e, ports := doorEngine(t, doors["scattered"])
	for i, el := range ports {
		e.Handle(epoch.Add(time.Duration(i)*time.Millisecond), touch(alice, el))
	}
	if got := play(t, e, bob, "1s tcp/31337, 1500ms tcp/7212, 2s tcp/49152"); got != "granted" {
		t.Errorf("neighbour: %q, want granted", got)
	}
	if got := play(t, e, alice, "10s tcp/31337, 10500ms tcp/7212, 11s tcp/49152"); got != "granted" {
		t.Errorf("scanner ten seconds later: %q, want granted", got)
	}
}

// A tripwire packet forged in the name of a slow knocker costs that one ten seconds
// and no more.
func TestAForgedTripwireLocksNobodyOutForLong(t *testing.T) {
	const slow = "%ds tcp/31337, %ds tcp/7212, %ds tcp/49152" // 12 s from first to last
	for wait, want := range map[int]string{9: "3: looks like a port scan", 10: "granted"} {
		e, ports := doorEngine(t, doors["scattered"])
		e.Handle(epoch, touch(alice, ports[len(ports)-1]))
		if got := play(t, e, alice, fmt.Sprintf(slow, wait, wait+6, wait+12)); got != want {
			t.Errorf("knock %d s after it: %q, want %q", wait, got, want)
		}
	}
}

func TestNoOrderedScanOpensADoor(t *testing.T) {
	for name, seq := range doors {
		e, ports := doorEngine(t, seq)
		byPort := func(a, b port.Range) int { return cmp.Compare(a.First, b.First) }
		for direction, order := range map[string]func(a, b port.Range) int{
			"ascending":  byPort,
			"descending": func(a, b port.Range) int { return byPort(b, a) },
		} {
			slices.SortFunc(ports, order)
			for i, pace := range scanPaces {
				src := address(uint32(i) + uint32(len(direction))<<8)
				for _, el := range ports {
					when := pace * time.Duration(el.First) / 65535
					if direction == "descending" {
						when = pace - when
					}
					for _, v := range e.Handle(epoch.Add(when), touch(src, el)) {
						if v.Granted() {
							t.Errorf("%s scan of %v opened the %s door", direction, pace, name)
						}
					}
				}
			}
		}
	}
}

func TestTripwires(t *testing.T) {
	seqs := [][]port.Range{sequence(t, "tcp/7000, udp/8000, icmp"), sequence(t, "tcp/7001, tcp/500")}
	avoid := func(e port.Range) bool { return e.First == 6999 }
	wires := knock.Tripwires(64, seqs, avoid)
	if !slices.Equal(wires, knock.Tripwires(64, seqs, avoid)) {
		t.Error("the same policy gives other tripwires")
	}
	seen := make(map[port.Range]bool)
	count := make(map[string]int)
	for _, w := range wires {
		if seen[w] || avoid(w) || w.First < 1024 || slices.Contains(seqs[0], w) || slices.Contains(seqs[1], w) {
			t.Errorf("bad tripwire %v", w)
		}
		seen[w] = true
		count[w.Protocol.String()]++
	}
	if count["tcp"] != 64 || count["udp"] != 64 {
		t.Errorf("%v tripwires, want 64 each", count)
	}
	for _, neighbour := range []string{"tcp/7002", "udp/7999", "udp/8001"} {
		el, _ := port.ParseKnock(neighbour)
		if !seen[el] {
			t.Errorf("no tripwire at %s, beside a knock port", neighbour)
		}
	}
	if n := len(knock.Tripwires(0, seqs, avoid)); n != 0 {
		t.Errorf("%d tripwires where none were asked for", n)
	}
	if n := len(knock.Tripwires(64, seqs, func(e port.Range) bool { return e.First != 9999 })); n > 2 {
		t.Errorf("%d tripwires in one port", n)
	}
}
