package knock

import (
	"slices"
	"time"

	"nftknock/pkg/totp"
)

// totpState is what has come from one source. Packets of several attempts may be
// there at the same time: some of one were lost, or come late.
type totpState struct {
	// lanes are the two newest values of each lane, the newest first, of which
	// no right code was made.
	lanes [totp.Lanes][2]totpPair
	// spent are the packets of the last two right codes, a ring. Their repetitions
	// are of no other code.
	spent     [spentCodes][totp.Lanes]totpSpent
	codes     int // right ones
	key       int // 1 more than the index of the access of the last, or 0
	tokens    recentTokens
	last      int64 // when the last packet came
	step      int64 // of the counts
	pairs     int   // that count as guesses: every four are a wrong code
	uncounted int   // of these, those since the last wrong code
	novel     bool  // some of these are not of that code once more
	looks     int   // choices that may still be looked up
	misses    totpMisses
	turn      uint8 // changes with the step and after a wrong code
	wrong     totpWrong
}

// spentCodes is how many right codes of a source are remembered.
const spentCodes = 2

// totpPair is a value of a lane.
type totpPair struct {
	part
	set     bool
	counted uint8 // how often it was counted as a guess in this step
	turn    uint8 // when it was counted last
}

// totpSpent is what remains of a packet of a right code.
type totpSpent struct {
	serial uint32
	port   uint16
	value  byte
	syn    bool
}

// totpWrong is the last wrong code. It has no verdict yet while it waits: it may be a
// mixture of what two attempts left.
type totpWrong struct {
	values [totp.Lanes]byte
	at     int64 // when it was complete
	set    bool
	reason Reason
	waits  bool
	link   link[pending[totpState]]
}

// missesPerCode is how many wrong choices may be looked up for each wrong code that stays
// counted after a right code took others back. It is as many as four pairs of a wrong code
// and four of a right one make possible in a step, so that who mistypes a code and then
// sends the right one has tried one wrong code and not two.
const missesPerCode = looksPerStep + 2*totp.Lanes*looksPerPair

// totpMisses are the choices of a step that were no right code. Without them, pairs that a
// right code takes back would be guesses that cost nothing.
type totpMisses struct {
	codes [missesPerCode]uint32 // the last of them
	held  int                   // of codes
	lost  int                   // older ones
}

// add keeps a code, unless it is there.
func (m *totpMisses) add(code uint32) {
	if slices.Contains(m.codes[:m.held], code) {
		return
	}
	if m.held == len(m.codes) {
		copy(m.codes[:], m.codes[1:])
		m.held--
		m.lost++
	}
	m.codes[m.held] = code
	m.held++
}

// totpCodes are right codes, in pairs of digits.
type totpCodes [knownSteps + spentCodes][totp.Lanes]byte

// mixes reports whether a code is one of the right ones, or has its pairs from two of
// them, as packets that were lost or came late make one. A mixture of more would be
// another way to guess.
func (t *totpCodes) mixes(code uint32) bool {
	pairs := totp.Pairs(code)
	for i := range t {
		for j := range t[:i+1] {
			n := 0
			for n < totp.Lanes && (int(t[i][n]) == pairs[n] || int(t[j][n]) == pairs[n]) {
				n++
			}
			if n == totp.Lanes {
				return true
			}
		}
	}
	return false
}

// drop forgets the mixtures of right codes.
func (m *totpMisses) drop(right *totpCodes) {
	held := m.codes[:m.held]
	m.held = len(slices.DeleteFunc(held, right.mixes))
}

// wrongCodes returns how many wrong codes of the step count if some pairs are taken back and
// some misses stay.
func (s *totpState) wrongCodes(back int, stay *totpMisses) int {
	// Pairs that are taken back may have made more misses possible than those that stay.
	byMisses := (stay.held + stay.lost + missesPerCode - 1) / missesPerCode // rounded up
	return max((s.pairs-back)/totp.Lanes, byMisses)
}

// holds reports whether a pair may be one of the wrong code once more.
func (w *totpWrong) holds(lane int, value byte, now int64) bool {
	return w.set && w.values[lane] == value && now-w.at <= repeatTime
}

// settleTime is how long a source must be silent before a wrong code gets its
// verdict. Lost SYNs are sent again after 1 s, 3 s and 7 s (RFC 6298 with a first
// timeout of 1 s), and their code may be right.
const settleTime = int64(8 * time.Second)

// overtakeTime is how old the values of a choice may be if not all are the newest: those
// that are newer are of another attempt, whose packets came late or at the same time.
const overtakeTime = int64(15 * time.Second)

// looksPerStep and looksPerPair are how many choices may be looked up in a step, and
// how many more for each pair that counts in it. So an attacker has more guesses than
// wrong codes are counted, but not many: four per wrong code and seven more, and no
// more than eight for the first. maxLooks bounds what may be saved up: all the choices
// that one pair can make possible.
const (
	looksPerStep = 4
	looksPerPair = 1
	maxLooks     = 1 << (totp.Lanes - 1)
)

// begin starts counting for a new step. Pairs from before it may make a code with the
// first one of it, so three of them stay counted.
func (s *totpState) begin(step int64) {
	if s.step == step {
		return
	}
	s.step, s.pairs = step, 0
	s.turn++
	s.looks = looksPerStep
	s.misses = totpMisses{}
	for i := range s.lanes {
		for j := range s.lanes[i] {
			p := &s.lanes[i][j]
			p.counted = 0
			if p.set && s.pairs < totp.Lanes-1 {
				p.counted = 1
				s.pairs++
			}
		}
	}
}

// dropOlder removes the values that came before a time.
func (s *totpState) dropOlder(before int64) {
	for i := range s.lanes {
		newest, older := &s.lanes[i][0], &s.lanes[i][1]
		older.set = older.set && older.at >= before
		if newest.set && newest.at < before {
			*newest, older.set = *older, false
		}
	}
}

// put keeps a pair as the newest of its lane unless its packet is a repetition. It
// reports whether there are choices now that were not looked at, and whether the pair
// is a new guess: a value that has not come since the last wrong code, nor in this step.
func (s *totpState) put(lane int, p part) (changed, fresh bool) {
	newest, older := &s.lanes[lane][0], &s.lanes[lane][1]
	known, again := s.usedIn(lane, &p)
	if again || newest.set && p.repeats(&newest.part) || older.set && p.repeats(&older.part) {
		return false, false
	}
	held := newest.set && newest.value == p.value || older.set && older.value == p.value
	pair := totpPair{part: p, set: true, turn: s.turn}
	switch {
	case newest.set && newest.value == p.value:
		fresh, pair.counted = newest.turn != s.turn, newest.counted
	case older.set && older.value == p.value:
		fresh, pair.counted = older.turn != s.turn, older.counted
		*older = *newest
	default:
		// A right code that was used is no secret any more.
		fresh = !known
		*older = *newest
	}
	if fresh {
		pair.counted++
	}
	*newest = pair
	return fresh || !held, fresh
}

// usedIn reports whether a pair has the value of a right code before it, and whether it
// is a repetition of its packet.
func (s *totpState) usedIn(lane int, p *part) (value, again bool) {
	for i := range min(s.codes, len(s.spent)) {
		u := s.spent[i][lane]
		if u.value == p.value {
			value = true
			again = again || p.serial != 0 && u == totpSpent{p.serial, p.port, p.value, p.syn}
		}
	}
	return value, again
}

// complete reports whether all lanes have a value.
func (s *totpState) complete() bool {
	for i := range s.lanes {
		if !s.lanes[i][0].set {
			return false
		}
	}
	return true
}

// contested returns the lanes whose older value came after a time.
func (s *totpState) contested(after int64) (lanes choice) {
	for i := range s.lanes {
		if older := &s.lanes[i][1]; older.set && older.at > after {
			lanes |= 1 << i
		}
	}
	return lanes
}

// pair returns the one that a choice has in a lane.
func (s *totpState) pair(c choice, lane int) *totpPair { return &s.lanes[lane][c>>lane&1] }

// code returns the code that a choice makes.
func (s *totpState) code(c choice) uint32 {
	var values [totp.Lanes]int
	for i := range values {
		values[i] = int(s.pair(c, i).value)
	}
	return totp.Join(values)
}

// oldest returns when the first packet of a choice came.
func (s *totpState) oldest(c choice) int64 {
	first := s.pair(c, 0).at
	for i := range s.lanes {
		first = min(first, s.pair(c, i).at)
	}
	return first
}

// spend takes the pairs of a choice out of the lanes, and returns how many of them
// had been counted.
func (s *totpState) spend(c choice) (counted int) {
	spent := &s.spent[s.codes%len(s.spent)]
	for i := range s.lanes {
		p := s.pair(c, i)
		counted += int(p.counted)
		spent[i] = totpSpent{p.serial, p.port, p.value, p.syn}
		if c>>i&1 == 0 {
			s.lanes[i][0] = s.lanes[i][1]
		}
		s.lanes[i][1] = totpPair{}
	}
	s.codes++
	return counted
}

// spentValues returns the values of a right code that is remembered.
func (s *totpState) spentValues(i int) (values [totp.Lanes]byte) {
	for lane := range s.spent[i] {
		values[lane] = s.spent[i][lane].value
	}
	return values
}

// forgetSystems clears all fingerprints.
func (s *totpState) forgetSystems() {
	for i := range s.lanes {
		for j := range s.lanes[i] {
			s.lanes[i][j].os = noSystem
		}
	}
}
