package knock_test

import (
	"math/rand/v2"
	"regexp"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/thorough"
)

// load is a busy engine and the packets that keep it so.
func load(t testing.TB, kind string) (*knock.Engine, []*packet.Packet) {
	a := access(t, "tcp/31337, udp/6020, tcp/49152")
	a.RequireOS = regexp.MustCompile("(?i)linux")
	wires := knock.Tripwires(256, [][]port.Range{shared(a).Sequence}, func(port.Range) bool { return false })
	e := engine(t, knock.Config{
		Accesses: []knock.Access{a}, Tripwires: wires, MaxSources: 4096, Fingerprints: p0f.Builtin(),
	})
	var packets []*packet.Packet
	for i := range uint32(8192) {
		src := address(i * 77)
		switch kind {
		case "knock": // whole knocks, one source after the other
			packets = append(packets, synOf(src, 31337, 64, linuxOptions),
				touch(src, shared(a).Sequence[1]), synOf(src, 49152, 64, linuxOptions))
		case "repeat": // of the knock of one source, over and over
			packets = append(packets, synOf(alice, 31337, 64, linuxOptions),
				touch(alice, shared(a).Sequence[1]), synOf(alice, 49152, 64, linuxOptions))
		case "flood": // first elements from more sources than fit
			packets = append(packets, synOf(src, 31337, 64, linuxOptions))
		case "scan": // tripwires
			packets = append(packets, touch(src, wires[i%256]))
		case "other":
			packets = append(packets, touch(src, port.Single(packet.TCP, 443)))
		}
	}
	return e, packets
}

var loads = []string{"knock", "repeat", "flood", "scan", "other"}

// run feeds n packets, a millisecond apart, beginning with the from-th. SYNs have new
// sequence numbers in each round: they repeat nothing.
func run(e *knock.Engine, packets []*packet.Packet, from, n int) {
	for i := from; i < from+n; i++ {
		p := packets[i%len(packets)]
		p.TCP.Seq = uint32(1 + i/len(packets))
		e.Handle(epoch.Add(time.Duration(i)*time.Millisecond), p)
	}
}

func TestHandleAllocatesNothing(t *testing.T) {
	for _, kind := range loads {
		e, packets := load(t, kind)
		at := len(packets)
		run(e, packets, 0, at) // the table grows once
		allocs := testing.AllocsPerRun(thorough.Choose(3, 10), func() {
			run(e, packets, at, len(packets))
			at += len(packets)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations in %d packets, want none", kind, allocs, len(packets))
		}
	}
}

func BenchmarkHandle(b *testing.B) {
	for _, kind := range loads {
		b.Run(kind, func(b *testing.B) {
			e, packets := load(b, kind)
			run(e, packets, 0, len(packets))
			b.ReportAllocs()
			i := len(packets)
			for b.Loop() {
				run(e, packets, i, 1)
				i++
			}
		})
	}
}

// orderedLoad is an engine with a key of an encoding, and the packets of one of these
// loads: whole knocks of many sources, a flood of a source, one from two source ports by
// turns, which costs most, and single packets of many sources.
func orderedLoad(b *testing.B, key sealer, kind string) (*knock.Engine, []*packet.Packet) {
	var packets []*packet.Packet
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range uint32(1024) {
		switch kind {
		case "knock":
			packets = append(packets, row(address(i*77), key.message(b, knockSSH(time.Time{})), tcp)...)
		case "flood", "two ports":
			packets = append(packets, row(alice, []byte{byte(rng.Uint32())}, tcp)...)
		case "sources":
			packets = append(packets, row(address(i*77), []byte{byte(rng.Uint32())}, tcp)...)
		}
	}
	for i, p := range packets {
		p.SrcPort = uint16(32768 + i%28000) // of each connection
		if kind == "two ports" {
			p.SrcPort = uint16(1000 + i%2)
		}
	}
	return engine(b, knock.Config{Accesses: []knock.Access{orderedAccess(key)}, MaxSources: 1 << 16}), packets
}

func BenchmarkOrdered(b *testing.B) {
	for name, keys := range orderedKeys(b) {
		for _, kind := range []string{"knock", "flood", "two ports", "sources"} {
			b.Run(name+"/"+kind, func(b *testing.B) {
				e, packets := orderedLoad(b, keys[0], kind)
				run(e, packets, 0, len(packets))
				b.ReportAllocs()
				i := len(packets)
				for b.Loop() {
					// A retransmission is ignored at little cost, so each packet is
					// another, of a connection of its own or from one of two ports.
					p := packets[i%len(packets)]
					p.TCP.Seq = uint32(i)
					if kind != "two ports" {
						p.SrcPort = uint16(32768 + i*7919%28000)
					}
					run(e, packets, i, 1)
					i++
				}
			})
		}
	}
}
