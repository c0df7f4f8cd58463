package knock

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// A Request is what an authenticated knock asks for.
type Request struct {
	// Allow is whom to let in.
	Allow netip.Addr
	// Open is what to open; nil for all that the access opens.
	Open []port.Range
	User string
	// Timeout is how long the knocker wants to be let in, 0 for as long as the
	// access says.
	Timeout time.Duration
	// Clock is by how much the sender's clock is ahead of ours, as far as the
	// knock tells; 0 if it holds no time.
	Clock time.Duration

	// Token tells this knock from all others: one that was spent must not be
	// honoured again. That holds for refused knocks too, or else somebody who
	// saw one could have more luck with it.
	Token [32]byte
	// Forget is when Token can be forgotten, since its time will be over; zero
	// for never.
	Forget time.Time
}

// MaxWindow bounds the windows of all accesses, and so how long a token with a
// time must be remembered whatever the window is or will be.
const MaxWindow = time.Hour

// forget is when a token of a time can be forgotten. A second is for clocks
// that count seconds.
func forget(token time.Time) time.Time { return token.Add(MaxWindow + time.Second) }

// Terms are what the sender of an authenticated knock may ask for.
type Terms struct {
	// Open is what the access opens.
	Open []port.Range
	// Users are those who may knock; nil lets everyone who has the key.
	Users []string
	// AllowOther lets the sender name another address than its own.
	AllowOther bool
	// Window is how far the sender's clock may be from ours, either way, at
	// most MaxWindow. It has no meaning where knocks hold no time.
	Window time.Duration
}

// judge looks at what an authenticated knock asks for. timed says that it holds
// a time.
func (r *rule) judge(t *Terms, req *Request, source netip.Addr, at time.Time, timed bool) Reason {
	switch {
	case r.expired(at):
		return Expired
	case !r.admits(source):
		return WrongSource
	case timed && req.Clock < -t.Window:
		return TooOld
	case timed && req.Clock > t.Window:
		return TooNew
	case t.Users != nil && !slices.Contains(t.Users, req.User):
		return WrongUser
	case req.Allow != source && (!t.AllowOther || !isHost(req.Allow)):
		return OtherAddress
	case slices.ContainsFunc(req.Open, func(e port.Range) bool { return !t.opens(e) }):
		return NotOpen
	}
	return None
}

// opens reports whether a port is among those the access opens.
func (t *Terms) opens(r port.Range) bool {
	return slices.ContainsFunc(t.Open, func(s port.Range) bool { return s.Covers(r) })
}

// isHost reports whether packets can come from an address.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// addressee is the address a token names, or its source where it names none.
func addressee(named, source netip.Addr) netip.Addr {
	if !named.IsValid() {
		return source
	}
	return named.Unmap()
}

// stamp is what is remembered of a packet that carried a part of a knock.
type stamp struct {
	at   int64
	os   p0f.Match
	port uint16 // its source port
	syn  bool
}

func (e *Engine) stamp(p *packet.Packet, now int64) stamp {
	return stamp{at: now, os: e.fingerprint(p), port: p.SrcPort, syn: p.Protocol == packet.TCP}
}

// part is a packet that carried a byte of a knock, or some digits.
type part struct {
	stamp
	value byte
	// serial tells a packet from its repetition: the sequence number of a SYN,
	// the ID of an IPv4 datagram.
	serial uint32
}

func (e *Engine) part(p *packet.Packet, value byte, now int64) part {
	b := part{stamp: e.stamp(p, now), value: value, serial: uint32(p.ID)}
	if b.syn {
		b.serial = p.TCP.Seq
	}
	return b
}

// repeats reports whether a packet is another once more, sent again by its
// sender or doubled on the way. Without a serial it may be anything.
func (b *part) repeats(o *part) bool {
	return b.serial != 0 && b.value == o.value && b.syn == o.syn && b.port == o.port && b.serial == o.serial
}

// systems looks at the fingerprints of the packets of a knock.
type systems struct {
	rule *rule
	syns int
	// last is that of the last SYN, or of the first that does not satisfy the
	// rule.
	last p0f.Match
	bad  bool
}

func (s *systems) see(m *stamp) {
	if !m.syn || s.bad {
		return
	}
	s.syns++
	s.last = m.os
	s.bad = s.rule.allowed != nil && !s.rule.satisfiedBy(m.os)
}

// satisfied reports whether the packets seen meet the requirement.
func (s *systems) satisfied() bool { return s.rule.allowed == nil || s.syns > 0 && !s.bad }

// noSystem is the fingerprint of what is no SYN, or whose system is forgotten.
var noSystem p0f.Match

// finding is the verdict on a token: of the accesses whose key opens it the
// first that grants what it asks for, or else the first.
type finding struct {
	engine  *Engine
	any     bool
	verdict Verdict
}

// granted reports whether there is nothing left to look for.
func (o *finding) granted() bool { return o.any && o.verdict.Granted() }

// add takes the judgement of one access, which the fingerprints may change.
func (o *finding) add(sys *systems, source netip.Addr, step int, req *Request, reason Reason) {
	if o.granted() {
		return
	}
	v := Verdict{Access: sys.rule.index, Source: source, Step: step, OS: sys.last, Request: req, Reason: reason}
	if v.Reason == None && !sys.satisfied() {
		v.Reason = WrongOS
	}
	if !o.any || v.Granted() {
		o.verdict = v
	}
	o.any = true
}

func (o *finding) say() { o.engine.say(o.verdict) }
