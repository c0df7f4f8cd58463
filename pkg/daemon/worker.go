package daemon

import (
	"sync/atomic"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
	"nftknock/pkg/plan"
)

// matcher is an engine and the plan it was made from.
type matcher struct {
	enginePlan *plan.Plan // see applyPolicy
	engine     *knock.Engine
}

func newMatcher(p *plan.Plan) (*matcher, error) {
	engine, err := knock.New(p.Engine)
	if err != nil {
		return nil, err
	}
	return &matcher{p, engine}, nil
}

// worker reads the packets of one NFLOG group, decodes them, hands them to an engine, and
// routes the decisions about its verdicts. This is the hot path: a packet without a verdict
// costs no lock, no allocation and no memory that workers share.
type worker struct {
	group   uint16
	source  *groupSource
	matcher *matcher                // of the goroutine of run; nil before the first packet
	next    atomic.Pointer[matcher] // replaces matcher before the next packet; nil for none
	untried atomic.Uint64           // a copy of knock.Stats.Untried for other goroutines
	route   func(plan.Decision)     // may wait
}

// replace makes run use another matcher from the next packet on, with the half-done knocks of
// unchanged accesses. It must be called once before run. It does not wait; any goroutine may
// call it.
func (w *worker) replace(m *matcher) { w.next.Store(m) }

// run reads packets until the source is closed for good. If the group cannot be opened or
// read, run opens it again after a pause.
func (w *worker) run() {
	pause := minOpenPause
	for {
		source := w.source.current()
		if source == nil {
			if !w.source.wait(pause) {
				return
			}
			pause = min(2*pause, maxOpenPause)
			w.source.open()
			continue
		}
		began := time.Now()
		if !w.source.fail(w.read(source)) {
			return
		}
		// A group that fails as soon as it is open must not be opened in a busy loop.
		if time.Since(began) > steady {
			pause = minOpenPause
		}
	}
}

// read reads packets from an open group until that fails, and returns why.
func (w *worker) read(source nflog.Source) error {
	// Outside of the loop, because rec and p are passed by reference and therefore live on
	// the heap: one allocation in all, and not one per packet.
	var (
		rec nflog.Record
		p   packet.Packet
	)
	for {
		if err := source.Read(&rec); err != nil {
			return err
		}
		// Load first: unlike Swap, it does not take the cache line from other CPUs. Swap
		// cannot return nil here, since only this goroutine stores nil.
		if w.next.Load() != nil {
			w.switchTo(w.next.Swap(nil))
		}
		if packet.Decode(rec.Payload, &p) != nil {
			continue // a fragment or an invalid packet is no knock
		}
		// The verdicts are in memory that the next Handle uses again; a decision is a copy.
		verdicts := w.matcher.engine.Handle(rec.Time, &p)
		for i := range verdicts {
			w.route(w.matcher.enginePlan.Decide(&verdicts[i]))
		}
		if n := w.matcher.engine.Untried(); n != w.untried.Load() {
			w.untried.Store(n) // an atomic store is slower than this comparison
		}
	}
}

// switchTo replaces the matcher. Only the goroutine of run may call it.
func (w *worker) switchTo(m *matcher) {
	if w.matcher != nil {
		m.engine.Adopt(w.matcher.engine)
	}
	w.matcher = m
}
