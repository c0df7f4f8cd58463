package hostrules

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// Kind is what happens to a packet.
type Kind uint8

// What can happen.
const (
	Dropped    Kind = iota // drop, or the policy of a chain
	Rejected               // dropped with an answer
	Queued                 // handed to a program, which decides
	Diverted               // sent to another interface from ingress
	Translated             // its destination was changed
	Untracked              // conntrack does not see it
)

// Ends reports whether the packet goes no further.
func (k Kind) Ends() bool { return k == Dropped || k == Rejected || k == Diverted }

// An Outcome is something that happens to a packet at a rule.
type Outcome struct {
	Kind  Kind
	Chain *Chain // the base chain's for a policy
	Base  *Chain // the base chain by which the packet came here
	Rule  *Rule  // nil for the policy of the chain
	// Certain: it happens to every such packet that reaches the base chain, if nothing else
	// stops it there. Otherwise it depends on something that is not known of the packet, such as its source.
	Certain bool
	// To is the new destination of Translated. Its address is invalid if it is this host
	// or unknown, and its port is 0 if it is unknown or stays.
	To netip.AddrPort
}

// A Trip is what Walk found.
type Trip struct {
	// Outcomes are in the order of the path, each rule once.
	Outcomes []Outcome
	// Blocked: no such packet arrives.
	Blocked bool
	// Incomplete: the rules take more steps than Walk makes, or nest deeper than the kernel
	// allows. What is missing may be anything.
	Incomplete bool
	// Steps is the number of rules that were looked at.
	Steps int
}

// Stops reports whether a part of the packets, or all, are stopped.
func (t Trip) Stops() bool {
	return slices.ContainsFunc(t.Outcomes, func(o Outcome) bool { return o.Kind.Ends() || o.Kind == Queued })
}

// Bounds of a walk. The kernel's jump stack has 16 entries (NFT_JUMP_STACK_SIZE).
const (
	maxSteps = 1 << 17
	maxJumps = 16
)

// Walk follows a packet that arrives at this host through all chains of its path but those
// of skipped tables, which may be nil: to a socket of this host, or where rules translate
// its destination or it is Forwarded, out again.
func (r *Ruleset) Walk(p Packet, skip func(*Table) bool) Trip {
	w := &walker{rules: r, skip: skip, seen: make(map[place]int)}
	s := newState(p)
	ok := w.hooks(s, Ingress, s.family())
	if ok && p.Bridge {
		frame := *s
		frame.Interface, frame.Index = "", 0
		ok = w.hooks(&frame, Prerouting, FamilyBridge) && w.hooks(&frame, Input, FamilyBridge)
		s.mark = frame.mark
	}
	ok = ok && w.hooks(s, Prerouting, s.family())
	if ok {
		ok = w.route(s)
	}
	w.trip.Blocked, w.trip.Steps = !ok, w.steps
	return w.trip
}

type place struct {
	chain, base *Chain
	rule        *Rule
	kind        Kind
}

type walker struct {
	rules *Ruleset
	skip  func(*Table) bool
	trip  Trip
	seen  map[place]int // the index in Outcomes
	steps int

	base         *Chain
	translations []translation // of the prerouting hook
}

// A translation is a new destination.
type translation struct {
	to      netip.AddrPort
	here    bool // to this host
	certain bool
}

// route takes a packet from prerouting to its end; it reports whether any can arrive.
func (w *walker) route(s *state) bool {
	translations := w.translations
	certain := slices.ContainsFunc(translations, func(t translation) bool { return t.certain })
	arrives := false
	for _, t := range translations {
		moved := *s
		moved.dnat = true
		if t.to.Port() != 0 {
			moved.Port = t.to.Port()
		}
		if !t.here {
			moved.Destination, moved.Forwarded = t.to.Addr(), true
		}
		arrives = w.deliver(&moved) || arrives
	}
	if certain {
		return arrives
	}
	return w.deliver(s) || arrives
}

func (w *walker) deliver(s *state) bool {
	if !s.Forwarded {
		return w.hooks(s, Input, s.family())
	}
	return w.hooks(s, Forward, s.family()) && w.hooks(s, Postrouting, s.family())
}

// hooks takes a packet through the base chains of a hook; it reports whether any such
// packet comes out.
func (w *walker) hooks(s *state, h Hook, f Family) bool {
	s.hook = h
	marked := h != Prerouting || f == FamilyBridge
	for _, c := range w.rules.Base(h, f, s.Interface) {
		if w.skip != nil && w.skip(c.Table) {
			continue
		}
		if !marked && c.Priority > MarkPriority {
			s.setMark(s.Mark)
			marked = true
		}
		s.priority = c.Priority
		if w.natDone(c) {
			continue
		}
		w.base = c
		if w.enter(c, s) == no {
			return false
		}
	}
	if !marked {
		s.setMark(s.Mark)
	}
	return true
}

// natDone reports whether a chain is not entered because the packet has its translation
// already.
func (w *walker) natDone(c *Chain) bool {
	return c.Type == "nat" && c.Hook == Prerouting && slices.ContainsFunc(w.translations, func(t translation) bool { return t.certain })
}

func (s *state) setMark(bits uint32) {
	for i, b := range binary.NativeEndian.AppendUint32(nil, bits) {
		s.mark.b[i] |= b
		s.mark.known[i] |= b
	}
}

// enter takes a packet through a base chain. It returns no if it is stopped for certain.
func (w *walker) enter(c *Chain, s *state) tri {
	out := w.chain(c, s, yes, 0)
	switch {
	case out.through == no && !out.passes:
		w.decide(c)
		return no
	case out.through != no && c.Drops:
		w.record(Outcome{Kind: Dropped, Chain: c, Certain: out.through == yes || !out.passes})
		if !out.passes {
			return no
		}
		return maybe
	case out.ends:
		return maybe
	}
	return yes
}

// decide makes the last outcome that stops packets at a base chain certain: all that came
// to the chain are stopped there, if not by a rule before.
func (w *walker) decide(c *Chain) {
	for i := len(w.trip.Outcomes) - 1; i >= 0; i-- {
		if o := &w.trip.Outcomes[i]; o.Base == c && o.Kind.Ends() {
			o.Certain = true
			return
		}
	}
}

// exit is how packets leave a chain.
type exit struct {
	through tri  // to where the chain was jumped to: none, some, all
	passes  bool // some were accepted
	ends    bool // some were accepted or stopped here
}

func (e *exit) add(f exit) {
	e.passes = e.passes || f.passes
	e.ends = e.ends || f.ends
}

// chain takes a packet through the rules of a chain. reached says whether every packet of
// those that came to the base chain comes here.
func (w *walker) chain(c *Chain, s *state, reached tri, depth int) exit {
	var e exit
	here := yes    // how many of those that entered are still here
	early := false // some returned before the end
	for _, r := range c.Rules {
		if w.steps++; w.steps > maxSteps || depth > maxJumps {
			w.trip.Incomplete = true
			return exit{through: maybe, passes: true, ends: true}
		}
		v := evaluate(w, r, s, min(here, reached))
		all, some := true, v.continues != no
		for _, b := range v.branches {
			left := w.branch(r, s, b, branchAt{min(b.found, here, reached), depth, &e})
			early = early || left.returns
			all = all && left.through == yes
			some = some || left.through != no
		}
		stays := no
		if some {
			stays = maybe
		}
		if all {
			stays = yes
		}
		if here = min(here, stays); here == no {
			break
		}
	}
	e.through = here
	if early {
		e.through = maybe
		if !e.ends {
			e.through = yes
		}
	}
	return e
}

// branchAt says where and how a branch is taken.
type branchAt struct {
	reached tri
	depth   int
	exit    *exit // of the chain
}

// left is what a branch does to those who take it.
type left struct {
	exit
	returns bool // they leave the chain by its end
}

// branch carries out a verdict of a rule.
func (w *walker) branch(r *Rule, s *state, b branch, at branchAt) left {
	switch b.verdict.code {
	case codeContinue, codeBreak:
		return left{exit: exit{through: yes}}
	case codeReturn:
		return left{returns: true}
	case codeAccept:
		at.exit.add(exit{passes: true, ends: true})
		return left{}
	case codeJump, codeGoto:
		return w.jump(r, s, b.verdict, at)
	}
	w.record(Outcome{Kind: b.kind, Chain: r.Chain, Rule: r, Certain: at.reached == yes})
	at.exit.add(exit{ends: true, passes: b.kind == Queued})
	return left{}
}

func (w *walker) jump(r *Rule, s *state, v verdict, at branchAt) left {
	c := r.Chain.Table.chain(v.chain)
	if c == nil {
		w.trip.Incomplete = true
		return left{exit: exit{through: maybe, ends: true}}
	}
	sub := w.chain(c, s, at.reached, at.depth+1)
	at.exit.add(sub)
	if v.code == codeGoto && sub.through != no {
		return left{returns: true}
	}
	return left{exit: sub}
}

// record adds an outcome; of several at the same rule, one that is certain stays.
func (w *walker) record(o Outcome) {
	o.Base = w.base
	p := place{o.Chain, o.Base, o.Rule, o.Kind}
	if i, ok := w.seen[p]; ok {
		w.trip.Outcomes[i].Certain = w.trip.Outcomes[i].Certain || o.Certain
		return
	}
	w.seen[p] = len(w.trip.Outcomes)
	w.trip.Outcomes = append(w.trip.Outcomes, o)
}
