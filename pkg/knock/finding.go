package knock

import (
	"net/netip"

	"nftknock/pkg/p0f"
)

// systems compares the fingerprints of the packets of a knock with what a rule
// requires. With only rule set, it has seen no packet.
type systems struct {
	rule *rule
	syns int
	// last is the fingerprint of the last SYN, or of the first that does not
	// satisfy the rule.
	last p0f.Match
	bad  bool
}

// add takes the next packet, in the order of the message.
func (s *systems) add(m *stamp) {
	if !m.syn || s.bad {
		return
	}
	s.syns++
	s.last = m.os
	s.bad = s.rule.allowed != nil && !s.rule.satisfiedBy(m.os)
}

// satisfied reports whether the packets so far meet the requirement.
func (s *systems) satisfied() bool { return s.rule.allowed == nil || s.syns > 0 && !s.bad }

// finding is the verdict on a message of a source: the verdict of the first access that
// grants, else of the first whose key fits.
type finding struct {
	source  netip.Addr
	step    int // packets of the message
	found   bool
	verdict Verdict // valid once found
}

// granted reports whether no further access can change the verdict.
func (f *finding) granted() bool { return f.found && f.verdict.Granted() }

// add takes what one access makes of the request: None or why it refuses. Without
// the required systems it is refused anyway.
func (f *finding) add(sys *systems, req *Request, reason Reason) {
	if f.granted() {
		return
	}
	if reason == None && !sys.satisfied() {
		reason = WrongOS
	}
	if !f.found || reason == None {
		f.verdict = Verdict{
			Access: sys.rule.index, Source: f.source, Reason: reason, Step: f.step, OS: sys.last, Request: req,
		}
	}
	f.found = true
}
