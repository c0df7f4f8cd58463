package knock

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Tripwires chooses n ports that no knock touches, for each protocol the
// sequences use. First come the ports beside every knock port, which a scan
// that walks upwards or downwards cannot miss; the others are drawn from a
// hash of the sequences: the same policy always gives the same tripwires, and
// whoever does not know the sequences cannot tell them.
//
// avoid tells of ports that honest clients may touch; ports below 1024 and
// those of the sequences are avoided anyway. Fewer than n come back where the
// ports do not suffice.
func Tripwires(n int, sequences [][]port.Range, avoid func(port.Range) bool) []port.Range {
	var ports, neighbours []port.Range
	for _, seq := range sequences {
		ports = append(ports, seq...)
	}
	slices.SortFunc(ports, port.Compare)
	ports = slices.Compact(ports)

	var wires []port.Range
	free := func(e port.Range) bool {
		return e.First >= 1024 && !slices.Contains(ports, e) && !slices.Contains(neighbours, e) && !avoid(e)
	}
	for _, protocol := range []packet.Protocol{packet.TCP, packet.UDP} {
		neighbours = neighbours[:0]
		for _, e := range ports {
			if e.Protocol != protocol {
				continue
			}
			for _, n := range []uint16{e.First - 1, e.First + 1} {
				if w := port.Single(protocol, n); free(w) {
					neighbours = append(neighbours, w)
				}
			}
		}
		if slices.ContainsFunc(ports, func(e port.Range) bool { return e.Protocol == protocol }) {
			wires = append(wires, drawPorts(n, protocol, ports, neighbours, free)...)
		}
	}
	return wires
}

// drawPorts fills up chosen to n with ports from a hash of the policy's own.
func drawPorts(n int, protocol packet.Protocol, policy, chosen []port.Range, free func(port.Range) bool) []port.Range {
	h := sha256.New()
	h.Write([]byte("nftknock tripwires"))
	for _, e := range policy {
		h.Write([]byte{byte(e.Protocol), byte(e.First >> 8), byte(e.First)})
	}
	seed := h.Sum([]byte{byte(protocol)})

	taken := make(map[port.Range]bool, n)
	for _, e := range chosen {
		taken[e] = true
	}
	drawn := slices.Clone(chosen[:min(n, len(chosen))])
	// Sixteen ports a block; the bound is met only where almost every port
	// is avoided.
	for block := uint32(0); len(drawn) < n && block < 1<<14; block++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(slices.Clone(seed), block))
		for i := 0; i < len(sum) && len(drawn) < n; i += 2 {
			e := port.Single(protocol, binary.BigEndian.Uint16(sum[i:]))
			if !taken[e] && free(e) {
				taken[e] = true
				drawn = append(drawn, e)
			}
		}
	}
	return drawn
}
