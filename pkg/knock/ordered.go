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
// before it and after it, but not in between.
type Ordered struct {
	// Key is a *seal.Article or a *seal.Fwknop19.
	Key  OrderedKey
	Base uint16 // at most seal.MaxBase
	// Protocols are TCP, UDP or both, in this order.
	Protocols []packet.Protocol
	// Within is the time from the first packet to the last.
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

func newOrderedFamily(e *Engine, room int) *orderedFamily {
	f := new(orderedFamily)
	f.engine, f.ended = e, f.verdictOnEnd
	f.table = newTable(room, func(*orderedState) {}, func(s *orderedState) { *s = orderedState{} })
	return f
}

func (f *orderedFamily) add(k orderedAccess) {
	g := f.group(k.Ports())
	g.keys = append(g.keys, k)
	g.within = max(g.within, int64(k.Within))
	g.article = g.article || k.article != nil
	g.salted = g.salted || k.salted != nil
	f.patience = max(f.patience, int64(k.Within))
}

func (f *orderedFamily) prepare() { f.register(f.engine, f) }

// maxOrdered is the number of bytes of the longest message.
const maxOrdered = seal.Fwknop19Len

// orderedState holds the last bytes that came from a source.
type orderedState struct {
	parts  [maxOrdered]part // a ring
	count  int              // of all that came
	tokens recentTokens
	noKey  instant // when a verdict last said that no key opens a message
}

// back returns the byte that came n before the last, if that many came.
func (s *orderedState) back(n int) *part { return &s.parts[(s.count-1-n)%maxOrdered] }

func (s *orderedState) put(p part) {
	s.parts[s.count%maxOrdered] = p // in place of the oldest
	s.count++
}

// repeats reports whether a packet is once more one of the last few that came
// since a time.
func (s *orderedState) repeats(p *part, since int64) bool {
	const few = 8
	for i := range min(few, s.count) {
		if o := s.back(i); o.at >= since && p.repeats(o) {
			return true
		}
	}
	return false
}

// sinceToken counts the bytes that came since a time, the last maxOrdered at most,
// and after the last token and its repetitions.
func (s *orderedState) sinceToken(since int64) int {
	for i := range min(s.count, maxOrdered) {
		if at := s.back(i).at; at < since || s.tokens.mayRepeat(at) {
			return i
		}
	}
	return min(s.count, maxOrdered)
}

func (f *orderedFamily) take(group int, a *arrival) {
	g := f.list[group]
	n := f.knockOf(a, group, g.within)
	p := a.part(byte(f.offset(group, a)))
	if n.state.repeats(&p, a.now-g.within) {
		return
	}
	n.state.put(p)
	budget := f.engine.work.budget(workOrdered, a.packet.Src, a.now)
	// Nothing marks where an article message begins, so each packet may be the last
	// of one.
	search := orderedSearch{&a.moment, budget, g, n}
	if g.article && n.state.count >= seal.ArticleLen {
		search.try(seal.ArticleLen)
	}
	if g.salted && n.state.count >= seal.Fwknop19Len {
		search.try(seal.Fwknop19Len)
	}
}

// orderedSearch looks for a message that ends with the last packet of a source.
type orderedSearch struct {
	moment *moment // when the packet came; takes the verdicts
	budget budget
	group  *orderedGroup
	knock  *pending[orderedState]
}

// try takes the last bytes for a message of a length. If not all keys could be
// tried, nothing is known and there is no verdict.
func (s *orderedSearch) try(length int) {
	var buffer [maxOrdered]byte
	message := buffer[:length]
	st := &s.knock.state
	// back counts from the last byte, so the message is filled from its end.
	for i := range message {
		message[length-1-i] = st.back(i).value
	}
	cost := int64(costBlock)
	if length == seal.Fwknop19Len {
		if !seal.Salted(message) {
			return
		}
		cost = costSalted
	}
	first := st.back(length - 1).at
	out := finding{source: s.knock.source, step: length}
	for i := range s.group.keys {
		k := &s.group.keys[i]
		if k.length() != length || s.moment.now-first > int64(k.Within) {
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
			s.check(k, m, message, &out)
		}
	}
	s.conclude(&out, first)
}

// check adds what an access grants of a message that its key opens.
func (s *orderedSearch) check(k *orderedAccess, m seal.Message, message []byte, out *finding) {
	sys := systems{rule: k.rule}
	// From the first packet to the last: the order decides which system is named.
	for i := len(message) - 1; i >= 0; i-- {
		sys.add(&s.knock.state.back(i).stamp)
	}
	source, at := s.knock.source, s.moment.time
	req := sealedRequest(m, message, source, at)
	out.add(&sys, req, k.refusal(&k.Terms, req, source, at))
}

// conclude adds the verdict on a message whose first packet came at a time, one for
// all its repetitions.
func (s *orderedSearch) conclude(out *finding, first int64) {
	st, now := &s.knock.state, s.moment.now
	if out.found {
		id := tokenID(out.verdict.Request.Token[:])
		if !st.tokens.repeats(id, first, now) {
			st.tokens.add(id, now)
			s.moment.add(out.verdict)
		}
		return
	}
	// Any 16 bytes may be a message of an article key, which has to wait for the
	// end of the knock. But only a salted one begins as this does.
	if out.step == seal.Fwknop19Len && !st.noKey.within(s.group.within, now) {
		st.noKey = instant{now, true}
		s.moment.add(Verdict{Access: onlyAccess(s.group.keys), Source: out.source, Reason: NoKey, Step: out.step})
	}
}

// verdictOnEnd adds the verdict that what a source has sent was no knock, if it was
// as many packets as one has, or mostly.
func (f *orderedFamily) verdictOnEnd(m *moment, n *pending[orderedState], why Reason) {
	g, st := f.list[n.group], &n.state
	least := seal.Fwknop19Len
	if g.article {
		least = seal.ArticleLen
	}
	came := st.sinceToken(n.since - g.within)
	switch {
	case st.noKey.within(g.within, n.since) || came < least*3/4:
		return
	case came >= least:
		why = NoKey
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
