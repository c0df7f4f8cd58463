package knock

import (
	"fmt"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
)

// Ordered is a sealed message whose bytes come as destination ports in their
// order, all from one range of ports. What is no part of the message may come
// before it and after it, but in between only from another source port, where all
// of the message comes from one. Repetitions of packets do not count.
type Ordered struct {
	// Key is a *seal.Article or a *seal.Fwknop19.
	Key  OrderedKey
	Base uint16 // at most seal.MaxBase
	// Protocols are TCP, UDP or both, in this order.
	Protocols []packet.Protocol
	// Within is the time from the first packet to the last. A message that takes up to
	// twice the longest Within of the accesses on its ports is opened, and refused as
	// TooSlow.
	Within time.Duration
	Terms
}

// OrderedKey opens the message that its encoding makes of a knock.
type OrderedKey interface {
	Len() int // of a message, in bytes
	Open(message []byte) (seal.Message, bool)
}

// Ports returns one port for each value of a byte.
func (o Ordered) Ports() []port.Range { return portsFrom(o.Base, 256, o.Protocols) }

func (o Ordered) join(e *Engine, r *rule) error {
	k := orderedAccess{rule: r, Ordered: o}
	// NB: an interface that holds a nil pointer is not nil, so each case checks its own.
	switch key := o.Key.(type) {
	case nil:
		return errNoKey
	case *seal.Article:
		if key == nil {
			return errNoKey
		}
		k.article = key.Clone()
	case *seal.Fwknop19:
		if key == nil {
			return errNoKey
		}
		k.salted = key.Clone()
	default:
		return fmt.Errorf("bad key %T: want a *seal.Article or *seal.Fwknop19", key)
	}
	e.ordered.add(k)
	return nil
}

// orderedAccess is an access with an Ordered, and its key by encoding: one of
// article and salted is nil. Called through an interface, Open would have every
// message allocated.
type orderedAccess struct {
	*rule
	Ordered
	article *seal.Article
	salted  *seal.Fwknop19
}

// length returns the number of bytes of a message.
func (k *orderedAccess) length() int {
	if k.article != nil {
		return seal.ArticleLen
	}
	return seal.Fwknop19Len
}

// open reads a message, and reports whether it was one of this key.
func (k *orderedAccess) open(message []byte) (seal.Message, bool) {
	if k.article != nil {
		return k.article.Open(message)
	}
	return k.salted.Open(message)
}

// orderedFamily recognises Ordered knocks.
type orderedFamily struct {
	tracker[orderedState]
	groups[orderedGroup]
}

type orderedGroup struct {
	within int64 // the longest
	keys   []orderedAccess
	// article and salted say that some access has a key of that encoding.
	article, salted bool
}

// lifetime is how long the packets of a source are looked at: longer than a knock may
// take, so that one that is too slow is told from one with a wrong key.
func (g *orderedGroup) lifetime() int64 { return 2 * g.within }

func newOrderedFamily(e *Engine, room int) *orderedFamily {
	f := new(orderedFamily)
	f.engine, f.ended = e, f.verdictOnEnd
	f.table = newTable(room, func(*orderedState) {}, (*orderedState).reset)
	return f
}

func (f *orderedFamily) add(k orderedAccess) {
	g := f.group(k.Ports())
	g.keys = append(g.keys, k)
	g.within = max(g.within, int64(k.Within))
	g.article = g.article || k.article != nil
	g.salted = g.salted || k.salted != nil
	f.patience = max(f.patience, g.lifetime())
}

func (f *orderedFamily) prepare() { f.register(f.engine, f) }

// maxOrdered is the number of bytes of the longest message.
const maxOrdered = seal.Fwknop19Len

// orderedRing is how many packets of a source are remembered: two messages, so that
// a retransmission of the first is recognised until the second is complete, and two
// people behind one address can send theirs at once.
const orderedRing = 2 * maxOrdered

// orderedState holds the last bytes that came from a source.
type orderedState struct {
	parts [orderedRing]part // a ring
	// ports and serials are those of parts once more: each packet is compared with all,
	// and here they take less memory to look through.
	ports   [orderedRing]uint16
	serials [orderedRing]uint32
	count   uint // of all that came
	tokens  recentTokens
	refused instant // when a verdict last said that no key opens a message
}

// reset empties a state. What lies beyond count is not valid, so it may stay.
func (s *orderedState) reset() {
	s.count, s.tokens, s.refused = 0, recentTokens{}, instant{}
}

// back returns the byte that came n before the last, if that many came.
func (s *orderedState) back(n int) *part { return &s.parts[(s.count-1-uint(n))%orderedRing] }

// held returns the number of bytes that are remembered.
func (s *orderedState) held() int { return int(min(s.count, orderedRing)) }

func (s *orderedState) put(p *part) {
	i := s.count % orderedRing // in place of the oldest
	s.parts[i], s.ports[i], s.serials[i] = *p, p.port, p.serial
	s.count++
}

// compare compares a packet with those that are remembered. It returns how many of them
// have its source port, without the one that put would replace, and whether it is one
// that came since a time once more. No packet is where the sender gives packets of
// different values the same serial.
func (s *orderedState) compare(p *part, since int64) (samePort int, repeats bool) {
	if s.count >= orderedRing && s.ports[s.count%orderedRing] == p.port {
		samePort--
	}
	differs := p.serial == 0
	for i, n := range s.ports[:s.held()] {
		if n != p.port {
			continue
		}
		samePort++
		if s.serials[i] != p.serial {
			continue
		}
		if o := &s.parts[i]; o.syn == p.syn && o.at >= since {
			repeats = true
			differs = differs || o.value != p.value
		}
	}
	return samePort, repeats && !differs
}

// sinceSalt returns how many bytes came since the last beginning of a salted message,
// with it, if it came since a time and after the last token and its repetitions; or 0.
func (s *orderedState) sinceSalt(since int64) int {
	const mark = seal.SaltMark
	for i := range s.held() {
		if at := s.back(i).at; at < since || s.tokens.mayRepeat(at) {
			return 0
		}
		if i+1 >= len(mark) && s.hasSalt(i) {
			return i + 1
		}
	}
	return 0
}

// hasSalt reports whether a salted message begins with the byte that came n before the
// last.
func (s *orderedState) hasSalt(n int) bool {
	for i := range len(seal.SaltMark) {
		if s.back(n-i).value != seal.SaltMark[i] {
			return false
		}
	}
	return true
}

// sinceToken counts the bytes that came since a time, the last maxOrdered at most,
// and after the last token and its repetitions.
func (s *orderedState) sinceToken(since int64) int {
	for i := range min(s.held(), maxOrdered) {
		if at := s.back(i).at; at < since || s.tokens.mayRepeat(at) {
			return i
		}
	}
	return min(s.held(), maxOrdered)
}

func (f *orderedFamily) take(group int, a *arrival) {
	g := f.list[group]
	n := f.knockOf(a, group, g.lifetime())
	p := a.part(byte(f.offset(group, a)))
	samePort, repeats := n.state.compare(&p, a.now-g.within)
	if repeats {
		return
	}
	n.state.put(&p)
	search := orderedSearch{
		moment: &a.moment,
		budget: f.engine.work.budget(workOrdered, a.packet.Src, a.now),
		group:  g,
		knock:  n,
		port:   samePort + 1,
	}
	// Nothing marks where an article message begins, so each packet may be the last
	// of one.
	if g.article {
		search.tryAll(seal.ArticleLen)
	}
	if g.salted {
		search.tryAll(seal.Fwknop19Len)
	}
}

// orderedSearch looks for a message that ends with the last packet of a source.
type orderedSearch struct {
	moment *moment // when the packet came; takes the verdicts
	budget budget
	group  *orderedGroup
	knock  *pending[orderedState]
	port   int // how many packets came from the source port of the last

	// A message that is tried: its length, its bytes, and how many packets before
	// the last each came.
	length int
	bytes  [maxOrdered]byte
	places [maxOrdered]uint8
	// mixed says that packets of the message come from several source ports, while
	// others have the port of the last: two senders may have sent it.
	mixed bool
}

// tryAll takes the last bytes for a message of a length, and also the last from the
// source port of the last packet. Most clients use another port for each packet: then
// there are no others from it.
func (s *orderedSearch) tryAll(length int) {
	st := &s.knock.state
	if st.held() < length {
		return
	}
	s.length = length
	alike := false
	// The cheapest first: few packets begin a salted message.
	if length != seal.Fwknop19Len || st.hasSalt(length-1) {
		alike = s.collect(false)
		s.mixed = !alike && s.port > 1
		s.try()
	}
	if !alike && s.port >= length {
		s.collect(true)
		s.mixed = false
		s.try()
	}
}

// collect takes the last bytes, or the last from the source port of the last packet,
// which must be enough. It reports whether all came from that port.
func (s *orderedSearch) collect(samePort bool) (alike bool) {
	st := &s.knock.state
	from := st.back(0).port
	alike = true
	// back counts from the last byte, so the message is filled from its end.
	for i, n := s.length-1, 0; i >= 0; n++ {
		p := st.back(n)
		if p.port != from {
			if samePort {
				continue
			}
			alike = false
		}
		s.bytes[i], s.places[i] = p.value, uint8(n)
		i--
	}
	return alike
}

// part returns the packet that carried a byte of the message.
func (s *orderedSearch) part(i int) *part { return s.knock.state.back(int(s.places[i])) }

// try tries the keys on the message. If not all keys could be tried, nothing is known
// and there is no verdict.
func (s *orderedSearch) try() {
	message := s.bytes[:s.length]
	cost := int64(costBlock)
	if s.length == seal.Fwknop19Len {
		if !seal.Salted(message) {
			return
		}
		cost = costSalted
	}
	first := s.part(0).at
	out := finding{source: s.knock.source, step: s.length}
	if s.moment.now-first > s.group.lifetime() {
		s.refuse(TooSlow) // whatever the key
		return
	}
	for i := range s.group.keys {
		k := &s.group.keys[i]
		if k.length() != s.length {
			continue
		}
		if out.granted() {
			break
		}
		if !s.budget.spend(cost) {
			if out.found {
				break
			}
			return
		}
		if m, ok := k.open(message); ok {
			s.check(k, m, &out)
		}
	}
	if !out.found {
		s.refuse(NoKey)
		return
	}
	s.conclude(&out, first)
}

// check adds what an access grants of a message that its key opens.
func (s *orderedSearch) check(k *orderedAccess, m seal.Message, out *finding) {
	sys := systems{rule: k.rule}
	// From the first packet to the last: the order decides which system is named.
	for i := range s.length {
		sys.add(&s.part(i).stamp)
	}
	source, at := s.knock.source, s.moment.time
	req := sealedRequest(m, s.bytes[:s.length], source, at)
	reason := k.refusal(&k.Terms, req, source, at)
	if reason == None && s.moment.now-s.part(0).at > int64(k.Within) {
		reason = TooSlow
	}
	out.add(&sys, req, reason)
}

// conclude adds the verdict on a message that a key opens and whose first packet came at
// a time, one for all its repetitions.
func (s *orderedSearch) conclude(out *finding, first int64) {
	tokens, now := &s.knock.state.tokens, s.moment.now
	id := tokenID(out.verdict.Request.Token[:])
	if !tokens.repeats(id, first, now) {
		tokens.add(id, now)
		s.moment.add(out.verdict)
	}
}

// refuse adds the verdict on a message that opens with no key. Any 16 bytes may be a
// message of an article key, which has to wait for the end of the knock. But only a
// salted one begins as it does.
func (s *orderedSearch) refuse(why Reason) {
	st, now := &s.knock.state, s.moment.now
	if s.length != seal.Fwknop19Len || s.mixed || s.beginsAnew(why) || st.refused.within(s.group.within, now) {
		return
	}
	st.refused = instant{now, true}
	s.moment.add(Verdict{Access: onlyAccess(s.group.keys), Source: s.knock.source, Reason: why, Step: s.length})
}

// beginsAnew reports whether another salted message may begin within this one: packets of
// this one were lost, and it holds some of the next. The few last bytes of a message
// that is too slow are not taken for a beginning: what they keep back would be
// forgotten before the end of the knock says it.
func (s *orderedSearch) beginsAnew(why Reason) bool {
	const mark = seal.SaltMark
	last := s.length
	if why == TooSlow {
		last -= len(mark) - 1
	}
	for i := 1; i < last; i++ {
		rest := s.bytes[i:s.length]
		if n := min(len(rest), len(mark)); string(rest[:n]) == mark[:n] {
			return true
		}
	}
	return false
}

// verdictOnEnd adds the verdict that what a source has sent was no knock, if it was
// as many packets as one has, or mostly, or began as a salted one does.
func (f *orderedFamily) verdictOnEnd(m *moment, n *pending[orderedState], why Reason) {
	g, st := f.list[n.group], &n.state
	if st.refused.within(g.within, n.since) {
		return
	}
	came := 0
	if g.salted {
		came = st.sinceSalt(n.since - g.lifetime())
	}
	if came == 0 || came >= seal.Fwknop19Len {
		least := seal.Fwknop19Len
		if g.article {
			least = seal.ArticleLen
		}
		came = st.sinceToken(n.since - g.within)
		switch {
		case came < least*3/4:
			return
		case came >= least:
			why = NoKey
		}
	}
	m.add(Verdict{Access: onlyAccess(g.keys), Source: n.source, Reason: why, Step: came})
}

func (f *orderedFamily) adopt(from family, sameLabels bool) {
	old := from.(*orderedFamily)
	f.adoptFrom(&old.tracker, f.groupMap(&old.groups), func(to, s *orderedState) {
		*to = *s
		if !sameLabels {
			for i := range to.parts {
				to.parts[i].os = noSystem
			}
		}
	})
}
