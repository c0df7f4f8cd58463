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
			if q := &g.rows[i]; r.contestedBy(q) && (f.key^q.key)&q.care == 0 && q.near(f) && q.compare(f, p) != unfit {
				return Family
			}
		}
	}
	return Exact
}

// despiteTTL is the first specific row of a system that a packet fits in every field but
// the TTL.
type despiteTTL struct {
	row   *row // nil if there is none
	mixed bool // a row of another family fits as well
}

// add adds a row that fits except for the TTL, and perhaps for bits outside r.fatal.
func (d *despiteTTL) add(f *features, r *row) {
	switch {
	case !r.weighed || !r.specificSystem() || (f.key^r.key)&r.care != 0:
	case d.row == nil:
		d.row = r
	case d.row.family != r.family:
		d.mixed = true
	}
}

// sure reports whether the packet, apart from its TTL, shows that the system of the row
// wrote it:
//   - DF is set, or over IPv6 there is a flow label, as systems do it and the tools that
//     write their own SYNs do not;
//   - no specific row of another family fits as well;
//   - no tool or proxy sends that window and MSS with that layout, at whatever TTL and
//     scale.
func (g *group) sure(f *features, d *despiteTTL) bool {
	if d.mixed || f.quirks&(QuirkDF|QuirkFlow) == 0 {
		return false
	}
	for _, i := range g.windows.find(f.window) {
		if r := &g.rows[i]; r.class.first() && r.resembles(f) {
			return false
		}
	}
	return true
}

// resembles reports whether the packet has the row's MSS and window.
func (r *row) resembles(f *features) bool {
	const mss = key(0xffff) << keyMSS
	return (f.key^r.key)&r.care&mss == 0 && r.near(f) && r.compareWindow(f)
}
