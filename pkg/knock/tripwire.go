package knock

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Tripwires chooses n ports that no knock touches, for each protocol the
// sequences use. First come the ports beside every knock port, which no scan in
// ascending or descending order misses; the others are drawn from a hash of the
// sequences: the same policy always gives the same tripwires, and whoever does not
// know the sequences cannot compute them.
//
// avoid reports the ports that honest clients may touch; ports below 1024 and
// those of the sequences are avoided anyway. Fewer than n come back where the
// ports do not suffice.
func Tripwires(n int, sequences [][]port.Range, avoid func(port.Range) bool) []port.Range {
	ports := slices.Concat(sequences...)
	slices.SortFunc(ports, port.Compare)
	ports = slices.Compact(ports)
	free := func(e port.Range) bool { return e.First >= 1024 && !slices.Contains(ports, e) && !avoid(e) }

	var wires []port.Range
	for _, protocol := range []packet.Protocol{packet.TCP, packet.UDP} {
		if !slices.ContainsFunc(ports, func(e port.Range) bool { return e.Protocol == protocol }) {
			continue
		}
		w := wirePicker{n: n, free: free, taken: make(map[port.Range]bool, n)}
		w.beside(protocol, ports)
		w.draw(protocol, wireSeed(protocol, ports))
		wires = append(wires, w.chosen...)
	}
	return wires
}

// wirePicker chooses the tripwires of one protocol.
type wirePicker struct {
	n      int
	free   func(port.Range) bool
	chosen []port.Range // n at most
	taken  map[port.Range]bool
}

// pick takes a port, unless it is taken, or not free, or n are chosen.
func (w *wirePicker) pick(e port.Range) {
	if len(w.chosen) < w.n && !w.taken[e] && w.free(e) {
		w.taken[e] = true
		w.chosen = append(w.chosen, e)
	}
}

// beside picks the ports beside some, in their order.
func (w *wirePicker) beside(protocol packet.Protocol, ports []port.Range) {
	for _, e := range ports {
		if e.Protocol == protocol {
			w.pick(port.Single(protocol, e.First-1))
			w.pick(port.Single(protocol, e.First+1))
		}
	}
}

// wireSeed returns what only the policy's own sequences and a protocol give.
func wireSeed(protocol packet.Protocol, ports []port.Range) []byte {
	h := sha256.New()
	h.Write([]byte("nftknock tripwires"))
	for _, e := range ports {
		h.Write([]byte{byte(e.Protocol), byte(e.First >> 8), byte(e.First)})
	}
	return h.Sum([]byte{byte(protocol)})
}

// draw fills up to n with ports from a hash of a seed.
func (w *wirePicker) draw(protocol packet.Protocol, seed []byte) {
	// Each block of the hash gives sixteen ports. The bound is met only where
	// almost every port is avoided.
	for block := uint32(0); len(w.chosen) < w.n && block < 1<<14; block++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(slices.Clone(seed), block))
		for i := 0; i < len(sum); i += 2 {
			w.pick(port.Single(protocol, binary.BigEndian.Uint16(sum[i:])))
		}
	}
}
