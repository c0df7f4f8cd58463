package knock

import (
	"fmt"
	"math/bits"
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

// MaxSealedWindow bounds the window of a SIV: the hint that finds its key
// among many is looked up for every half minute of it.
const MaxSealedWindow = 10 * time.Minute

// Ports returns those of all lanes.
func (s SIV) Ports() []port.Range { return portsFrom(s.Base, maxLanes*seal.LaneWidth, s.Protocols) }

func (s SIV) join(e *Engine, r *rule) error {
	switch {
	case s.Key == nil:
		return errNoKey
	case s.Window > MaxSealedWindow:
		return fmt.Errorf("bad window %v: want at most %v", s.Window, MaxSealedWindow)
	}
	s.Key = s.Key.Clone()
	e.siv.add(sivAccess{r, s})
	return nil
}

// sivAccess is an access with a SIV, whose key is the engine's own.
type sivAccess struct {
	*rule
	SIV
}

// sivFamily recognises SIV knocks.
type sivFamily struct {
	tracker[sivState]
	groups[sivGroup]
}

type sivGroup struct {
	within int64 // the longest
	keys   []sivAccess
	hints  *sivHints
}

func newSIVFamily(e *Engine, room int) *sivFamily {
	f := new(sivFamily)
	f.engine, f.ended = e, f.verdictOnEnd
	f.table = newTable(room, func(*sivState) {}, func(s *sivState) { *s = sivState{} })
	return f
}

func (f *sivFamily) add(k sivAccess) {
	g := f.group(k.Ports())
	g.keys = append(g.keys, k)
	g.within = max(g.within, int64(k.Within))
	f.patience = max(f.patience, int64(k.Within))
}

func (f *sivFamily) prepare() {
	for _, g := range f.list {
		g.hints = newSIVHints(g.keys)
	}
	f.register(f.engine, f)
}

func (f *sivFamily) take(group int, a *arrival) {
	g := f.list[group]
	n := f.knockOf(a, group, g.within)
	s := &n.state
	s.dropOlder(a.now - g.within)
	offset := f.offset(group, a)
	lane, value := offset/seal.LaneWidth, byte(offset%seal.LaneWidth)
	changed := s.put(lane, sivValue{a.stamp(), value, true})
	if !has(s.filled, seal.SIVLen4) {
		return
	}
	// A repetition that changes nothing is looked at only once per burst: it may
	// be a replay of what was tried before.
	complete := s.touched == s.filled
	if complete {
		s.touched = 0
		s.bursts++
	}
	if changed || complete {
		search := f.search(&a.moment, n, a.now)
		search.run(a.packet.SrcPort)
	}
}

// search prepares a search in what a source has sent until a time.
func (f *sivFamily) search(m *moment, n *pending[sivState], at int64) sivSearch {
	budget := f.engine.work.budget(workSIV, n.source, m.now)
	return sivSearch{moment: m, budget: budget, group: f.list[n.group], knock: n, at: at}
}

// mostlyThere is how many lanes make a knock of which packets were lost. Fewer get
// no verdict: every port scan fills some.
const mostlyThere = seal.SIVLen4 * 3 / 4

// verdictOnEnd adds the verdict on what a source has sent since its last token, as
// of its last packet: the time to grant something is over.
func (f *sivFamily) verdictOnEnd(m *moment, n *pending[sivState], why Reason) {
	g, s := f.list[n.group], &n.state
	lanes, contested := s.sinceToken()
	switch {
	case s.noKey.within(g.within, n.since) || contested > fewLanes:
		// It has its verdict, or looks like a scan.
	case has(lanes, seal.SIVLen4):
		search := f.search(m, n, n.since)
		search.explain(lanes, true)
	case bits.OnesCount64(lanes) >= mostlyThere:
		m.add(Verdict{Access: onlyAccess(g.keys), Source: n.source, Reason: why, Step: bits.OnesCount64(lanes)})
	}
}

func (f *sivFamily) adopt(from family, sameLabels bool) {
	old := from.(*sivFamily)
	f.adoptFrom(&old.tracker, f.groupMap(&old.groups), func(to, s *sivState) {
		*to = *s
		if !sameLabels {
			to.forgetSystems()
		}
	})
}
