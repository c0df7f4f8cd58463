package knock

import (
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

// Ports are one for each value of a byte.
func (o Ordered) Ports() []port.Range { return portsFrom(o.Base, 256, o.Protocols) }

func (o Ordered) join(e *Engine, r *rule) error {
	o.Key = cloneKey(o.Key)
	e.streams.add(ordered{r, o})
	return nil
}

// OrderedKey opens the message that its encoding makes of a knock.
type OrderedKey interface {
	Len() int // of a message, in bytes
	Open(message []byte) (seal.Message, bool)
}

// ordered is the knock of an access as the hot path wants it.
type ordered struct {
	*rule
	Ordered
}

// streams watches for ordered knocks. Those with the same base and protocols
// are a group.
type streams struct {
	tracker[stream]
	layouts
	groups  []*streamGroup  // one a layout
	message [maxStream]byte // the one in hand
}

type streamGroup struct {
	keys []ordered
	// salted is that some key is a *seal.Fwknop19, plain that some is a
	// *seal.Article.
	salted, plain bool
}

func newStreams(e *Engine, room int) *streams {
	s := new(streams)
	s.engine, s.drop = e, s.refuse
	s.table = newTable(room, func(*stream) {}, (*stream).reset)
	return s
}

func (s *streams) prepare() { s.listen(s.engine, s) }

func (s *streams) add(k ordered) {
	s.patience = max(s.patience, int64(k.Within))
	i := s.group(k.Ports())
	if i == len(s.groups) {
		s.groups = append(s.groups, new(streamGroup))
	}
	g := s.groups[i]
	g.keys = append(g.keys, k)
	if k.Key.Len() == seal.Fwknop19Len {
		g.salted = true
	} else {
		g.plain = true
	}
}

// cloneKey gives a key that no other engine uses.
func cloneKey(k OrderedKey) OrderedKey {
	switch k := k.(type) {
	case *seal.Article:
		return k.Clone()
	case *seal.Fwknop19:
		return k.Clone()
	}
	return k
}

// maxStream is the number of bytes of the longest message.
const maxStream = seal.Fwknop19Len

// stream holds the last bytes that came from a source.
type stream struct {
	bytes  [maxStream]part // a ring
	count  int             // of all that came
	judged judged
	told   bool
}

func (s *stream) reset() { *s = stream{} }

// back gives the byte that came n before the last.
func (s *stream) back(n int) *part { return &s.bytes[(s.count-1-n)%maxStream] }

func (s *stream) put(b part) {
	s.bytes[s.count%maxStream] = b
	s.count++
}

// repeats reports whether a packet is one of the last few once more.
func (s *stream) repeats(b *part) bool {
	const few = 8
	for i := range min(few, s.count) {
		if b.repeats(s.back(i)) {
			return true
		}
	}
	return false
}

func (s *streams) take(group int, el port.Range, p *packet.Packet, now int64) {
	g := s.groups[group]
	s.engine.work.charge(workOrdered, p.Src, now)
	n := s.of(p.Src, group, now)
	b := s.engine.part(p, byte(s.layouts.offset(group, el.First)), now)
	if n.state.repeats(&b) {
		return
	}
	n.state.put(b)
	if g.plain && n.state.count >= seal.ArticleLen {
		s.try(g, n, seal.ArticleLen, now)
	}
	if g.salted && n.state.count >= seal.Fwknop19Len {
		s.try(g, n, seal.Fwknop19Len, now)
	}
}

// try looks whether the last bytes are a message of a length.
func (s *streams) try(g *streamGroup, n *pending[stream], length int, now int64) {
	for i := range length {
		s.message[length-1-i] = n.state.back(i).value
	}
	message := s.message[:length]
	cost := int64(costBlock)
	if length == seal.Fwknop19Len {
		if !seal.Salted(message) {
			return
		}
		cost = costSalted
	}
	out := finding{engine: s.engine}
	for i := range g.keys {
		k := &g.keys[i]
		if k.Key.Len() != length || now-n.state.back(length-1).at > int64(k.Within) {
			continue
		}
		if out.granted() {
			break
		}
		if !s.engine.spend(cost) {
			if out.any {
				break
			}
			return // not all keys were tried, so nothing is known
		}
		if m, ok := k.Key.Open(message); ok {
			s.judge(k, n, m, message, &out)
		}
	}
	s.tell(g, n, message, &out, now)
}

// judge judges a message that a key opens.
func (s *streams) judge(k *ordered, n *pending[stream], m seal.Message, message []byte, out *finding) {
	sys := systems{rule: k.rule}
	for i := len(message) - 1; i >= 0; i-- {
		sys.see(&n.state.back(i).stamp)
	}
	req := sealedRequest(m, message, n.source, s.engine.at)
	out.add(&sys, n.source, len(message), req, k.judge(&k.Terms, req, n.source, s.engine.at, false))
}

// tell says what came of a message, once for all its repetitions.
func (s *streams) tell(g *streamGroup, n *pending[stream], message []byte, out *finding, now int64) {
	switch {
	case out.any:
		id := idOf(out.verdict.Request.Token[:])
		if !n.state.judged.echoes(id, now) {
			n.state.judged.record(id, now)
			out.say()
		}
	case len(message) == seal.Fwknop19Len && !n.state.told:
		// It begins as only such a message does.
		n.state.told = true
		s.engine.say(Verdict{Access: sole(g.keys), Source: n.source, Reason: NoKey, Step: len(message)})
	}
}

// refuse says that what a source has sent was no knock, if it was as many
// packets as one has, or nearly.
func (s *streams) refuse(n *pending[stream], why Reason) {
	g, st := s.groups[n.group], &n.state
	least := seal.Fwknop19Len
	if g.plain {
		least = seal.ArticleLen
	}
	switch {
	case st.judged.any() || st.told || st.count < least*3/4:
		return
	case st.count >= least:
		why = NoKey
	}
	s.engine.say(Verdict{Access: sole(g.keys), Source: n.source, Reason: why, Step: min(st.count, maxStream)})
}

func (s *streams) adopt(from family, sameLabels bool) {
	old := from.(*streams)
	s.adoptFrom(&old.tracker, s.from(old.layouts), func(to, st *stream) {
		*to = *st
		if !sameLabels {
			for i := range to.bytes {
				to.bytes[i].os = noSystem
			}
		}
	})
}
