package knock

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Shared is a sequence of packets that both sides know.
//
// Per source and access there is one slot an element. An element may arrive
// before its predecessor by up to Reorder, neighbours keep their intervals, and
// all arrive Within. The repetition of an element already seen changes nothing.
// A knock port out of order or a tripwire voids the source's half-done knock,
// and the first element begins it anew. Packets to any other port are nothing
// to the engine.
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

// The lengths a shared sequence may have.
const (
	MinSequence = 2
	MaxSequence = 32
)

// Ports are the elements that have a port, in order.
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
	q, err := newSequence(r, s)
	if err != nil {
		return err
	}
	e.shared.add(q)
	return nil
}

// sequence is the shared sequence of an access as the hot path wants it.
type sequence struct {
	*rule
	Shared
	all  uint32   // the bits of all elements
	same []uint32 // same[i]: the positions that hold the same element as i
	syns uint32   // the positions that are TCP

	min, max, within, reorder int64 // nanoseconds
}

func newSequence(r *rule, s Shared) (*sequence, error) {
	n := len(s.Sequence)
	switch {
	case n < MinSequence || n > MaxSequence:
		return nil, fmt.Errorf("%d elements in the sequence, want %d to %d", n, MinSequence, MaxSequence)
	case s.Within <= 0:
		return nil, errors.New("no time to knock within")
	}
	q := &sequence{
		rule:    r,
		Shared:  s,
		all:     1<<n - 1,
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

func (q *sequence) interval(d int64) Reason {
	switch {
	case q.min > 0 && d < q.min:
		return TooFast
	case q.max > 0 && d > q.max:
		return TooSlow
	}
	return None
}

// sameKnock reports whether half a knock for q is half a knock for other.
func (q *sequence) sameKnock(other *sequence) bool {
	return q.Name == other.Name && slices.Equal(q.Sequence, other.Sequence)
}

// sequences watches for shared sequences.
type sequences struct {
	tracker[attempts]
	list    []*sequence
	roles   map[port.Range]*role
	trips   *trips
	room    int // of the table
	longest int // elements of the longest sequence
}

// role is what one port means.
type role struct {
	tripwire bool
	steps    []step
}

// step is the place of an element in an access's sequence.
type step struct {
	sequence  int // in sequences.list
	positions uint32
}

func newSequences(e *Engine, room int) *sequences {
	s := &sequences{roles: make(map[port.Range]*role), trips: newTrips(), room: room}
	s.engine, s.drop = e, s.refuse
	return s
}

// lay makes ports tripwires.
func (s *sequences) lay(tripwires []port.Range) {
	for _, w := range tripwires {
		s.role(w).tripwire = true
	}
}

// prepare makes the table. Each half-done knock has marks for the longest sequence.
func (s *sequences) prepare() {
	longest := s.longest
	s.table = newTable(s.room, func(a *attempts) {
		marks := make([]mark, len(a)*longest)
		for i := range a {
			a[i].marks, marks = marks[:longest:longest], marks[longest:]
		}
	}, func(a *attempts) {
		for i := range a {
			a[i].seen = 0
		}
	})
}

func (s *sequences) add(q *sequence) {
	s.longest = max(s.longest, len(q.Sequence))
	s.patience = max(s.patience, q.within)
	for j, el := range q.Sequence {
		if q.same[j]&(1<<j-1) == 0 { // its first occurrence
			role := s.role(el)
			role.steps = append(role.steps, step{sequence: len(s.list), positions: q.same[j]})
		}
	}
	s.list = append(s.list, q)
}

func (s *sequences) role(el port.Range) *role {
	r := s.roles[el]
	if r == nil {
		r = new(role)
		s.roles[el] = r
	}
	return r
}

// take handles a packet and reports whether it means anything here.
func (s *sequences) take(el port.Range, p *packet.Packet, now int64) bool {
	role := s.roles[el]
	if role == nil {
		return false
	}
	k := sourceKey(p.Src)
	if role.tripwire {
		s.trip(k, now)
		return true
	}
	m := mark{at: now, os: s.engine.fingerprint(p)}
	for _, step := range role.steps {
		q := s.list[step.sequence]
		if !q.admits(p.Src) {
			continue
		}
		if n := s.table.find(k, step.sequence); n != nil {
			s.advance(q, n, step.positions, m)
		} else {
			// It may be an element that hurried ahead of the first.
			s.begin(p.Src, step.sequence, now).state[0].begin(step.positions, m)
		}
	}
	return true
}

// advance takes a source's half-done knock one packet further.
//
// Where the first element comes again, it may be a repetition, or the knocker
// may have begun anew; nobody can tell yet. So a knock has two attempts: the
// older goes on as if it were the one, the younger begins as if it were the
// other, and whichever completes first counts.
func (s *sequences) advance(q *sequence, n *pending[attempts], positions uint32, m mark) {
	alive := false
	var refusal Verdict
	for i := range n.state {
		a := &n.state[i]
		if a.seen == 0 {
			continue
		}
		switch out, reason := a.feed(q, positions, m); out {
		case completed:
			s.complete(q, n, a, m.at)
			return
		case voided:
			refusal = s.verdict(n, a, reason)
			a.seen = 0
		case ongoing:
			alive = true
		}
	}
	if !alive {
		s.engine.say(refusal)
	}
	switch {
	case positions&first != 0:
		n.state.begin(positions, m)
		s.table.renew(n, m.at)
	case !alive:
		s.table.remove(n)
	}
}

// complete judges a knock whose elements have all arrived as they should.
func (s *sequences) complete(q *sequence, n *pending[attempts], a *attempt, now int64) {
	v := s.verdict(n, a, None)
	duration := max(now-a.start, q.reorder)
	switch {
	case q.expired(s.engine.at):
		v.Reason = Expired
	case s.trips.recently(n.key, a.start, duration):
		v.Reason = Scan
	case q.allowed != nil:
		for i := range q.Sequence {
			if q.syns&(1<<i) != 0 && !q.satisfiedBy(a.marks[i].os) {
				v.OS, v.Reason = a.marks[i].os, WrongOS
				break
			}
		}
	}
	s.engine.say(v)
	s.table.remove(n)
}

// trip voids everything the source has begun.
func (s *sequences) trip(k key, now int64) {
	s.trips.record(k, now)
	for n := s.table.knocks.first(k); n != nil; n = s.table.knocks.first(k) {
		s.end(n, Tripwire)
	}
}

// refuse says why a half-done knock is given up.
func (s *sequences) refuse(n *pending[attempts], why Reason) {
	s.engine.say(s.verdict(n, n.state.furthest(), why))
}

func (s *sequences) verdict(n *pending[attempts], a *attempt, why Reason) Verdict {
	q := s.list[n.group]
	v := Verdict{Access: q.index, Source: n.source, Reason: why, Step: bits.OnesCount32(a.seen)}
	if seen := a.seen & q.syns; seen != 0 {
		v.OS = a.marks[bits.Len32(seen)-1].os
	}
	return v
}

func (s *sequences) adopt(from family, sameLabels bool) {
	old := from.(*sequences)
	s.trips = old.trips
	same := make([]int, len(old.list))
	for i, q := range old.list {
		same[i] = slices.IndexFunc(s.list, q.sameKnock)
		if to := same[i]; to >= 0 && !sameLabels && (q.allowed != nil || s.list[to].allowed != nil) {
			same[i] = -1
		}
	}
	s.adoptFrom(&old.tracker, func(i int) int { return same[i] }, func(to, a *attempts) {
		if !sameLabels {
			a.forgetSystems()
		}
		to.copy(a)
	})
}
