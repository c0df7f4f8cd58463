package knock

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
)

// SIV is a sealed message (RFC 5297) whose bytes come as destination ports, each
// position in a lane of ports of its own: in any order, more than once, with
// other packets in between.
type SIV struct {
	Key       *seal.SIV
	Base      uint16            // of the first lane, at most seal.MaxLaneBase
	Protocols []packet.Protocol // TCP, UDP or both, in this order
	// Within is the time from the first packet to the last.
	Within time.Duration
	Terms
}

// Ports are those of all lanes.
func (s SIV) Ports() []port.Range { return portsFrom(s.Base, maxLanes*seal.LaneWidth, s.Protocols) }

func (s SIV) join(e *Engine, r *rule) error {
	if s.Window > MaxSealedWindow {
		return fmt.Errorf("bad window %v: want at most %v", s.Window, MaxSealedWindow)
	}
	s.Key = s.Key.Clone()
	e.lanes.add(sealed{r, s})
	return nil
}

// MaxSealedWindow bounds the window of a SIV: the hint that finds its key
// among many is looked up for every half minute of it.
const MaxSealedWindow = 10 * time.Minute

// sealed is the sealed knock of an access as the hot path wants it.
type sealed struct {
	*rule
	SIV
}

// lanes watches for sealed knocks. Those with the same base and protocols are
// a group: the same packets may be the knock of any of them.
type lanes struct {
	tracker[laneset]
	layouts
	groups []*laneGroup   // one a layout
	token  [maxLanes]byte // the one in hand
}

// maxLanes is the number of bytes of the longest message.
const maxLanes = seal.SIVLen6

type laneGroup struct {
	within int64 // the longest
	keys   []sealed
	hints  *hints
}

func newLanes(e *Engine, room int) *lanes {
	l := new(lanes)
	l.engine, l.drop = e, l.refuse
	l.table = newTable(room, func(*laneset) {}, (*laneset).reset)
	return l
}

func (l *lanes) prepare() {
	for _, g := range l.groups {
		g.hints = newHints(g.keys)
	}
	l.listen(l.engine, l)
}

func (l *lanes) add(s sealed) {
	i := l.group(s.Ports())
	if i == len(l.groups) {
		l.groups = append(l.groups, new(laneGroup))
	}
	g := l.groups[i]
	g.keys = append(g.keys, s)
	g.within = max(g.within, int64(s.Within))
	l.patience = max(l.patience, int64(s.Within))
}

// laneset is what has come from one source.
type laneset struct {
	// values are the two newest of each lane, the newest first.
	values [maxLanes][2]laneValue
	// filled are the lanes that have a value, touched those that a packet has
	// come to since the last burst was complete.
	filled, touched uint64
	bursts          int // complete ones
	judged          judged
	told            bool // that no key opens it
}

type laneValue struct {
	stamp
	value byte
	set   bool
}

func (s *laneset) reset() { *s = laneset{} }

// put notes a value and reports whether it changed what is there. The same value
// from another port may be another client's, and is kept beside the first.
func (s *laneset) put(lane int, v laneValue, within int64) bool {
	newest, older := &s.values[lane][0], &s.values[lane][1]
	bit := uint64(1) << lane
	s.filled |= bit
	s.touched |= bit
	if newest.set && newest.value == v.value && newest.port == v.port {
		stale := v.at-newest.at > within
		*newest = v
		return stale
	}
	if newest.set {
		*older = *newest
	}
	*newest = v
	return true
}

// has reports whether the lanes of a message of n bytes are all in a set.
func has(set uint64, n int) bool { return set&(1<<n-1) == 1<<n-1 }

func (l *lanes) take(group int, el port.Range, p *packet.Packet, now int64) {
	g := l.groups[group]
	l.engine.work.charge(workSealed, p.Src, now)
	n := l.of(p.Src, group, now)
	offset := l.layouts.offset(group, el.First)
	lane, value := offset/seal.LaneWidth, byte(offset%seal.LaneWidth)
	s := &n.state
	changed := s.put(lane, laneValue{l.engine.stamp(p, now), value, true}, g.within)
	if !has(s.filled, seal.SIVLen4) {
		return
	}
	complete := s.touched == s.filled
	if complete {
		s.touched = 0
		s.bursts++
	}
	if changed || complete {
		l.try(g, n, p.SrcPort, now)
	}
}

// A source is judged lost when its second complete burst was in vain: clients
// send two.
const hopeless = 2

// try looks for a message in what a source has sent, with the packet in hand
// as its last.
func (l *lanes) try(g *laneGroup, n *pending[laneset], port uint16, now int64) {
	s := &n.state
	for _, length := range []int{seal.SIVLen4, seal.SIVLen6} {
		if !has(s.filled, length) {
			break
		}
		if l.search(g, n, length, port, now) {
			return
		}
	}
	if s.bursts >= hopeless && !s.judged.any() && !s.told && !s.partial() && !s.crowded(now, g.within) {
		s.told = true
		l.giveUp(g, n, now, false)
	}
}

// fewLanes are as many as others, and what a scan left behind, disturb at most.
const fewLanes = 5

// partial reports whether it may be a long message that lacks some bytes yet.
func (s *laneset) partial() bool {
	return s.filled>>seal.SIVLen4 != 0 && !has(s.filled, seal.SIVLen6)
}

// crowded reports whether too much has come for it to be one knock: a scan.
func (s *laneset) crowded(now, within int64) bool {
	return bits.OnesCount64(s.contested(maxLanes, now, within)) > fewLanes
}

// choice is one value of each lane: bit i is set where the older one is meant.
type choice = uint64

// search tries choices of values for a message of a length, the likely first,
// and reports whether one was a token.
func (l *lanes) search(g *laneGroup, n *pending[laneset], length int, port uint16, now int64) bool {
	s := &n.state
	// A client sends all packets of a knock from one port, which most NATs
	// keep: with it two clients behind one address cannot be mixed up.
	if c, ok := s.from(port, length); ok && l.open(g, n, c, length, now) {
		return true
	}
	if l.open(g, n, 0, length, now) {
		return true
	}
	both := s.contested(length, now, g.within)
	if bits.OnesCount64(both) > fewLanes {
		return false
	}
	for c := both; c != 0; c = (c - 1) & both {
		if l.open(g, n, c, length, now) {
			return true
		}
	}
	return false
}

// from chooses the values that came from a port, if every lane has one.
func (s *laneset) from(port uint16, length int) (c choice, ok bool) {
	for i := range length {
		switch v := &s.values[i]; {
		case v[0].port == port:
		case v[1].set && v[1].port == port:
			c |= 1 << i
		default:
			return 0, false
		}
	}
	return c, c != 0 // 0 is the newest of all lanes, which is tried anyway
}

// contested are the lanes whose older value is another and may still count.
func (s *laneset) contested(length int, now, within int64) uint64 {
	var set uint64
	for i := range length {
		if v := &s.values[i][1]; v.set && v.value != s.values[i][0].value && now-v.at <= within {
			set |= 1 << i
		}
	}
	return set
}

// assemble puts a choice of values together.
func (l *lanes) assemble(s *laneset, c choice, length int) []byte {
	for i := range length {
		l.token[i] = s.values[i][c>>i&1].value
	}
	return l.token[:length]
}

// oldest is when the first packet of a choice came.
func (s *laneset) oldest(c choice, length int) int64 {
	first := s.values[0][c&1].at
	for i := range length {
		first = min(first, s.values[i][c>>i&1].at)
	}
	return first
}

// open tries a choice against the keys that its hint speaks of, and reports
// whether it is a token of one of them.
func (l *lanes) open(g *laneGroup, n *pending[laneset], c choice, length int, now int64) bool {
	s := &n.state
	if now-s.oldest(c, length) > g.within {
		return false
	}
	if !l.engine.spend(costChoice) {
		return false
	}
	token := l.assemble(s, c, length)
	id := idOf(token[1:]) // of the tag
	if s.judged.echoes(id, now) {
		return true
	}
	out := finding{engine: l.engine}
	l.look(g, n, token, c, now, &out)
	if !out.any {
		return false
	}
	s.judged.record(id, now)
	out.say()
	return true
}

// look tries a token against the keys that have its hint, until one grants.
func (l *lanes) look(g *laneGroup, n *pending[laneset], token []byte, c choice, now int64, out *finding) {
	at := l.engine.at.Truncate(time.Second) // tokens count seconds
	for _, step := range g.hints.steps(at) {
		for _, i := range g.hints.with(step, token[0]) {
			k := &g.keys[i]
			if out.granted() || !l.engine.spend(costLook) {
				return
			}
			if k.Key.Plausible(token, at.Add(-k.Window), at.Add(k.Window)) {
				l.unseal(k, n, token, c, now, out)
			}
		}
	}
}

// unseal opens a token with a key, and if it does, judges it.
func (l *lanes) unseal(k *sealed, n *pending[laneset], token []byte, c choice, now int64, out *finding) {
	l.engine.work.take(costOpen)
	m, ok := k.Key.Open(token)
	if !ok || now-n.state.oldest(c, len(token)) > int64(k.Within) {
		return
	}
	sys := systems{rule: k.rule}
	for i := range token {
		sys.see(&n.state.values[i][c>>i&1].stamp)
	}
	at := l.engine.moment(now)
	req := sealedRequest(m, token, n.source, at)
	out.add(&sys, n.source, len(token), req, k.judge(&k.Terms, req, n.source, at, true))
}

// sealedRequest is what a sealed message asks for. Messages without a time
// are remembered for ever.
func sealedRequest(m seal.Message, token []byte, source netip.Addr, at time.Time) *Request {
	req := &Request{
		Allow: addressee(m.Address, source),
		Open:  []port.Range{port.Single(packet.Protocol(m.Protocol), m.Port)},
		User:  m.User,
		Token: sha256.Sum256(token),
	}
	if !m.Time.IsZero() {
		req.Clock = m.Time.Sub(at.Truncate(time.Second))
		req.Forget = forget(m.Time)
	}
	return req
}

// giveUp says why nothing opens what a source has sent: the clock, or the key.
// late says that the knock is over, so that nothing may be granted for it.
func (l *lanes) giveUp(g *laneGroup, n *pending[laneset], now int64, late bool) {
	v := Verdict{Access: sole(g.keys), Source: n.source, Reason: NoKey, Step: bits.OnesCount64(n.state.filled)}
	for _, length := range []int{seal.SIVLen4, seal.SIVLen6} {
		if has(n.state.filled, length) && l.outOfTime(g, n, l.assemble(&n.state, 0, length), now, late) {
			return
		}
	}
	l.engine.say(v)
}

// ever is all the time that a sealed message can hold.
var ever = [2]time.Time{time.Unix(0, 0), time.Unix(math.MaxUint32, 0)}

// outOfTime looks for a key that opens a token of another time, and reports
// whether that was all there is to say. So it is where there was no time to look,
// for then nothing is known.
func (l *lanes) outOfTime(g *laneGroup, n *pending[laneset], token []byte, now int64, late bool) bool {
	out := finding{engine: l.engine}
	for i := range g.keys {
		k := &g.keys[i]
		if out.any {
			break
		}
		if !l.engine.spend(costLook) {
			return true
		}
		if k.Key.Plausible(token, ever[0], ever[1]) {
			l.unseal(k, n, token, 0, now, &out)
		}
	}
	if late && out.granted() {
		out.verdict.Reason = Late
	}
	if out.any {
		n.state.judged.record(idOf(token[1:]), now)
		out.say()
	}
	return out.any
}

// nearlyAll lanes make a knock of which packets were lost. Fewer are nothing to
// tell of: every port scan fills some.
const nearlyAll = seal.SIVLen4 * 3 / 4

// refuse says what a source has sent if it was no knock yet, as of its last
// packet.
func (l *lanes) refuse(n *pending[laneset], why Reason) {
	g, s := l.groups[n.group], &n.state
	switch {
	case s.judged.any() || s.told || s.crowded(n.since, g.within):
	case has(s.filled, seal.SIVLen4):
		l.engine.work.charge(workSealed, n.source, n.since)
		l.giveUp(g, n, n.since, true)
	case bits.OnesCount64(s.filled) >= nearlyAll:
		l.engine.say(Verdict{Access: sole(g.keys), Source: n.source, Reason: why, Step: bits.OnesCount64(s.filled)})
	}
}

func (l *lanes) adopt(from family, sameLabels bool) {
	old := from.(*lanes)
	l.adoptFrom(&old.tracker, l.from(old.layouts), func(to, s *laneset) {
		*to = *s
		if !sameLabels {
			to.forgetSystems()
		}
	})
}

// forgetSystems makes the fingerprints of all values those of no system.
func (s *laneset) forgetSystems() {
	for i := range s.values {
		for j := range s.values[i] {
			s.values[i][j].os = noSystem
		}
	}
}
