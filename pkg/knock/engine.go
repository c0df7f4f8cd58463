// Package knock recognises shared port knock sequences in a stream of
// packets.
//
// The engine is pure: packets and their arrival times come in, verdicts go
// out. It has no clock, starts no goroutine, does no input or output and logs
// nothing. Once its table has grown to what traffic needs, handling a packet
// allocates nothing; its memory is bounded whatever arrives. An Engine
// belongs to one goroutine; several engines share nothing.
//
// What counts as a knock: per source and access there is one slot an element.
// An element may arrive before its predecessor by up to Reorder, neighbours
// keep their intervals, and all arrive Within. The repetition of an element
// already seen changes nothing. A knock port out of order or a tripwire voids
// the source's half-done knock, and the first element begins it anew. Packets
// to any other port are nothing to the engine.
package knock

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

// Config is what an Engine is made from.
type Config struct {
	Accesses []Access
	// Tripwires are ports whose touch voids the source's half-done knocks.
	Tripwires []Element
	// MaxSources bounds the table of half-done knocks.
	MaxSources int
	// Fingerprints tells operating systems; nil leaves them untold.
	Fingerprints *p0f.Database
}

// Stats counts what an Engine did since it was made.
type Stats struct {
	Packets uint64 // that touched a knock port or tripwire
	Sources int    // half-done knocks now
	Evicted uint64 // half-done knocks that had to make room
}

// Engine watches for the knocks of one Config.
type Engine struct {
	rules    []*rule
	roles    map[Element]*role
	db       *p0f.Database
	table    *table
	trips    *trips
	patience int64 // the longest Within
	epoch    time.Time
	at       time.Time // of the packet in hand
	stats    Stats
	verdicts []Verdict
}

// role is what one knock port means.
type role struct {
	tripwire bool
	steps    []step
}

// step is the place of an element in an access's sequence.
type step struct {
	access    int
	positions uint32
}

// New makes an engine with an empty table.
func New(c Config) (*Engine, error) {
	if c.MaxSources < 1 {
		return nil, fmt.Errorf("bad bound of %d half-done knocks: want 1 or more", c.MaxSources)
	}
	e := &Engine{
		roles: make(map[Element]*role),
		db:    c.Fingerprints,
		trips: newTrips(),
	}
	room := 0
	for i, a := range c.Accesses {
		r, err := newRule(a, c.Fingerprints)
		if err != nil {
			return nil, err
		}
		e.rules = append(e.rules, r)
		e.patience = max(e.patience, r.within)
		room = max(room, len(a.Sequence))
		for j, el := range a.Sequence {
			if r.same[j]&(1<<j-1) == 0 { // its first occurrence
				role := e.role(el)
				role.steps = append(role.steps, step{access: i, positions: r.same[j]})
			}
		}
	}
	for _, w := range c.Tripwires {
		e.role(w).tripwire = true
	}
	e.table = newTable(c.MaxSources, room)
	return e, nil
}

func (e *Engine) role(el Element) *role {
	r := e.roles[el]
	if r == nil {
		r = new(role)
		e.roles[el] = r
	}
	return r
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Sources = e.table.len
	return s
}

// Handle takes a packet that arrived at a time and returns what it decided,
// usually nothing. The verdicts are valid until the next call.
func (e *Engine) Handle(at time.Time, p *packet.Packet) []Verdict {
	e.verdicts = e.verdicts[:0]
	now := e.clock(at)
	if el, ok := elementOf(p); ok {
		if role := e.roles[el]; role != nil {
			e.play(role, p, now)
		}
	}
	e.expire(now, 2)
	return e.verdicts
}

// play takes a packet to a knock port or tripwire.
func (e *Engine) play(role *role, p *packet.Packet, now int64) {
	e.stats.Packets++
	k := key(p.Src.As16())
	if role.tripwire {
		e.trip(k, now)
		return
	}
	m := mark{at: now}
	if e.db != nil && p.Protocol == packet.TCP {
		m.os = e.db.Match(p)
	}
	for _, s := range role.steps {
		r := e.rules[s.access]
		if r.Source != nil && !r.Source(p.Src) {
			continue
		}
		if n := e.table.find(k, s.access); n != nil {
			e.advance(r, n, s.positions, m)
		} else {
			e.begin(k, p.Src, s, m)
		}
	}
}

// Flush ends all half-done knocks, as if nothing more could come.
func (e *Engine) Flush(at time.Time) []Verdict {
	e.verdicts = e.verdicts[:0]
	e.clock(at)
	for n := e.table.oldest(); n != nil; n = e.table.oldest() {
		e.drop(n, Incomplete)
	}
	return e.verdicts
}

// elementOf tells which element a packet is.
func elementOf(p *packet.Packet) (el Element, ok bool) {
	switch {
	case p.PureSYN(), p.Protocol == packet.UDP:
		return Element{p.Protocol, p.DstPort}, true
	case p.EchoRequest():
		return Element{Protocol: packet.ICMP}, true
	}
	return Element{}, false
}

// clock turns a time into nanoseconds since the first one seen, by the
// monotonic clock where both have it.
func (e *Engine) clock(at time.Time) int64 {
	if e.epoch.IsZero() {
		e.epoch = at
	}
	e.at = at
	return int64(at.Sub(e.epoch))
}

// begin notes the first packet of a knock, which may be an element that
// hurried ahead of the first.
func (e *Engine) begin(k key, source netip.Addr, s step, m mark) {
	if e.table.full() {
		e.stats.Evicted++
		e.drop(e.table.victim(), Evicted)
	}
	e.table.add(k, source, s.access, m.at).attempts[0].begin(s.positions, m)
}

// advance takes a source's half-done knock one packet further.
//
// Where the first element comes again, it may be a repetition, or the knocker
// may have begun anew; nobody can tell yet. So a knock has two attempts: the
// older goes on as if it were the one, the younger begins as if it were the
// other, and whichever completes first counts.
func (e *Engine) advance(r *rule, n *pending, positions uint32, m mark) {
	alive := false
	var refusal Verdict
	for i := range n.attempts {
		a := &n.attempts[i]
		if a.seen == 0 {
			continue
		}
		switch out, reason := a.feed(r, positions, m); out {
		case completed:
			e.complete(r, n, a, m.at)
			return
		case voided:
			refusal = e.verdict(n, a, reason)
			a.seen = 0
		case ongoing:
			alive = true
		}
	}
	if !alive {
		e.verdicts = append(e.verdicts, refusal)
	}
	switch {
	case positions&first != 0:
		n.begin(positions, m)
		e.table.renew(n, m.at)
	case !alive:
		e.table.remove(n)
	}
}

// complete judges a knock whose elements have all arrived as they should.
func (e *Engine) complete(r *rule, n *pending, a *attempt, now int64) {
	v := e.verdict(n, a, None)
	duration := max(now-a.start, r.reorder)
	switch {
	case !r.Expires.IsZero() && v.Time.After(r.Expires):
		v.Reason = Expired
	case e.trips.recently(n.key, a.start, duration):
		v.Reason = Scan
	case r.allowed != nil:
		for i := range r.Sequence {
			if r.syns&(1<<i) != 0 && !r.satisfiedBy(a.marks[i].os) {
				v.OS, v.Reason = a.marks[i].os, WrongOS
				break
			}
		}
	}
	e.verdicts = append(e.verdicts, v)
	e.table.remove(n)
}

// trip voids everything the source has begun.
func (e *Engine) trip(k key, now int64) {
	e.trips.record(k, now)
	for n := e.table.knocks.first(k); n != nil; n = e.table.knocks.first(k) {
		e.drop(n, Tripwire)
	}
}

// expire ends up to n knocks whose time has run out.
func (e *Engine) expire(now int64, n int) {
	for ; n > 0; n-- {
		oldest := e.table.oldest()
		if oldest == nil || now-oldest.since <= e.patience {
			return
		}
		e.drop(oldest, Incomplete)
	}
}

// drop refuses a half-done knock and forgets it.
func (e *Engine) drop(n *pending, why Reason) {
	e.verdicts = append(e.verdicts, e.verdict(n, n.furthest(), why))
	e.table.remove(n)
}

func (e *Engine) verdict(n *pending, a *attempt, why Reason) Verdict {
	v := Verdict{
		Time:   e.at,
		Access: n.access,
		Source: n.source,
		Reason: why,
		Step:   bits.OnesCount32(a.seen),
	}
	if seen := a.seen & e.rules[n.access].syns; seen != 0 {
		v.OS = a.marks[bits.Len32(seen)-1].os
	}
	return v
}

// Adopt takes over the half-done knocks of an engine that this one replaces,
// for the accesses that both have with the same sequence. The old engine must
// not be used afterwards. Marks hold labels by number: where the databases
// number them otherwise, knocks that require an operating system are left, and
// the others forget what they knew of theirs. The youngest knocks are taken
// over where there is no room for all.
func (e *Engine) Adopt(old *Engine) {
	e.epoch, e.trips = old.epoch, old.trips
	sameLabels := slices.Equal(labels(e.db), labels(old.db))
	same := make([]int, len(old.rules))
	for i, r := range old.rules {
		same[i] = slices.IndexFunc(e.rules, r.sameKnock)
		if to := same[i]; to >= 0 && !sameLabels && (r.allowed != nil || e.rules[to].allowed != nil) {
			same[i] = -1
		}
	}
	for l := old.table.ages.first; l != nil; l = l.next {
		to := same[l.of.access]
		if to < 0 {
			continue
		}
		if e.table.full() {
			e.table.remove(e.table.oldest())
		}
		if !sameLabels {
			l.of.forgetSystems()
		}
		e.table.copy(l.of, to)
	}
}

// labels are those of a database, none for no database.
func labels(db *p0f.Database) []p0f.Label {
	if db == nil {
		return nil
	}
	return db.Labels()
}
