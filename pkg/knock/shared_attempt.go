package knock

import (
	"math/bits"

	"nftknock/pkg/p0f"
)

// mark is the arrival of one element.
type mark struct {
	at  int64 // on the engine's clock
	os  p0f.Match
	tag tag // fills what would be padding
}

func (a *arrival) mark() mark { return mark{a.now, a.fingerprint(), a.tag()} }

// attempt is how far one source has come in a sequence.
type attempt struct {
	seen  uint32 // a bitmap of positions: the elements that have arrived; 0 for no attempt
	start int64  // arrival of the element that came first
	marks []mark // by position; marks[i] is valid if bit i of seen is set
}

// result is what one packet did to an attempt.
type result uint8

const (
	unfinished result = iota
	completed
	voided
)

// first is the bitmap of a sequence's first position.
const first = 1

// begin makes a packet that is the element of some positions the only one of the
// attempt, in the first of them.
func (t *attempt) begin(positions uint32, m mark) {
	t.seen = 0
	t.put(bits.TrailingZeros32(positions), m)
}

// frontier returns the position of the element expected next.
func (t *attempt) frontier() int { return bits.TrailingZeros32(^t.seen) }

func (t *attempt) put(i int, m mark) {
	if t.seen == 0 {
		t.start = m.at
	}
	t.seen |= 1 << i
	t.marks[i] = m
}

// feed takes a packet that is the element of some positions, by the rules of
// Shared: an element may come before its predecessor by up to Reorder, neighbours
// keep their intervals, and what may be the repetition of an element already seen
// changes nothing. The reason is that of a voided attempt.
func (t *attempt) feed(q *sharedAccess, positions uint32, m mark) (result, Reason) {
	if m.at-t.start > q.within {
		if positions&first != 0 {
			return voided, Incomplete // and a new knock begins
		}
		return voided, TooSlow
	}
	if !t.dropLate(q, m.at) {
		return voided, OutOfOrder
	}
	free := positions &^ t.seen
	if free == 0 {
		return unfinished, None
	}
	// Of several positions the first that is free is meant, unless it comes so soon
	// that it may be a repetition of one that is seen.
	i := bits.TrailingZeros32(free)
	mayRepeat := positions&t.seen != 0
	if reason := t.timing(q, i, m.at); reason != None {
		if mayRepeat && reason == TooFast {
			return unfinished, None
		}
		return voided, reason
	}
	t.put(i, m)
	if t.seen == q.all {
		return completed, None
	}
	return unfinished, None
}

// dropLate looks at the elements that came before their predecessor and
// whose predecessor is still missing now, longer than reorder. One that may
// have been the repetition of an earlier element is removed; with any other it
// is not ok, and the attempt is void.
func (t *attempt) dropLate(q *sharedAccess, now int64) (ok bool) {
	early := t.seen &^ (1<<t.frontier() - 1) // beyond the first position not seen
	// early &= early - 1 clears the lowest bit: the loop visits each position once.
	for ; early != 0; early &= early - 1 {
		j := bits.TrailingZeros32(early)
		predecessor := uint32(1) << (j - 1)
		if t.seen&predecessor != 0 || now-t.marks[j].at <= q.reorder {
			continue
		}
		if t.seen&q.same[j]&(1<<j-1) == 0 { // not seen in any position before j
			return false
		}
		t.seen &^= 1 << j
	}
	return true
}

// timing checks the intervals that an element in position i would have to its
// neighbours.
func (t *attempt) timing(q *sharedAccess, i int, at int64) Reason {
	if i > 0 && t.seen&(1<<(i-1)) != 0 {
		if reason := q.checkInterval(at - t.marks[i-1].at); reason != None {
			return reason
		}
	}
	if t.seen&(1<<(i+1)) != 0 {
		return q.checkInterval(t.marks[i+1].at - at)
	}
	return None
}

// sharedState holds the attempts of a source at one sequence, the older first.
type sharedState [2]attempt

// reset ends both attempts. Their marks are no longer valid.
func (s *sharedState) reset() {
	for i := range s {
		s[i].seen = 0
	}
}

// begin starts an attempt with an element of some positions: in place of the
// younger one if the older continues.
func (s *sharedState) begin(positions uint32, m mark) {
	older, younger := &s[0], &s[1]
	switch {
	case older.seen == 0 && younger.seen == 0:
		older.begin(positions, m)
		return
	case older.seen == 0:
		*older, *younger = *younger, *older
	}
	younger.begin(positions, m)
}

// furthest returns the attempt with the most elements.
func (s *sharedState) furthest() *attempt {
	older, younger := &s[0], &s[1]
	if bits.OnesCount32(younger.seen) > bits.OnesCount32(older.seen) {
		return younger
	}
	return older
}

// forgetSystems clears all fingerprints.
func (s *sharedState) forgetSystems() {
	for _, t := range s {
		for i := range t.marks {
			t.marks[i].os = noSystem
		}
	}
}

// copy makes s what other is. Their marks stay in different memory.
func (s *sharedState) copy(other *sharedState) {
	for i := range s {
		to, from := &s[i], &other[i]
		to.seen, to.start = from.seen, from.start
		copy(to.marks, from.marks)
	}
}
