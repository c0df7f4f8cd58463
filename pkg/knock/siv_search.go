package knock

import (
	"bytes"
	"crypto/sha256"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
)

// sivSearch looks for a token in what a source has sent.
type sivSearch struct {
	moment *moment // takes the verdicts
	budget budget
	group  *sivGroup
	knock  *pending[sivState]
	at     int64 // when the last packet came: the time that a token is checked by
}

// sivLengths are those of the messages, the shorter first.
var sivLengths = [...]int{seal.SIVLen4, seal.SIVLen6}

// wholeBursts is how many complete bursts without a token make a knock that no key
// opens: clients send two.
const wholeBursts = 2

// fewLanes is how many lanes another client, or what a scan left behind, may
// contest. Where more are, not all choices are tried, and there is no verdict on a
// knock that no key opens: it looks like a scan.
const fewLanes = 5

// run looks for a token, and says why there is none once two bursts are complete.
// port is the source port of the last packet.
func (s *sivSearch) run(port uint16) {
	st := &s.knock.state
	for _, length := range sivLengths {
		if !has(st.filled, length) {
			break
		}
		if s.try(length, port) {
			st.bursts = 0
			return
		}
	}
	if st.bursts < wholeBursts || st.noKey.within(s.group.within, s.at) {
		return
	}
	lanes, contested := st.sinceToken()
	// Beyond the lanes of the shorter message all or none must be filled, or it is
	// a longer one that is still coming.
	partial := lanes>>seal.SIVLen4 != 0 && !has(lanes, seal.SIVLen6)
	if has(lanes, seal.SIVLen4) && !partial && contested <= fewLanes {
		st.noKey = instant{s.at, true}
		s.explain(lanes, false)
	}
}

// try tries choices of values for a message of a length, the likely first, and
// reports whether one was a token.
func (s *sivSearch) try(length int, port uint16) bool {
	st := &s.knock.state
	// A client sends all packets of a knock from one port, which most NATs keep:
	// by it two clients behind one address are told apart.
	if c, ok := st.choiceByPort(port, length); ok && s.open(c, length) {
		return true
	}
	if s.open(0, length) {
		return true
	}
	both := st.contested(length)
	if bits.OnesCount64(both) > fewLanes {
		return false
	}
	// (c - 1) & both is the next smaller subset of the bits of both, so that the
	// loop tries every mixture of older and newest values once.
	for c := both; c != 0; c = (c - 1) & both {
		if s.open(c, length) {
			return true
		}
	}
	return false
}

// open tries a choice against the keys that have its hint, and reports whether it
// is a token of one of them. A token gets one verdict for all its repetitions.
func (s *sivSearch) open(c choice, length int) bool {
	if !s.budget.spend(costChoice) {
		return false
	}
	st := &s.knock.state
	var buffer [maxLanes]byte
	message := buffer[:length]
	st.assemble(c, message)
	id := tokenID(message[1:]) // of the tag
	if st.tokens.begunBefore(id, st.oldest(c, length)) {
		return true
	}
	out := finding{source: s.knock.source, step: length}
	s.look(message, c, &out)
	if !out.found {
		return false
	}
	st.tokens.add(id, s.at)
	s.moment.add(out.verdict)
	return true
}

// look tries a message against the keys that have its hint, until one grants.
func (s *sivSearch) look(message []byte, c choice, out *finding) {
	at := s.moment.timeOf(s.at).Truncate(time.Second) // tokens count seconds
	hints, now := s.group.hints, seal.Step(at)
	// The hint is of the sender's step, so every step of the window is looked up.
	for i := range hints.steps {
		for _, k := range hints.with(nthStep(now, i), message[0]) {
			key := &s.group.keys[k]
			if out.granted() || !s.budget.spend(costLook) {
				return
			}
			if key.Key.Plausible(message, at.Add(-key.Window), at.Add(key.Window)) {
				s.unseal(key, message, c, out)
			}
		}
	}
}

// unseal opens a message with a key, and adds what the access grants if the key is
// right.
func (s *sivSearch) unseal(k *sivAccess, message []byte, c choice, out *finding) {
	s.budget.take(costOpen)
	st := &s.knock.state
	// NB: the caller's memory would escape to the heap through the cipher's
	// interface. So only plausible tokens are allocated.
	content, ok := k.Key.Open(bytes.Clone(message))
	if !ok || s.at-st.oldest(c, len(message)) > int64(k.Within) {
		return
	}
	sys := systems{rule: k.rule}
	for i := range message {
		sys.add(&st.values[i][c>>i&1].stamp)
	}
	source, at := s.knock.source, s.moment.timeOf(s.at)
	req := sealedRequest(content, message, source, at)
	out.add(&sys, req, k.refusal(&k.Terms, req, source, at))
}

// explain adds the verdict that the time of a token is wrong, or that no key opens
// what has come to some lanes. late says that the time to grant anything is over.
func (s *sivSearch) explain(lanes uint64, late bool) {
	for _, length := range sivLengths {
		if has(s.knock.state.filled, length) && s.outOfTime(length, late) {
			return
		}
	}
	s.moment.add(Verdict{
		Access: onlyAccess(s.group.keys), Source: s.knock.source, Reason: NoKey, Step: bits.OnesCount64(lanes),
	})
}

// ever is all the time that a sealed message can hold.
var ever = [2]time.Time{time.Unix(0, 0), time.Unix(math.MaxUint32, 0)}

// outOfTime looks for a key that opens the newest values as a token of any time. It
// reports whether the search is over: a token was found and has its verdict, or not
// all keys could be tried, so that nothing is known.
func (s *sivSearch) outOfTime(length int, late bool) bool {
	st := &s.knock.state
	var buffer [maxLanes]byte
	message := buffer[:length]
	st.assemble(0, message)
	out := finding{source: s.knock.source, step: length}
	// A wrong time has a hint of any step: the hints cannot narrow the keys here.
	for i := range s.group.keys {
		if out.found {
			break
		}
		if !s.budget.spend(costLook) {
			return true
		}
		if k := &s.group.keys[i]; k.Key.Plausible(message, ever[0], ever[1]) {
			s.unseal(k, message, 0, &out)
		}
	}
	if !out.found {
		return false
	}
	if late && out.granted() {
		out.verdict.Reason = Late
	}
	st.tokens.add(tokenID(message[1:]), s.at)
	s.moment.add(out.verdict)
	return true
}

// sealedRequest returns what a sealed message asks for. A token without a time must
// be remembered for ever.
func sealedRequest(m seal.Message, message []byte, source netip.Addr, at time.Time) *Request {
	req := &Request{
		Allow: addressee(m.Address, source),
		Open:  []port.Range{port.Single(packet.Protocol(m.Protocol), m.Port)},
		User:  m.User,
		Token: sha256.Sum256(message),
	}
	if !m.Time.IsZero() {
		req.Clock = m.Time.Sub(at.Truncate(time.Second))
		req.Forget = forget(m.Time)
	}
	return req
}
