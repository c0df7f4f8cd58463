package policy

import "fmt"

// maxLayouts bounds what each packet is looked up in.
const maxLayouts = 64

// A layout is how the packets of a knock tell what they say, which accesses may
// have in common: their keys are then tried on the same packets.
type layout struct {
	kind Knock
	KnockPorts
}

// layout is that of a knock that is no shared one.
func (e entry) layout() layout { return layout{e.Knock, e.knockRange()} }

// portKey is the key of the policy that says where the layout is.
func (l layout) portKey() string {
	if l.kind == KnockSPA {
		return "port"
	}
	return "port_base"
}

// lanes reports whether the layout is that of EncodingSIV, whose ports are so
// many that others can hardly keep out of them.
func (l layout) lanes() bool { return l.kind == KnockEncrypted && l.Last-l.First >= 256 }

// layouts gives the first access of each layout in use.
func layouts(entries []entry) (all []entry) {
	seen := make(map[layout]bool)
	for _, e := range entries {
		if e.active() && e.Knock != KnockShared && !seen[e.layout()] {
			seen[e.layout()] = true
			all = append(all, e)
		}
	}
	return all
}

// checkLayouts refuses more layouts than packets can be looked up in.
func checkLayouts(entries []entry) {
	all := layouts(entries)
	if len(all) <= maxLayouts {
		return
	}
	e := all[maxLayouts]
	e.table.fail(e.table.valueAt(e.layout().portKey()),
		fmt.Sprintf("the accesses knock on %d different ranges of ports, and the limit is %d", len(all), maxLayouts),
		"want accesses to have port_base, protocol and port in common; their keys tell them apart")
}
