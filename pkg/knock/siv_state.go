package knock

import (
	"math"
	"math/bits"

	"nftknock/pkg/seal"
)

// maxLanes is the number of bytes of the longest SIV message.
const maxLanes = seal.SIVLen6

// sivState is what has come from one source within the time of a knock. Its
// bitmaps have a bit per lane, the lowest for the first.
type sivState struct {
	// values are the two newest of each lane, the newest first.
	values [maxLanes][2]sivValue
	// filled are the lanes that have a value, touched those that a packet has
	// come to since the last burst was complete.
	filled, touched uint64
	first           int64 // no value came before it
	bursts          int   // complete ones since the last token
	tokens          recentTokens
	noKey           instant // when a verdict last said why nothing opens it
}

// sivValue is the byte that a packet carried.
type sivValue struct {
	stamp
	value byte
	set   bool
}

// dropOlder removes the values that came before a time. Where a lane is empty
// then, the bursts before were part of another knock.
func (s *sivState) dropOlder(before int64) {
	if s.filled == 0 || s.first >= before {
		return
	}
	s.first = math.MaxInt64
	// lanes &= lanes - 1 clears the lowest bit, so that the loop visits each
	// filled lane once.
	for lanes := s.filled; lanes != 0; lanes &= lanes - 1 {
		i := bits.TrailingZeros64(lanes)
		newest, older := &s.values[i][0], &s.values[i][1]
		if newest.at < before {
			newest.set, older.set = false, false
			s.filled &^= 1 << i
			s.touched &^= 1 << i
			s.bursts = 0
			continue
		}
		older.set = older.set && older.at >= before
		s.first = min(s.first, newest.at)
		if older.set {
			s.first = min(s.first, older.at)
		}
	}
}

// put keeps a value and reports whether it changed what is there. The same value
// from another port may be another client's, and is kept beside the first.
func (s *sivState) put(lane int, v sivValue) bool {
	newest, older := &s.values[lane][0], &s.values[lane][1]
	if s.filled == 0 {
		s.first = v.at
	}
	bit := uint64(1) << lane
	s.filled |= bit
	s.touched |= bit
	// A repetition of the newest value makes it younger, and leaves the older one.
	if newest.set && newest.value == v.value && newest.port == v.port {
		*newest = v
		return false
	}
	*older = *newest
	*newest = v
	return true
}

// has reports whether the lanes of a message of n bytes, the lowest n bits, are all
// in a set.
func has(set uint64, n int) bool { return set&(1<<n-1) == 1<<n-1 }

// choice is one value of each lane: bit i is set where the older one is meant.
type choice = uint64

// choiceByPort chooses the values that came from a port. It is not ok if some lane has
// none of that port, nor if they are the newest of all lanes.
func (s *sivState) choiceByPort(port uint16, length int) (c choice, ok bool) {
	for i := range length {
		switch v := &s.values[i]; {
		case v[0].port == port:
		case v[1].set && v[1].port == port:
			c |= 1 << i
		default:
			return 0, false
		}
	}
	return c, c != 0
}

// contested returns the lanes whose older value is another.
func (s *sivState) contested(length int) (lanes uint64) {
	for i := range length {
		if v := &s.values[i]; v[1].set && v[1].value != v[0].value {
			lanes |= 1 << i
		}
	}
	return lanes
}

// sinceToken returns the lanes that a value has come to after the last token and its
// repetitions, and in how many of them another had come before it. So a knock that
// no key opens gets its verdict although one before it had a key.
func (s *sivState) sinceToken() (lanes uint64, contested int) {
	for i := range s.values {
		newest, older := &s.values[i][0], &s.values[i][1]
		if !newest.set || s.tokens.mayRepeat(newest.at) {
			continue
		}
		lanes |= 1 << i
		if older.set && older.value != newest.value && !s.tokens.mayRepeat(older.at) {
			contested++
		}
	}
	return lanes, contested
}

// assemble puts a choice of values together, as many bytes as there is room for.
func (s *sivState) assemble(c choice, message []byte) {
	for i := range message {
		message[i] = s.values[i][c>>i&1].value // bit i of c is the index
	}
}

// oldest returns when the first packet of a choice came.
func (s *sivState) oldest(c choice, length int) int64 {
	first := int64(math.MaxInt64)
	for i := range length {
		first = min(first, s.values[i][c>>i&1].at)
	}
	return first
}

// forgetSystems clears all fingerprints.
func (s *sivState) forgetSystems() {
	for i := range s.values {
		for j := range s.values[i] {
			s.values[i][j].os = noSystem
		}
	}
}
