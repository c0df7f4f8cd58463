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
	// waiting are the sources with a wrong code that has no verdict yet, the one
	// whose last packet is the oldest first.
	waiting list[pending[totpState]]
	looked  func(code uint32) // if not nil, called with every code that is looked up
}

type totpGroup struct {
	share  int   // wrong codes of one source that count for all; the smallest of the accesses
	within int64 // the longest
	keys   []totpAccess
	steps  [knownSteps]totpStep // a ring by step
	step   int64                // the one that wrong is of
	wrong  []netip.Addr         // the sources of its wrong codes
}

// knownSteps is how many steps have their codes kept: the three whose codes are
// accepted, and two before them, whose packets may still be there.
const knownSteps = 5

// totpStep holds the codes of one step: the first access of each, and of each
// access the next one with the same code, or -1.
type totpStep struct {
	step  int64
	ready bool
	pairs [][totp.Lanes]byte // of the code of each access
	first map[uint32]int32
	next  []int32
}

func newTOTPFamily(e *Engine, room int) *totpFamily {
	f := new(totpFamily)
	// Unfinished codes get no verdict: any scan leaves some.
	f.engine, f.ended = e, func(m *moment, n *pending[totpState], _ Reason) { f.report(m, n) }
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
		for i := range g.steps {
			g.steps[i] = totpStep{
				pairs: make([][totp.Lanes]byte, len(g.keys)),
				first: make(map[uint32]int32, len(g.keys)),
				next:  make([]int32, len(g.keys)),
			}
		}
	}
	f.register(f.engine, f)
}

func (f *totpFamily) take(group int, a *arrival) {
	g := f.list[group]
	n := f.knockOf(a, group, g.lifetime())
	s := &n.state
	offset := f.offset(group, a)
	step := totp.Step(a.time)
	g.begin(step)
	s.dropOlder(a.now - g.within)
	s.begin(step)
	f.settle(n, a)
	lane, value := offset/totp.LaneWidth, byte(offset%totp.LaneWidth)
	changed, fresh := s.put(lane, a.part(value))
	if fresh {
		g.count(n, s.wrong.holds(lane, value, a.now))
	}
	if !changed || !s.complete() {
		return
	}
	c := totpCode{&a.moment, f, n, lane}
	if !c.search() && fresh && s.uncounted >= totp.Lanes {
		c.fail()
	}
}

// settle gives the verdict on a wrong code that a packet cannot change any more, and
// else has it wait for longer.
func (f *totpFamily) settle(n *pending[totpState], a *arrival) {
	s := &n.state
	if s.wrong.waits {
		if a.now-s.last > settleTime || a.now-s.wrong.at > f.list[n.group].within {
			f.report(&a.moment, n)
		} else {
			f.waiting.remove(&s.wrong.link)
			f.waiting.append(&s.wrong.link)
		}
	}
	s.last = a.now
}

// report gives the verdict on a wrong code, if one waits.
func (f *totpFamily) report(m *moment, n *pending[totpState]) {
	w := &n.state.wrong
	if !w.waits {
		return
	}
	f.withdraw(n)
	m.add(Verdict{Access: onlyAccess(f.list[n.group].keys), Source: n.source, Step: totp.Lanes, Reason: w.reason})
}

// withdraw has a wrong code get no verdict.
func (f *totpFamily) withdraw(n *pending[totpState]) {
	if w := &n.state.wrong; w.waits {
		w.waits = false
		f.waiting.remove(&w.link)
	}
}

// await has a wrong code get its verdict later.
func (f *totpFamily) await(n *pending[totpState]) {
	w := &n.state.wrong
	w.waits, w.link = true, link[pending[totpState]]{of: n}
	f.waiting.append(&w.link)
}

// expire also gives the verdicts on wrong codes after which nothing came.
func (f *totpFamily) expire(m *moment, n int) {
	for range n {
		first := f.waiting.first
		if first == nil || m.now-first.of.state.last <= settleTime {
			break
		}
		f.report(m, first.of)
	}
	f.tracker.expire(m, n)
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

// count counts a pair of a source that is none of a code before. Every fourth makes
// a wrong code until a right one shows what they were. again says that the pair may be one
// of the last wrong code once more.
func (g *totpGroup) count(n *pending[totpState], again bool) {
	s := &n.state
	before := g.counted(s)
	s.pairs++
	s.uncounted++
	if !again {
		s.novel = true
		s.looks = min(s.looks+looksPerPair, maxLooks)
	}
	g.recount(n, before)
}

// miss counts a code of a source that was looked up and is not right.
func (g *totpGroup) miss(n *pending[totpState], code uint32) {
	before := g.counted(&n.state)
	n.state.misses.add(code)
	g.recount(n, before)
}

// forgive takes back the count of some pairs of a source, which were of right codes, and
// leaves some misses.
func (g *totpGroup) forgive(n *pending[totpState], pairs int, left totpMisses) {
	s := &n.state
	before := g.counted(s)
	s.pairs = max(s.pairs-pairs, 0)
	s.uncounted = max(s.uncounted-pairs, 0)
	s.misses = left
	g.recount(n, before)
}

// counted returns how many wrong codes of a source count for all. Beyond its share they
// count for itself alone, so that no single source closes an access to all.
func (g *totpGroup) counted(s *totpState) int { return min(s.wrongCodes(0, &s.misses), g.share) }

// recount enters a change of what a source's wrong codes count for all.
func (g *totpGroup) recount(n *pending[totpState], before int) {
	after := g.counted(&n.state)
	for ; before < after && len(g.wrong) < cap(g.wrong); before++ {
		g.wrong = append(g.wrong, n.source)
	}
	for i := len(g.wrong) - 1; i >= 0 && before > after; i-- {
		if g.wrong[i] == n.source {
			g.wrong = append(g.wrong[:i], g.wrong[i+1:]...)
			before--
		}
	}
}

// known reports whether a pair is that of one of the codes that an access has had
// lately.
func (g *totpGroup) known(key, lane int, value byte) bool {
	for step := g.step + 1; step > g.step+1-knownSteps; step-- {
		if g.codes(step).pairs[key][lane] == value {
			return true
		}
	}
	return false
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
	s.step, s.ready = step, true
	clear(s.first)
	// From the last access to the first, each goes to the head of the chain of its
	// code, so that the chain is in the order of the policy.
	for i := len(g.keys) - 1; i >= 0; i-- {
		code := g.keys[i].Secret.Code(step)
		s.next[i] = -1
		for lane, v := range totp.Pairs(code) {
			s.pairs[i][lane] = byte(v)
		}
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
		to.key = 0 // it may be of another access now
		if !sameLabels {
			to.forgetSystems()
		}
	})
	// The links that were copied are those of the old list.
	for n := range f.table.all() {
		if n.state.wrong.waits {
			f.await(n)
		}
	}
}
