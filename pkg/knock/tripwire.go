package knock

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"nftknock/pkg/packet"
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
func Tripwires(n int, sequences [][]Element, avoid func(Element) bool) []Element {
	var ports, neighbours []Element
	for _, seq := range sequences {
		ports = append(ports, seq...)
	}
	slices.SortFunc(ports, compareElements)
	ports = slices.Compact(ports)

	var wires []Element
	free := func(e Element) bool {
		return e.Port >= 1024 && !slices.Contains(ports, e) && !slices.Contains(neighbours, e) && !avoid(e)
	}
	for _, protocol := range []packet.Protocol{packet.TCP, packet.UDP} {
		neighbours = neighbours[:0]
		for _, e := range ports {
			if e.Protocol != protocol {
				continue
			}
			for _, port := range []uint16{e.Port - 1, e.Port + 1} {
				if w := (Element{protocol, port}); free(w) {
					neighbours = append(neighbours, w)
				}
			}
		}
		if slices.ContainsFunc(ports, func(e Element) bool { return e.Protocol == protocol }) {
			wires = append(wires, drawPorts(n, protocol, ports, neighbours, free)...)
		}
	}
	return wires
}

// drawPorts fills up chosen to n with ports from a hash of the policy's own.
func drawPorts(n int, protocol packet.Protocol, policy, chosen []Element, free func(Element) bool) []Element {
	h := sha256.New()
	h.Write([]byte("nftknock tripwires"))
	for _, e := range policy {
		h.Write([]byte{byte(e.Protocol), byte(e.Port >> 8), byte(e.Port)})
	}
	seed := h.Sum([]byte{byte(protocol)})

	taken := make(map[Element]bool, n)
	for _, e := range chosen {
		taken[e] = true
	}
	drawn := slices.Clone(chosen[:min(n, len(chosen))])
	// Sixteen ports a block; the bound is met only where almost every port
	// is avoided.
	for block := uint32(0); len(drawn) < n && block < 1<<14; block++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(slices.Clone(seed), block))
		for i := 0; i < len(sum) && len(drawn) < n; i += 2 {
			e := Element{protocol, binary.BigEndian.Uint16(sum[i:])}
			if !taken[e] && free(e) {
				taken[e] = true
				drawn = append(drawn, e)
			}
		}
	}
	return drawn
}

func compareElements(a, b Element) int {
	if a.Protocol != b.Protocol {
		return int(a.Protocol) - int(b.Protocol)
	}
	return int(a.Port) - int(b.Port)
}
