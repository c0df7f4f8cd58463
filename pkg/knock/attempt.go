package knock

import (
	"math/bits"

	"nftknock/pkg/p0f"
)

// mark is the arrival of one element.
type mark struct {
	at int64 // nanoseconds on the engine's clock
	os p0f.Match
}

// attempt is one source's way through a sequence.
type attempt struct {
	seen  uint32 // bit i: element i has arrived
	start int64  // arrival of the element that came first
	marks []mark // one an element; marks[i] holds if bit i of seen does
}

// outcome is what one packet did to an attempt.
type outcome uint8

const (
	ongoing outcome = iota
	completed
	voided
)

// first is the position bit of a sequence's first element.
const first = 1

// begin makes a packet that is one of the elements in positions the only one
// of the attempt.
func (a *attempt) begin(positions uint32, m mark) {
	a.seen = 0
	a.put(bits.TrailingZeros32(positions), m)
}

// frontier is the element expected next.
func (a *attempt) frontier() int { return bits.TrailingZeros32(^a.seen) }

func (a *attempt) put(i int, m mark) {
	if a.seen == 0 {
		a.start = m.at
	}
	a.seen |= 1 << i
	a.marks[i] = m
}

// feed takes a packet that is one of the elements in positions. It keeps to
// the rules of a sequence: an element may precede its predecessor by up to reorder,
// neighbours keep their distance, and whatever may be the repetition of an
// element already seen does no harm.
func (a *attempt) feed(q *sequence, positions uint32, m mark) (outcome, Reason) {
	if m.at-a.start > q.within {
		if positions&first != 0 {
			return voided, Incomplete // and a new knock begins
		}
		return voided, TooSlow
	}
	if !a.dropLate(q, m.at) {
		return voided, OutOfOrder
	}
	free := positions &^ a.seen
	if free == 0 {
		return ongoing, None
	}
	i := bits.TrailingZeros32(free)
	repeat := positions&a.seen != 0
	if reason := a.timing(q, i, m.at); reason != None {
		if repeat && reason == TooFast {
			return ongoing, None
		}
		return voided, reason
	}
	a.put(i, m)
	if a.seen == q.all {
		return completed, None
	}
	return ongoing, None
}

// dropLate looks at the elements that came before their predecessor and
// whose predecessor is still missing now, longer than reorder. One that may
// have been the repetition of an earlier element is forgotten; any other
// ends the attempt.
func (a *attempt) dropLate(q *sequence, now int64) (ok bool) {
	early := a.seen &^ (1<<a.frontier() - 1)
	for ; early != 0; early &= early - 1 {
		j := bits.TrailingZeros32(early)
		predecessor := uint32(1) << (j - 1)
		if a.seen&predecessor != 0 || now-a.marks[j].at <= q.reorder {
			continue
		}
		if a.seen&q.same[j]&(1<<j-1) == 0 {
			return false
		}
		a.seen &^= 1 << j
	}
	return true
}

// timing checks the distances that element i would have to its neighbours.
func (a *attempt) timing(q *sequence, i int, at int64) Reason {
	if i > 0 && a.seen&(1<<(i-1)) != 0 {
		if reason := q.interval(at - a.marks[i-1].at); reason != None {
			return reason
		}
	}
	if a.seen&(1<<(i+1)) != 0 {
		return q.interval(a.marks[i+1].at - at)
	}
	return None
}

// attempts are the ways through one sequence that a source may be on.
type attempts [2]attempt

// begin starts an attempt with the first element: in place of the younger
// one if the older goes on.
func (k *attempts) begin(positions uint32, m mark) {
	older, younger := &k[0], &k[1]
	switch {
	case older.seen == 0 && younger.seen == 0:
		older.begin(positions, m)
		return
	case older.seen == 0:
		*older, *younger = *younger, *older
	}
	younger.begin(positions, m)
}

// furthest is the attempt with the most elements.
func (k *attempts) furthest() *attempt {
	older, younger := &k[0], &k[1]
	if bits.OnesCount32(younger.seen) > bits.OnesCount32(older.seen) {
		return younger
	}
	return older
}

// forgetSystems makes the fingerprints of all elements those of no system.
func (k *attempts) forgetSystems() {
	for _, a := range k {
		for i := range a.marks {
			a.marks[i].os = p0f.Match{}
		}
	}
}

// copy makes k what other is.
func (k *attempts) copy(other *attempts) {
	for i := range k {
		to, a := &k[i], &other[i]
		to.seen, to.start = a.seen, a.start
		copy(to.marks, a.marks)
	}
}
