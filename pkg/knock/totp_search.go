package knock

import (
	"math"
	"math/bits"
	"time"

	"nftknock/pkg/totp"
)

// totpCode looks for a right code in what a source has sent.
type totpCode struct {
	moment *moment // when the last packet came; takes the verdicts
	family *totpFamily
	knock  *pending[totpState]
	lane   int // that the last packet came to
}

// search looks at the choices that hold the newest pair, the likely first, and
// reports whether one is a right code: the newest of all lanes, which are those of
// one attempt unless packets came late; the oldest, for the last packet of an
// attempt that another overtook; then mixtures.
func (c *totpCode) search() bool {
	both := c.knock.state.contested(c.moment.now-overtakeTime) &^ (1 << c.lane)
	if c.look(0) || both != 0 && c.lookRecent(both) {
		return true
	}
	for size := 1; size < bits.OnesCount64(both); size++ {
		// (o - 1) & both is the next smaller subset of the bits of both.
		for o := (both - 1) & both; o != 0; o = (o - 1) & both {
			if bits.OnesCount64(o) == size && c.lookRecent(o) {
				return true
			}
		}
	}
	return false
}

// lookRecent looks at a choice unless it holds a value that is too old for a mixture.
func (c *totpCode) lookRecent(o choice) bool {
	return c.knock.state.oldest(o) > c.moment.now-overtakeTime && c.look(o)
}

// look looks for the accesses whose code a choice is now, and adds the verdict. A
// code that is right is spent even where it opens nothing, or whoever saw it could
// use it.
func (c *totpCode) look(o choice) bool {
	g, s := c.family.list[c.knock.group], &c.knock.state
	if s.looks == 0 {
		return false
	}
	s.looks--
	code := s.code(o)
	if c.family.looked != nil {
		c.family.looked(code)
	}
	if s.tokens.begunBefore(uint64(code), s.oldest(o)) {
		left := c.guessed(s.key - 1)
		g.forgive(c.knock, s.spend(o), left)
		return true
	}
	out, key := finding{source: c.knock.source, step: totp.Lanes}, 0
	// One step of drift either way (RFC 6238, section 6), and the likeliest first.
	for _, st := range [...]int64{g.step, g.step - 1, g.step + 1} {
		codes := g.codes(st)
		for i, ok := codes.first[code]; ok && i >= 0; i = codes.next[i] {
			c.accept(int(i), st, o, &out)
			if out.verdict.Access == g.keys[i].index {
				key = int(i)
			}
		}
	}
	if !out.found {
		g.miss(c.knock, code)
		return false
	}
	c.succeed(o, key)
	c.moment.add(out.verdict)
	s.tokens.add(uint64(code), c.moment.now)
	return true
}

// accept adds what the access with an index grants of a choice that is its code of a
// step.
func (c *totpCode) accept(index int, step int64, o choice, out *finding) {
	g := c.family.list[c.knock.group]
	k, s, now := &g.keys[index], &c.knock.state, c.moment.now
	sys := systems{rule: k.rule}
	for i := range s.lanes {
		sys.add(&s.pair(o, i).stamp)
	}
	req := &Request{
		Allow:  c.knock.source,
		Token:  codeToken(k.derived, step),
		Forget: forget(time.Unix((step+1)*int64(totp.Period/time.Second), 0)),
	}
	reason := k.refusal(&Terms{}, req, c.knock.source, c.moment.time)
	wrong, forgiven := c.guesses(index, o)
	switch {
	case reason != None:
	case now-s.oldest(o) > int64(k.Within):
		reason = TooSlow
	case wrong >= share(k.MaxAttempts) || g.wrongFor(k)-forgiven > k.MaxAttempts:
		reason = TooManyCodes
	}
	out.add(&sys, req, reason)
}

// guesses returns how many wrong codes count against the access with an index if a
// choice is its code, and how many then no longer do: neither the pairs of the choice
// nor what is left of other codes of the access was guessed.
func (c *totpCode) guesses(index int, o choice) (wrong, forgiven int) {
	g, s := c.family.list[c.knock.group], &c.knock.state
	own := 0
	for i := range s.lanes {
		for j := range s.lanes[i] {
			p := &s.lanes[i][j]
			if p.set && p.counted > 0 && (p == s.pair(o, i) || g.known(index, i, p.value)) {
				own += int(p.counted)
			}
		}
	}
	misses := c.guessed(index)
	wrong = s.wrongCodes(own, &misses)
	return wrong, g.counted(s) - min(wrong, g.share)
}

// succeed settles what came before a right code, that of the access with an index.
func (c *totpCode) succeed(o choice, index int) {
	g, s := c.family.list[c.knock.group], &c.knock.state
	shared := false
	for i, v := range s.wrong.values {
		shared = shared || s.pair(o, i).value == v
	}
	if shared {
		c.family.withdraw(c.knock) // it was a mixture with this code
	} else {
		c.family.report(c.moment, c.knock)
	}
	left := 0
	for i := range s.lanes {
		for j := range s.lanes[i] {
			p := &s.lanes[i][j]
			if p.set && p.counted > 0 && p != s.pair(o, i) && g.known(index, i, p.value) {
				left += int(p.counted)
				p.counted = 0
			}
		}
	}
	s.key = index + 1
	guessed := c.guessed(index)
	g.forgive(c.knock, s.spend(o)+left, guessed)
}

// guessed returns the misses that stay if the access with an index, or none if it is
// negative, has a right code: mixtures of right codes are no guesses.
func (c *totpCode) guessed(index int) totpMisses {
	misses := c.knock.state.misses
	if misses.held > 0 {
		right := c.rightCodes(index)
		misses.drop(&right)
	}
	return misses
}

// rightCodes are those that may have been sent with a right code of the access with an
// index: its own of the last steps, and others that the source has sent. A negative index
// is no access, of a source that has sent some.
func (c *totpCode) rightCodes(index int) (right totpCodes) {
	g, s := c.family.list[c.knock.group], &c.knock.state
	n := 0
	for step := g.step + 1; step > g.step+1-knownSteps && index >= 0; step-- {
		right[n] = g.codes(step).pairs[index]
		n++
	}
	for i := range min(s.codes, spentCodes) {
		right[n] = s.spentValues(i)
		n++
	}
	// One of them in place of those that there are not.
	for i := n; i < len(right); i++ {
		right[i] = right[0]
	}
	return right
}

// fail has the newest pairs wait for the verdict that they are a wrong code, unless
// they are what is left of right ones. A wrong code that waits is one of its own:
// as many pairs came after it.
func (c *totpCode) fail() {
	g, s := c.family.list[c.knock.group], &c.knock.state
	again := !s.novel
	s.uncounted, s.novel = 0, false
	s.turn++
	// The same code once more is no guess. NB: all of its pairs must be, or the others
	// would be guesses that cost nothing.
	if again {
		g.forgive(c.knock, totp.Lanes, s.misses)
		return
	}
	if c.leftovers() {
		return
	}
	c.family.report(c.moment, c.knock)
	w := &s.wrong
	w.at, w.set, w.reason = c.moment.now, true, NoKey
	for i := range w.values {
		w.values[i] = s.lanes[i][0].value
	}
	if max(s.pairs-totp.Lanes, 0)/totp.Lanes >= g.share {
		w.reason = TooManyCodes
	}
	c.family.await(c.knock)
}

// atOnce is a time in which nobody sends packets of two codes.
const atOnce = int64(time.Second)

// leftovers reports whether the newest pairs are of right codes of one access. The
// search through the accesses is bounded: it is for sources that have not used up
// their share.
func (c *totpCode) leftovers() bool {
	g, s := c.family.list[c.knock.group], &c.knock.state
	alone := s.contested(math.MinInt64) == 0 && c.moment.now-s.oldest(0) <= atOnce
	if alone || s.pairs/totp.Lanes > g.share || len(g.wrong) == cap(g.wrong) {
		return false
	}
	for key := range g.keys {
		n := 0
		for n < totp.Lanes && g.known(key, n, s.lanes[n][0].value) {
			n++
		}
		if n == totp.Lanes {
			return true
		}
	}
	return false
}
