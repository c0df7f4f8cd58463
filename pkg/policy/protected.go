package policy

import (
	"fmt"
	"slices"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// knockPorts are the ports to which knocks go, with the accesses that they are of.
type knockPorts struct {
	elements map[port.Range]entry // of sequences: the first access with each
	layouts  []entry              // the first access with each
	warned   map[overlap]bool
	among    map[port.Range]bool // services among the ports of EncodingSIV
	workers  int
}

// An overlap is a service that lies among the knock ports of an access.
type overlap struct {
	by      *Access
	service port.Range
}

// maxLogRules bounds the services among the knock ports of EncodingSIV, times the
// workers. The table logs the packets to each such service by rules of its own, one
// per worker and IP version. A SYN to a hidden port passes all of them, and some
// thousands are too many for one transaction.
const maxLogRules = 1024

// checkProtected refuses to open a port that some access knocks on: it could
// not both be hidden and look like any closed port of the host.
func checkProtected(entries []entry, workers int) {
	k := knockPorts{elementsOf(entries), layouts(entries), make(map[overlap]bool), make(map[port.Range]bool), workers}
	// More of them are an error of their own (checkLayouts). Without the bound,
	// 16384 accesses with as many layouts would take minutes.
	k.layouts = k.layouts[:min(len(k.layouts), maxLayouts)]
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for i, s := range e.Open {
			if el, by, ok := k.element(s); ok {
				e.table.fail(e.table.itemAt("open", i), alsoKnocked(el, by), "a port is either opened or knocked on")
			}
			for _, by := range k.layouts {
				k.checkLayout(e, i, by)
			}
		}
	}
}

func alsoKnocked(el port.Range, by entry) string {
	return fmt.Sprintf("%s is also a knock port of access %q at %s", el, by.Name, by.Pos)
}

func elementsOf(entries []entry) map[port.Range]entry {
	elements := make(map[port.Range]entry)
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for _, el := range e.Sequence {
			if _, ok := elements[el]; !ok {
				elements[el] = e
			}
		}
	}
	return elements
}

// element finds the first port of a service that is an element of a sequence.
func (k knockPorts) element(s port.Range) (port.Range, entry, bool) {
	// Elements are single ports, and a service has 1024 ports at most: to look each
	// of them up is quicker than to go through all sequences.
	for n := range s.Ports() {
		if by, ok := k.elements[s.At(n)]; ok {
			return s.At(n), by, true
		}
	}
	return port.Range{}, entry{}, false
}

// checkLayout looks for a port of item i of open, a service, among those of a
// layout. That is no error with EncodingSIV, which takes 12800 ports: the table logs
// packets to a hidden port that is a knock port too, and stops to do so only for a
// source that has a grant for it.
func (k knockPorts) checkLayout(e entry, i int, by entry) {
	// A single port is still refused, since a message for it can as well go elsewhere.
	if by.ByPayload() && (by.LastPort != 0 || by.Protocol == ProtocolICMP) {
		return
	}
	s, ports := e.Open[i], by.KnockPorts()
	n := slices.IndexFunc(ports, s.Overlaps)
	if n < 0 {
		return
	}
	// There is one range per protocol, so this is the only one.
	both, _ := s.Common(ports[n])
	el := both.At(0)
	switch {
	case !by.lanes():
		e.table.fail(e.table.itemAt("open", i), alsoKnocked(el, by), "a port is either opened or knocked on: want another "+by.portKey()+" there")
	case !k.among[s] && (len(k.among)+1)*k.workers > maxLogRules:
		e.table.fail(e.table.itemAt("open", i),
			fmt.Sprintf("%s lies among the knock ports of access %q (%d to %d), as %d other services do, and each of them needs %s",
				s, by.Name, ports[n].First, ports[n].Last, len(k.among), wording.Count(k.workers, "rule", "rules, one per worker")),
			fmt.Sprintf("the limit is %d such rules: want another port_base there", maxLogRules))
	case !k.warned[overlap{by.Access, s}]:
		k.warned[overlap{by.Access, s}], k.among[s] = true, true
		e.table.warn(e.table.itemAt("open", i), fmt.Sprintf("%s lies among the knock ports of access %q (%d to %d): one knock in 256 fails from a source that already has a grant",
			el, by.Name, ports[n].First, ports[n].Last), "another port_base there avoids it")
	}
}

// maxRanges bounds the ranges of ports that all accesses open. Each needs sets of
// its own in the table, and a rule that every packet to a hidden port passes.
const maxRanges = 256

// openedRange is a range in one of the forms in which grants open it.
type openedRange struct {
	service          port.Range
	prefix4, prefix6 int
	single           bool
}

// checkRanges refuses a policy that opens too many ranges; those that several
// accesses open alike count once.
func checkRanges(entries []entry) {
	seen := make(map[openedRange]bool)
	for _, e := range entries {
		if !e.active() {
			continue
		}
		for i, s := range e.Open {
			// Single ports share one set per form, so they do not count.
			if s.Ports() == 1 {
				continue
			}
			if seen[openedRange{s, e.Prefix4, e.Prefix6, e.SingleUse}] = true; len(seen) > maxRanges {
				e.table.fail(e.table.itemAt("open", i), fmt.Sprintf("%s is one range of ports more than the table can have", s),
					fmt.Sprintf("the limit is %d different ones: open the same in several accesses, or single ports", maxRanges))
				return
			}
		}
	}
}
