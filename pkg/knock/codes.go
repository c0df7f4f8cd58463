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
	// which the access ignores the step. A source that tried a quarter of it
	// is not heard any more in the step, so that it takes several to have the
	// access closed to all.
	MaxAttempts int
}

// Ports are those of all pairs.
func (o TOTP) Ports() []port.Range { return portsFrom(o.Base, totp.Lanes*totp.LaneWidth, o.Protocols) }

func (o TOTP) join(e *Engine, r *rule) error {
	o.Secret = o.Secret.Clone()
	e.codes.add(oneTime{r, o, o.Secret.Derive("nftknock spent code")})
	return nil
}

// oneTime is the knock of an access as the hot path wants it.
type oneTime struct {
	*rule
	TOTP
	spend [32]byte // see codeToken
}

// codes watches for one-time codes. Those with the same base and protocols are
// a group.
type codes struct {
	tracker[codeset]
	layouts
	groups []*codeGroup // one a layout
}

type codeGroup struct {
	share  int   // wrong codes of one source that count for all; the smallest of the accesses
	within int64 // the longest
	list   []oneTime
	steps  [3]codeStep  // a ring by step
	step   int64        // the one that it is
	wrong  []netip.Addr // the sources of its wrong codes
}

// codeStep holds the codes of one step: the first access of each, and of each
// access the next one with the same code, or -1.
type codeStep struct {
	step  int64
	ready bool
	first map[uint32]int32
	next  []int32
}

func newCodes(e *Engine, room int) *codes {
	c := new(codes)
	c.engine, c.drop = e, func(*pending[codeset], Reason) {}
	c.table = newTable(room, func(*codeset) {}, (*codeset).reset)
	return c
}

func (c *codes) prepare() { c.listen(c.engine, c) }

func (c *codes) add(k oneTime) {
	c.patience = max(c.patience, int64(k.Within), int64(totp.Period))
	i := c.group(k.Ports())
	if i == len(c.groups) {
		c.groups = append(c.groups, &codeGroup{wrong: make([]netip.Addr, 0, maxWrong)})
	}
	g := c.groups[i]
	g.list = append(g.list, k)
	if own := share(k.MaxAttempts); len(g.list) == 1 || own < g.share {
		g.share = own
	}
	g.within = max(g.within, int64(k.Within))
}

// codeset is what has come from one source.
type codeset struct {
	pairs   [totp.Lanes]part
	touched uint8 // pairs that came since the last code was complete
	judged  judged
	step    int64 // in which
	wrong   int   // so many codes were wrong
}

func (s *codeset) reset() { *s = codeset{} }

func (c *codes) take(group int, el port.Range, p *packet.Packet, now int64) {
	g := c.groups[group]
	n := c.of(p.Src, group, now)
	s := &n.state
	offset := c.layouts.offset(group, el.First)
	lane := offset / totp.LaneWidth
	pair := c.engine.part(p, byte(offset%totp.LaneWidth), now)
	if pair.repeats(&s.pairs[lane]) {
		return // or it would be the first of the next code
	}
	s.pairs[lane] = pair
	s.touched |= 1 << lane
	s.leaveOld(now - g.within)
	if s.touched != 1<<totp.Lanes-1 {
		return
	}
	s.touched = 0
	code := s.code()
	if s.judged.echoes(uint64(code), now) {
		return
	}
	s.judged.record(uint64(code), now)
	c.judge(g, n, code, now)
}

// leaveOld takes pairs from before a time for those of a code that was never
// completed.
func (s *codeset) leaveOld(before int64) {
	for i := range s.pairs {
		if s.pairs[i].at < before {
			s.touched &^= 1 << i
		}
	}
}

func (s *codeset) code() uint32 {
	var values [totp.Lanes]int
	for i, p := range s.pairs {
		values[i] = int(p.value)
	}
	return totp.Join(values)
}

// judge looks for the accesses that have a code now. A code that is right is
// spent even where it opens nothing, or whoever saw it could use it.
func (c *codes) judge(g *codeGroup, n *pending[codeset], code uint32, now int64) {
	s := &n.state
	step := totp.Step(c.engine.at)
	g.begin(step)
	if s.step != step {
		s.step, s.wrong = step, 0
	}
	out := finding{engine: c.engine}
	for _, st := range [...]int64{step, step - 1, step + 1} {
		codes := g.codes(st)
		for i, ok := codes.first[code]; ok && i >= 0; i = codes.next[i] {
			c.accept(g, &g.list[i], n, st, now, &out)
		}
	}
	if out.any {
		out.say()
		return
	}
	reason := NoKey
	switch {
	case s.wrong >= g.share:
		reason = TooManyCodes
	case len(g.wrong) < cap(g.wrong):
		g.wrong = append(g.wrong, n.source)
	}
	s.wrong++
	c.engine.say(Verdict{Access: sole(g.list), Source: n.source, Step: totp.Lanes, Reason: reason})
}

// accept judges a code that is right.
func (c *codes) accept(g *codeGroup, k *oneTime, n *pending[codeset], step, now int64, out *finding) {
	sys := systems{rule: k.rule}
	first := now
	for i := range n.state.pairs {
		first = min(first, n.state.pairs[i].at)
		sys.see(&n.state.pairs[i].stamp)
	}
	req := &Request{
		Allow:  n.source,
		Token:  codeToken(k.spend, step),
		Forget: forget(time.Unix((step+1)*int64(totp.Period/time.Second), 0)),
	}
	reason := k.judge(&Terms{}, req, n.source, c.engine.at, false)
	switch {
	case reason != None:
	case now-first > int64(k.Within):
		reason = TooSlow
	case n.state.wrong >= share(k.MaxAttempts) || g.wrongFor(k) > k.MaxAttempts:
		reason = TooManyCodes
	}
	out.add(&sys, n.source, totp.Lanes, req, reason)
}

// share is how many of the wrong codes of a step one source may try.
func share(attempts int) int { return max(attempts/4, 1) }

// codeToken is what is spent with the code of a secret in a step. Accesses that
// have a secret in common have the code in common, and it opens one of them.
func codeToken(secret [32]byte, step int64) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(secret[:], uint64(step)))
}

// maxWrong bounds the wrong codes of a step that are remembered. It is no less
// than any MaxAttempts.
const maxWrong = 1 << 10

// begin forgets the wrong codes of another step.
func (g *codeGroup) begin(step int64) {
	if g.step != step {
		g.step, g.wrong = step, g.wrong[:0]
	}
}

// wrongFor counts the wrong codes of the step that came from sources which may
// knock for an access.
func (g *codeGroup) wrongFor(k *oneTime) int {
	n := 0
	for _, source := range g.wrong {
		if k.admits(source) {
			n++
		}
	}
	return n
}

// codes gives the codes of a step, which are computed once.
func (g *codeGroup) codes(step int64) *codeStep {
	s := &g.steps[uint64(step)%uint64(len(g.steps))]
	if s.ready && s.step == step {
		return s
	}
	if s.first == nil {
		s.first = make(map[uint32]int32, len(g.list))
		s.next = make([]int32, len(g.list))
	}
	s.step, s.ready = step, true
	clear(s.first)
	for i := len(g.list) - 1; i >= 0; i-- { // so that the first is found first
		code := g.list[i].Secret.Code(step)
		s.next[i] = -1
		if other, ok := s.first[code]; ok {
			s.next[i] = other
		}
		s.first[code] = int32(i)
	}
	return s
}

func (c *codes) adopt(from family, sameLabels bool) {
	old := from.(*codes)
	group := c.from(old.layouts)
	for i, was := range old.groups {
		if to := group(i); to >= 0 {
			c.groups[to].step, c.groups[to].wrong = was.step, was.wrong
		}
	}
	c.adoptFrom(&old.tracker, group, func(to, s *codeset) {
		*to = *s
		if !sameLabels {
			for i := range to.pairs {
				to.pairs[i].os = noSystem
			}
		}
	})
}
