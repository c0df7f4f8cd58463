package knock

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Shared is a sequence of packets that both sides know.
//
// Each element has one slot per source and access. An element may arrive before
// its predecessor by up to Reorder, neighbours keep their intervals, and all
// arrive Within. The repetition of an element already seen changes nothing, and that
// of a knock that was complete or met a tripwire begins no other: for 90 s no packet
// with its numbers counts. What comes complete within five seconds of a complete one
// may be a second round of it: see Verdict.Again.
// A knock port out of order or a tripwire voids the source's half-done knock,
// and the first element begins a new one. Packets to any other port change
// nothing.
type Shared struct {
	Sequence []port.Range // MinSequence to MaxSequence

	// MinInterval and MaxInterval bound the time between neighbours, Within
	// the time from first to last. A MaxInterval of 0 sets no bound of its
	// own.
	MinInterval, MaxInterval, Within time.Duration
	// Reorder is how much earlier than its predecessor an element may
	// arrive. It has no effect where MinInterval is positive.
	Reorder time.Duration
}

// The lengths a shared sequence may have. The maximum is what the bitmaps of
// positions have room for.
const (
	MinSequence = 2
	MaxSequence = 32
)

// Ports returns the elements that have a port, in order.
func (s Shared) Ports() []port.Range {
	var ranges []port.Range
	for _, r := range s.Sequence {
		if r != port.Echo {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

func (s Shared) join(e *Engine, r *rule) error {
	q, err := newSharedAccess(r, s)
	if err != nil {
		return err
	}
	e.shared.add(q)
	return nil
}

// sharedAccess is an access with a Shared and what is computed once from it. Sets
// of positions of the sequence are bitmaps: bit i stands for Sequence[i].
type sharedAccess struct {
	*rule
	Shared
	all  uint32   // all positions
	same []uint32 // same[i]: the positions that hold the same element as i
	syns uint32   // the positions that are TCP

	min, max, within, reorder int64 // nanoseconds
}

func newSharedAccess(r *rule, s Shared) (*sharedAccess, error) {
	n := len(s.Sequence)
	switch {
	case n < MinSequence || n > MaxSequence:
		return nil, fmt.Errorf("%d elements in the sequence, want %d to %d", n, MinSequence, MaxSequence)
	case s.Within <= 0:
		return nil, errors.New("no time to knock within")
	}
	q := &sharedAccess{
		rule:    r,
		Shared:  s,
		all:     1<<n - 1, // for 32, 1<<32 overflows to 0 before 1 is subtracted
		same:    make([]uint32, n),
		min:     int64(s.MinInterval),
		max:     int64(s.MaxInterval),
		within:  int64(s.Within),
		reorder: int64(s.Reorder),
	}
	for i, e := range s.Sequence {
		if e.Protocol == packet.TCP {
			q.syns |= 1 << i
		}
		for j, other := range s.Sequence {
			if e == other {
				q.same[i] |= 1 << j
			}
		}
	}
	return q, nil
}

// checkInterval checks the time between two neighbours.
func (q *sharedAccess) checkInterval(d int64) Reason {
	switch {
	case q.min > 0 && d < q.min:
		return TooFast
	case q.max > 0 && d > q.max:
		return TooSlow
	}
	return None
}

// sameKnock reports whether half a knock for q is half a knock for other.
func (q *sharedAccess) sameKnock(other *sharedAccess) bool {
	return q.Name == other.Name && slices.Equal(q.Sequence, other.Sequence)
}

// sharedFamily recognises shared sequences. Each access is a group of its own.
type sharedFamily struct {
	tracker[sharedState]
	list    []*sharedAccess
	roles   map[port.Range]*role
	trips   *trips
	guards  guards
	room    int // of the table
	longest int // elements of the longest sequence
}

// role is what packets to one port, or echo requests, are.
type role struct {
	tripwire bool
	steps    []step
}

// step is where an element stands in the sequence of an access.
type step struct {
	access    int // index in sharedFamily.list
	positions uint32
}

func newSharedFamily(e *Engine, room int) *sharedFamily {
	f := &sharedFamily{roles: make(map[port.Range]*role), trips: newTrips(), room: room}
	f.engine, f.ended = e, f.verdictOnEnd
	return f
}

// addTripwires makes ports tripwires.
func (f *sharedFamily) addTripwires(ports []port.Range) {
	for _, r := range ports {
		f.role(r).tripwire = true
	}
}

// prepare makes the tables, whose marks and tags have room for the longest sequence.
func (f *sharedFamily) prepare() {
	longest := f.longest
	f.guards = newGuards(max(f.room/16, 16), longest)
	f.table = newTable(f.room, func(s *sharedState) {
		// One allocation for all attempts. The third index bounds the capacity of
		// each, so that they cannot reach into each other's marks.
		marks := make([]mark, len(s)*longest)
		for i := range s {
			s[i].marks, marks = marks[:longest:longest], marks[longest:]
		}
	}, (*sharedState).reset)
}

func (f *sharedFamily) add(q *sharedAccess) {
	f.longest = max(f.longest, len(q.Sequence))
	f.patience = max(f.patience, q.within)
	for j, el := range q.Sequence {
		// 1<<j - 1 are the positions before j: an element that occurs several
		// times is added once, with all its positions.
		if q.same[j]&(1<<j-1) == 0 {
			role := f.role(el)
			role.steps = append(role.steps, step{access: len(f.list), positions: q.same[j]})
		}
	}
	f.list = append(f.list, q)
}

// role returns the role of an element, a new one if it has none.
func (f *sharedFamily) role(el port.Range) *role {
	r := f.roles[el]
	if r == nil {
		r = new(role)
		f.roles[el] = r
	}
	return r
}

// take handles a packet and reports whether it went to a knock port or tripwire.
func (f *sharedFamily) take(a *arrival) bool {
	role := f.roles[a.element]
	if role == nil {
		return false
	}
	if role.tripwire {
		f.trip(a)
		return true
	}
	for _, step := range role.steps {
		if !f.list[step.access].admits(a.packet.Src) || f.guarded(a, step) {
			continue
		}
		if n := f.table.find(a.key(), step.access); n != nil {
			f.advance(a, n, step.positions)
		} else {
			// It may be an element that overtook the first.
			f.begin(a, step.access).state.begin(step.positions, a.mark())
		}
	}
	return true
}

// guarded handles a packet that may repeat one of a knock that got its verdict, and
// reports whether it does.
func (f *sharedFamily) guarded(a *arrival, s step) bool {
	n := f.guards.of(a, s.access)
	switch {
	case n == nil:
		return false
	case n.state.has(s.positions, a.tag()):
		return true
	case n.state.complete.within(secondRound, a.now):
		// Its retransmissions may come later.
		n.state.add(bits.TrailingZeros32(s.positions), a.tag())
		f.nextRound(a, n, s.positions)
		return true
	}
	return false
}

// nextRound takes what came after a complete knock one packet further. Only if it is
// complete, too, and nothing speaks against it, there is a verdict.
func (f *sharedFamily) nextRound(a *arrival, n *pending[guardState], positions uint32) {
	q, t, m := f.list[n.group], &n.state.round, a.mark()
	// A first element that comes again begins anew: repetitions were sorted out by
	// their tags.
	if t.seen == 0 || positions&first != 0 && positions&^t.seen == 0 {
		t.begin(positions, m)
		return
	}
	switch result, _ := t.feed(q, positions, m); result {
	case completed:
		v := f.judge(a, n.group, n.source, t)
		if v.Granted() && !n.state.complete.within(soonest, a.now) {
			v.Again = true
			a.add(v)
		}
		t.seen = 0
	case voided:
		t.begin(positions, m)
	}
}

// advance takes a source's half-done knock one packet further.
//
// Where the first element comes again, it may be a repetition, or the sender may
// have begun again; nothing distinguishes the two yet. So a knock has two attempts:
// the older continues as if it were the one, the younger begins as if it were the
// other, and whichever completes first counts.
func (f *sharedFamily) advance(a *arrival, n *pending[sharedState], positions uint32) {
	q, m := f.list[n.group], a.mark()
	overdue := a.now-n.since > q.within
	ongoing := false
	var refusal Verdict
	for i := range n.state {
		t := &n.state[i]
		if t.seen == 0 {
			continue
		}
		switch result, reason := t.feed(q, positions, m); result {
		case completed:
			f.complete(a, n, t)
			return
		case voided:
			// If both are void, the verdict is on the one that came further.
			if v := q.verdict(n.source, t, reason); v.Step >= refusal.Step {
				refusal = v
			}
			t.seen = 0
		case unfinished:
			ongoing = true
		}
	}
	if !ongoing {
		a.add(refusal)
	}
	switch {
	case positions&first != 0, overdue:
		// After an overdue knock, which is voided now, any element may be one of
		// the next that overtook the first.
		n.state.begin(positions, m)
		f.table.renew(n, a.now)
	case !ongoing:
		f.table.remove(n)
	}
}

// complete adds the verdict on a knock whose elements have all arrived by the
// rules, and ends it.
func (f *sharedFamily) complete(a *arrival, n *pending[sharedState], t *attempt) {
	a.add(f.judge(a, n.group, n.source, t))
	f.guards.add(a.now, n, true)
	f.table.remove(n)
}

// judge returns the verdict on a complete attempt of a source at an access.
func (f *sharedFamily) judge(a *arrival, access int, source netip.Addr, t *attempt) Verdict {
	q := f.list[access]
	v := q.verdict(source, t, None)
	// A knock faster than reorder may have come in any order: it must be as far from
	// a tripwire as one that took reorder.
	duration := max(a.now-t.start, q.reorder)
	switch {
	case q.expired(a.time):
		v.Reason = Expired
	case f.trips.recently(sourceKey(source), t.start, duration):
		v.Reason = Scan
	case q.allowed != nil:
		for i := range q.Sequence {
			if q.syns&(1<<i) != 0 && !q.satisfiedBy(t.marks[i].os) {
				v.OS, v.Reason = t.marks[i].os, WrongOS
				break
			}
		}
	}
	return v
}

// trip records the touch of a tripwire and voids the half-done knocks of its
// source. Those whose time is over end as they would have without it.
func (f *sharedFamily) trip(a *arrival) {
	k := a.key()
	f.trips.record(k, a.now)
	// end takes the first knock of the source out, so that another is first then.
	for n := f.table.knocks.first(k); n != nil; n = f.table.knocks.first(k) {
		why := Tripwire
		if a.now-n.since > f.list[n.group].within {
			why = Incomplete
		} else {
			f.guards.add(a.now, n, false)
		}
		f.end(&a.moment, n, why)
	}
}

func (f *sharedFamily) expire(m *moment, n int) {
	f.tracker.expire(m, n)
	f.guards.expire(m.now, n)
}

// verdictOnEnd adds the verdict on a half-done knock that is given up.
func (f *sharedFamily) verdictOnEnd(m *moment, n *pending[sharedState], why Reason) {
	m.add(f.list[n.group].verdict(n.source, n.state.furthest(), why))
}

func (q *sharedAccess) verdict(source netip.Addr, t *attempt, why Reason) Verdict {
	v := Verdict{Access: q.index, Source: source, Reason: why, Step: bits.OnesCount32(t.seen)}
	if seen := t.seen & q.syns; seen != 0 {
		v.OS = t.marks[bits.Len32(seen)-1].os // the highest bit: the last SYN
	}
	return v
}

func (f *sharedFamily) adopt(from family, sameLabels bool) {
	old := from.(*sharedFamily)
	f.trips = old.trips
	f.guards.adoptFrom(old.guards, func(i int) int { return slices.IndexFunc(f.list, old.list[i].sameKnock) })
	// Fingerprints of other labels decide nothing any more, so a knock that needs
	// them is left.
	same := make([]int, len(old.list))
	for i, q := range old.list {
		same[i] = slices.IndexFunc(f.list, q.sameKnock)
		if to := same[i]; to >= 0 && !sameLabels && (q.allowed != nil || f.list[to].allowed != nil) {
			same[i] = -1
		}
	}
	f.adoptFrom(&old.tracker, func(i int) int { return same[i] }, func(to, s *sharedState) {
		if !sameLabels {
			s.forgetSystems()
		}
		to.copy(s)
	})
}
