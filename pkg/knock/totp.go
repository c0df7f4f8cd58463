package knock

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/totp"
)

// TOTP is a one-time code: its pairs of digits come as destination ports, in
// any order.
type TOTP struct {
	Secret    *totp.Secret
	Base      uint16            // at most totp.MaxBase
	Protocols []packet.Protocol // TCP, UDP or both, in this order
	// Within is the time from the first packet to the last.
	Within time.Duration
	// MaxAttempts is the number of wrong codes in a step of totp.Period after
	// which the access ignores the step, at most 1024. The codes of a source that
	// tried a quarter of it are refused in the step, so that it takes several
	// sources to have the access closed to all.
	MaxAttempts int
}

// Ports returns those of all pairs.
func (o TOTP) Ports() []port.Range { return portsFrom(o.Base, totp.Lanes*totp.LaneWidth, o.Protocols) }

func (o TOTP) join(e *Engine, r *rule) error {
	if o.Secret == nil {
		return errNoKey
	}
	o.Secret = o.Secret.Clone()
	e.totp.add(totpAccess{r, o, o.Secret.Derive("nftknock spent code")})
	return nil
}

// totpAccess is an access with a TOTP, whose secret is the engine's own.
type totpAccess struct {
	*rule
	TOTP
	derived [32]byte // see codeToken
}

// totpFamily recognises one-time codes.
type totpFamily struct {
	tracker[totpState]
	groups[totpGroup]
}

type totpGroup struct {
	share  int   // wrong codes of one source that count for all; the smallest of the accesses
	within int64 // the longest
	keys   []totpAccess
	steps  [3]totpStep  // a ring by step
	step   int64        // the one that wrong is of
	wrong  []netip.Addr // the sources of its wrong codes
}

// totpStep holds the codes of one step: the first access of each, and of each
// access the next one with the same code, or -1.
type totpStep struct {
	step  int64
	ready bool
	first map[uint32]int32
	next  []int32
}

func newTOTPFamily(e *Engine, room int) *totpFamily {
	f := new(totpFamily)
	// Unfinished codes get no verdict: any scan leaves some.
	f.engine, f.ended = e, func(*moment, *pending[totpState], Reason) {}
	f.table = newTable(room, func(*totpState) {}, func(s *totpState) { *s = totpState{} })
	return f
}

func (f *totpFamily) add(k totpAccess) {
	g := f.group(k.Ports())
	g.keys = append(g.keys, k)
	if own := share(k.MaxAttempts); len(g.keys) == 1 || own < g.share {
		g.share = own
	}
	g.within = max(g.within, int64(k.Within))
	f.patience = max(f.patience, g.lifetime())
}

// lifetime is how long a source's state is kept after its last packet: the wrong
// codes count until the step is over.
func (g *totpGroup) lifetime() int64 { return max(g.within, int64(totp.Period)) }

func (f *totpFamily) prepare() {
	for _, g := range f.list {
		g.wrong = make([]netip.Addr, 0, maxWrong)
	}
	f.register(f.engine, f)
}

// totpState is what has come from one source.
type totpState struct {
	pairs   [totp.Lanes]part
	touched uint8 // a bitmap of the pairs that came since the last code was complete
	tokens  recentTokens
	wrong   int   // how many codes were wrong
	step    int64 // in this step
}

func (f *totpFamily) take(group int, a *arrival) {
	g := f.list[group]
	n := f.knockOf(a, group, g.lifetime())
	s := &n.state
	since := a.now - g.within
	offset := f.offset(group, a)
	lane := offset / totp.LaneWidth
	pair := a.part(byte(offset % totp.LaneWidth))
	if last := &s.pairs[lane]; last.at >= since && pair.repeats(last) {
		return // or it would be the first pair of the next code
	}
	s.pairs[lane] = pair
	s.touched |= 1 << lane
	s.dropOlder(since)
	if s.touched != 1<<totp.Lanes-1 {
		return
	}
	s.touched = 0
	code := s.code()
	id := uint64(code)
	if s.tokens.repeats(id, a.now, a.now) { // all pairs came after the last code
		return
	}
	s.tokens.add(id, a.now)
	c := totpCode{&a.moment, g, n}
	c.check(code)
}

// dropOlder has the pairs that came before a time no longer count: they are of a
// code that was never completed.
func (s *totpState) dropOlder(before int64) {
	for i := range s.pairs {
		if s.pairs[i].at < before {
			s.touched &^= 1 << i
		}
	}
}

// code returns the code that the pairs make.
func (s *totpState) code() uint32 {
	var values [totp.Lanes]int
	for i, p := range s.pairs {
		values[i] = int(p.value)
	}
	return totp.Join(values)
}

// totpCode is the complete code of a source, right or wrong.
type totpCode struct {
	moment *moment // when its last pair came; takes the verdicts
	group  *totpGroup
	knock  *pending[totpState]
}

// check looks for the accesses that have a code now, and adds the verdict. A code
// that is right is spent even where it opens nothing, or whoever saw it could use
// it.
func (c *totpCode) check(code uint32) {
	g, s := c.group, &c.knock.state
	step := totp.Step(c.moment.time)
	g.begin(step)
	if s.step != step {
		s.step, s.wrong = step, 0
	}
	out := finding{source: c.knock.source, step: totp.Lanes}
	// One step of drift either way (RFC 6238, section 6), and the likeliest first.
	for _, st := range [...]int64{step, step - 1, step + 1} {
		codes := g.codes(st)
		for i, ok := codes.first[code]; ok && i >= 0; i = codes.next[i] {
			c.accept(&g.keys[i], st, &out)
		}
	}
	if out.found {
		c.moment.add(out.verdict)
		return
	}
	// Beyond its share a source's wrong codes count for itself alone, so that no
	// single source closes an access to all.
	reason := NoKey
	switch {
	case s.wrong >= g.share:
		reason = TooManyCodes
	case len(g.wrong) < cap(g.wrong):
		g.wrong = append(g.wrong, c.knock.source)
	}
	s.wrong++
	c.moment.add(Verdict{Access: onlyAccess(g.keys), Source: out.source, Step: out.step, Reason: reason})
}

// accept adds what an access grants of a code that is right in a step.
func (c *totpCode) accept(k *totpAccess, step int64, out *finding) {
	st, now := &c.knock.state, c.moment.now
	sys := systems{rule: k.rule}
	first := now
	for i := range st.pairs {
		first = min(first, st.pairs[i].at)
		sys.add(&st.pairs[i].stamp)
	}
	req := &Request{
		Allow:  c.knock.source,
		Token:  codeToken(k.derived, step),
		Forget: forget(time.Unix((step+1)*int64(totp.Period/time.Second), 0)),
	}
	reason := k.refusal(&Terms{}, req, c.knock.source, c.moment.time)
	switch {
	case reason != None:
	case now-first > int64(k.Within):
		reason = TooSlow
	case st.wrong >= share(k.MaxAttempts) || c.group.wrongFor(k) > k.MaxAttempts:
		reason = TooManyCodes
	}
	out.add(&sys, req, reason)
}

// share returns how many of the wrong codes of a step one source may try.
func share(attempts int) int { return max(attempts/4, 1) }

// codeToken returns what is spent with the code of a secret in a step. Accesses that
// have a secret in common have the code in common, and it opens one of them.
func codeToken(derived [32]byte, step int64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(derived[:], uint64(step)))
}

// maxWrong bounds the wrong codes of a step that are remembered. It is no less
// than any MaxAttempts.
const maxWrong = 1 << 10

// begin forgets the wrong codes of another step.
func (g *totpGroup) begin(step int64) {
	if g.step != step {
		g.step, g.wrong = step, g.wrong[:0]
	}
}

// wrongFor counts the wrong codes of the step that came from sources of an access.
func (g *totpGroup) wrongFor(k *totpAccess) int {
	n := 0
	for _, source := range g.wrong {
		if k.admits(source) {
			n++
		}
	}
	return n
}

// codes returns the codes of a step, which are computed once.
func (g *totpGroup) codes(step int64) *totpStep {
	s := &g.steps[uint64(step)%uint64(len(g.steps))]
	if s.ready && s.step == step {
		return s
	}
	if s.first == nil {
		s.first = make(map[uint32]int32, len(g.keys))
		s.next = make([]int32, len(g.keys))
	}
	s.step, s.ready = step, true
	clear(s.first)
	// From the last access to the first, each goes to the head of the chain of its
	// code, so that the chain is in the order of the policy.
	for i := len(g.keys) - 1; i >= 0; i-- {
		code := g.keys[i].Secret.Code(step)
		s.next[i] = -1
		if other, ok := s.first[code]; ok {
			s.next[i] = other
		}
		s.first[code] = int32(i)
	}
	return s
}

func (f *totpFamily) adopt(from family, sameLabels bool) {
	old := from.(*totpFamily)
	group := f.groupMap(&old.groups)
	// The old engine is not used any more, so its memory may be.
	for i, was := range old.list {
		if to := group(i); to >= 0 {
			f.list[to].step, f.list[to].wrong = was.step, was.wrong
		}
	}
	f.adoptFrom(&old.tracker, group, func(to, s *totpState) {
		*to = *s
		if !sameLabels {
			for i := range to.pairs {
				to.pairs[i].os = noSystem
			}
		}
	})
}
