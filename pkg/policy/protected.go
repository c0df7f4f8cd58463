package policy

import (
	"fmt"
	"slices"
	"time"

	"nftknock/pkg/packet"
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

// hiddenService is a service that the policy hides, and where it says so.
type hiddenService struct {
	port.Range
	table *table
	key   string
	item  int
	by    *Access // nil for one of protect
}

func (h hiddenService) at() Pos { return h.table.itemAt(h.key, h.item) }

// hidden lists what the policy hides: services to protect, and those of accesses, enabled or
// not, as far as these have no errors.
func (l *loader) hidden() (all []hiddenService) {
	for i, s := range l.policy.NFTables.Protect {
		all = append(all, hiddenService{s, l.nftables, "protect", i, nil})
	}
	for _, e := range l.entries {
		if !e.sound {
			continue
		}
		for i, s := range e.Open {
			all = append(all, hiddenService{s, e.table, "open", i, e.Access})
		}
	}
	return all
}

// checkProtected refuses to hide a port that some access knocks on: it could
// not both be hidden and look like any closed port of the host.
func checkProtected(hidden []hiddenService, entries []entry, workers int) {
	k := knockPorts{elementsOf(entries), layouts(entries), make(map[overlap]bool), make(map[port.Range]bool), workers}
	// More of them are an error of their own (checkLayouts). Without the bound,
	// 16384 accesses with as many layouts would take minutes.
	k.layouts = k.layouts[:min(len(k.layouts), maxLayouts)]
	for _, h := range hidden {
		if el, by, ok := k.element(h.Range); ok {
			h.table.fail(h.at(), alsoKnocked(el, by), "a port is either "+h.verb()+" or knocked on")
		}
		for _, by := range k.layouts {
			k.checkLayout(h, by)
		}
	}
}

func (h hiddenService) verb() string {
	if h.by == nil {
		return "protected"
	}
	return "opened"
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

// checkLayout looks for a port of a hidden service among those of a
// layout. That is no error with EncodingSIV, which takes 12800 ports: the table logs
// packets to a hidden port that is a knock port too, and stops to do so only for a
// source that has a grant for it.
func (k knockPorts) checkLayout(h hiddenService, by entry) {
	// A single port is still refused, since a message for it can as well go elsewhere.
	if by.ByPayload() && (by.LastPort != 0 || by.Protocol == ProtocolICMP) {
		return
	}
	s, ports := h.Range, by.KnockPorts()
	n := slices.IndexFunc(ports, s.Overlaps)
	if n < 0 {
		return
	}
	// There is one range per protocol, so this is the only one.
	both, _ := s.Common(ports[n])
	el := both.At(0)
	switch {
	case !by.lanes():
		h.table.fail(h.at(), alsoKnocked(el, by), "a port is either "+h.verb()+" or knocked on: want another "+by.portKey()+" there")
	case !k.among[s] && (len(k.among)+1)*k.workers > maxLogRules:
		h.table.fail(h.at(),
			fmt.Sprintf("%s lies among the knock ports of access %q (%d to %d), as %d other services do, and each of them needs %s",
				s, by.Name, ports[n].First, ports[n].Last, len(k.among), wording.Count(k.workers, "rule", "rules, one per worker")),
			fmt.Sprintf("the limit is %d such rules: want another port_base there", maxLogRules))
	case !k.warned[overlap{by.Access, s}]:
		k.warned[overlap{by.Access, s}], k.among[s] = true, true
		h.table.warn(h.at(), fmt.Sprintf("%s lies among the knock ports of access %q (%d to %d): one knock in 256 fails from a source that already has a grant",
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

// checkRanges refuses a policy that hides too many ranges; those that several
// accesses open alike count once.
func checkRanges(hidden []hiddenService) {
	seen := make(map[openedRange]bool)
	for _, h := range hidden {
		// Single ports share one set per form, so they do not count.
		if h.Ports() == 1 {
			continue
		}
		o := openedRange{service: h.Range}
		if h.by != nil {
			o.prefix4, o.prefix6, o.single = h.by.Prefix4, h.by.Prefix6, h.by.SingleUse
		}
		if seen[o] = true; len(seen) > maxRanges {
			h.table.fail(h.at(), fmt.Sprintf("%s is one range of ports more than the table can have", h.Range),
				fmt.Sprintf("the limit is %d different ones: open the same in several accesses, or single ports", maxRanges))
			return
		}
	}
}

// warnUnopened warns of accesses that are disabled, while what they would open is hidden. It
// does not warn of what is hidden by protect, or can be reached through another access.
// (Expired accesses have a warning in any case.)
func warnUnopened(entries []entry, protect []port.Range, now time.Time) {
	covered := make(map[packet.Protocol]*[1 << 16]bool)
	cover := func(services []port.Range) {
		for _, s := range services {
			if covered[s.Protocol] == nil {
				covered[s.Protocol] = new([1 << 16]bool)
			}
			for n := int(s.First); n <= int(s.Last); n++ {
				covered[s.Protocol][n] = true
			}
		}
	}
	cover(protect)
	for _, e := range entries {
		if e.active() && !e.expired(now) {
			cover(e.Open)
		}
	}
	for _, e := range entries {
		if !e.sound || e.Enabled {
			continue
		}
		// By port, and not by port.Subtract, which would take minutes for 16384 accesses.
		unopened := slices.DeleteFunc(slices.Clone(e.Open), func(s port.Range) bool {
			all := covered[s.Protocol]
			return all != nil && !slices.Contains(all[s.First:int(s.Last)+1], false)
		})
		if len(unopened) == 0 {
			continue
		}
		e.table.warn(e.table.valueAt("open"), fmt.Sprintf("access %q is disabled, and no other opens %s, which stays hidden", e.Name, port.Join(unopened)),
			"list it under protect in [nftables] if that is meant, or remove the access to show it to everyone")
	}
}

// expired reports whether the access is void by its date.
func (a *Access) expired(now time.Time) bool { return !a.Expires.IsZero() && !a.Expires.After(now) }
