package policy

import (
	"fmt"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// EngineKnock returns the knock of the access as the engine takes it, but for its keys,
// which are nil.
func (a *Access) EngineKnock() knock.Kind {
	switch {
	// By kind, and encrypted ones by encoding: siv has a time, the others have none.
	case a.Kind == KindShared:
		return knock.Shared{
			Sequence:    a.Sequence,
			MinInterval: a.MinInterval,
			MaxInterval: a.MaxInterval,
			Within:      a.Within,
			Reorder:     a.Reorder,
		}
	case a.Kind == KindTOTP:
		return knock.TOTP{Base: a.PortBase, Protocols: a.protocols(), Within: a.Within, MaxAttempts: a.MaxAttempts}
	case a.Kind == KindSPA:
		return knock.SPA{Port: a.Port, LastPort: a.LastPort, Protocols: a.protocols(), Terms: a.terms()}
	case a.Encoding == EncodingSIV:
		return knock.SIV{Base: a.PortBase, Protocols: a.protocols(), Within: a.Within, Terms: a.terms()}
	}
	return knock.Ordered{Base: a.PortBase, Protocols: a.protocols(), Within: a.Within, Terms: a.terms()}
}

// KnockPorts returns the ports that the packets of the knock go to: for a shared
// sequence each element with a port, in order, and one range per protocol for all
// other kinds: port.Echo for ICMP.
func (a *Access) KnockPorts() []port.Range { return a.EngineKnock().Ports() }

func (a *Access) protocols() []packet.Protocol {
	switch a.Protocol {
	case ProtocolTCP:
		return []packet.Protocol{packet.TCP}
	case ProtocolUDP:
		return []packet.Protocol{packet.UDP}
	case ProtocolICMP:
		return []packet.Protocol{packet.ICMP}
	}
	if a.Kind == KindSPA {
		return []packet.Protocol{packet.TCP, packet.UDP, packet.ICMP}
	}
	return []packet.Protocol{packet.TCP, packet.UDP}
}

// terms are what the sender of a message may ask for.
func (a *Access) terms() knock.Terms {
	return knock.Terms{Open: a.Open, Users: a.RequireUser, AllowOther: a.AllowOtherAddress, Window: a.Window}
}

// portKey is the name of the key that says where the ports of a keyed knock begin.
func (a *Access) portKey() string {
	if a.Kind == KindSPA {
		return "port"
	}
	return "port_base"
}

// ByPayload reports whether the packets of the knock are found by their payload: those of
// SPA that may come over TCP or ICMP, or to many ports. They take no port from anybody
// else: the table logs only packets that can hold a message, and other knocks see theirs.
func (a *Access) ByPayload() bool {
	return a.Kind == KindSPA && (a.LastPort != 0 || a.Protocol != ProtocolUDP)
}

// lanes reports whether the knock is one of EncodingSIV. It takes 12800 ports, and so
// some that are used otherwise.
func (a *Access) lanes() bool { return a.Kind == KindEncrypted && a.Encoding == EncodingSIV }

// maxLayouts bounds the layouts, of which the engine looks at all for each packet.
const maxLayouts = 64

// A layout is what the engine looks packets up by: a kind of knock and its ports.
// Accesses may have it in common: the engine then tries all their keys on the same
// packets.
type layout struct {
	kind  Kind
	ports string // as port.Join writes them
}

// layouts returns the first access of each layout in use. Shared sequences have none.
func layouts(entries []entry) (all []entry) {
	seen := make(map[layout]bool)
	for _, e := range entries {
		if !e.active() || e.Kind == KindShared {
			continue
		}
		// Ranges as text, since a slice is no key of a map.
		if l := (layout{e.Kind, port.Join(e.KnockPorts())}); !seen[l] {
			seen[l] = true
			all = append(all, e)
		}
	}
	return all
}

// checkLayouts refuses more layouts than the engine can look packets up in.
func checkLayouts(entries []entry) {
	all := layouts(entries)
	if len(all) <= maxLayouts {
		return
	}
	// The first one that is too much gets the error; any other could go as well.
	e := all[maxLayouts]
	e.table.fail(e.table.valueAt(e.portKey()),
		fmt.Sprintf("the accesses knock on %d different ranges of ports, and the limit is %d", len(all), maxLayouts),
		"want accesses to have port_base, protocol and port in common; their keys tell them apart")
}

// firstInUse returns the first port of some ranges that is in a set.
func firstInUse(ranges []port.Range, set map[port.Range]bool) (port.Range, bool) {
	for _, r := range ranges {
		for n := range r.Ports() {
			if set[r.At(n)] {
				return r.At(n), true
			}
		}
	}
	return port.Range{}, false
}
