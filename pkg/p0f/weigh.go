package p0f

import "nftknock/pkg/packet"

// This file weighs a TTL that contradicts the rest of a SYN. Routers only count a TTL
// down, but carriers, tunnels and gateways that share one address set it anew, so it
// is weaker evidence than layout, window and scale. It is done for the rows of the
// built-in table (row.weighed); other tables keep p0f's rules.

// contests reports whether any row contests r; see contestedBy.
func (g *group) contests(r *row) bool {
	for i := range g.rows {
		if r.contestedBy(&g.rows[i]) {
			return true
		}
	}
	return false
}

// contestedBy reports whether a SYN may fit both r and q, a specific row of another
// system's family, if the TTL is left aside. It may return true for rows that no
// SYN fits together: the packet is compared again.
func (r *row) contestedBy(q *row) bool {
	return q.weighed && q.specificSystem() && (r.specificSystem() || r.anyWindow()) &&
		r.family != q.family && r.ttl != q.ttl &&
		(r.key^q.key)&r.care&q.care == 0 && r.window.mayMeet(q.window)
}

// mayMeet reports whether a window may fit both rules.
func (w Window) mayMeet(v Window) bool {
	if v.Rule == WindowValue {
		w, v = v, w
	}
	return w.Rule != WindowValue || v.possible(uint16(w.N))
}

func (r *row) specificSystem() bool { return r.class == OS && !r.generic }

// anyWindow reports whether a row is generic and says nothing about the window, so
// that a specific row has more evidence.
func (r *row) anyWindow() bool {
	return r.class == OS && r.generic && r.window.Rule == WindowAny
}

// confidence returns that of a specific row which fits in all fields: Exact, or Family
// if only the TTL distinguishes it from another family's.
func (g *group) confidence(f *features, p *packet.Packet, r *row) Confidence {
	if r.contested {
		for _, i := range g.windows.find(f.window) {
			if q := &g.rows[i]; r.contestedBy(q) && q.despiteTTL(f, p) {
				return Family
			}
		}
	}
	return Exact
}

// despiteTTL reports whether the packet fits a specific row of a system in every
// field, the TTL left aside.
func (r *row) despiteTTL(f *features, p *packet.Packet) bool {
	return r.weighed && r.specificSystem() && (f.key^r.key)&r.care == 0 && r.near(f) && r.compare(f, p) != unfit
}

// despiteTTL returns the first specific row of a system that the packet fits in every
// field, the TTL left aside, or nil. sure tells whether the rest of the SYN shows that
// a system wrote it, and which:
//   - DF is set, or over IPv6 there is a flow label, as systems do it and the tools that
//     write their own SYNs do not;
//   - no tool or proxy sends that window and MSS with that layout, at whatever TTL and
//     scale;
//   - no specific row of another family fits as well.
func (g *group) despiteTTL(f *features, p *packet.Packet) (first *row, sure bool) {
	if !g.weighed {
		return nil, false
	}
	sure = f.quirks&(QuirkDF|QuirkFlow) != 0
	for _, i := range g.windows.find(f.window) {
		switch r := &g.rows[i]; {
		case r.class.first() && r.resembles(f):
			sure = false
		case !r.despiteTTL(f, p):
		case first == nil:
			first = r
		case first.family != r.family:
			sure = false
		}
	}
	return first, sure
}

// resembles reports whether the packet has the row's MSS and window.
func (r *row) resembles(f *features) bool {
	const mss = key(0xffff) << keyMSS
	return (f.key^r.key)&r.care&mss == 0 && r.near(f) && r.compareWindow(f)
}
