package daemon

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"nftknock/pkg/knock"
	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
	"nftknock/pkg/plan"
)

// matcher is an engine and the plan it was made from.
type matcher struct {
	plan   *plan.Plan
	engine *knock.Engine
}

func newMatcher(p *plan.Plan) (*matcher, error) {
	engine, err := knock.New(p.Engine)
	if err != nil {
		return nil, err
	}
	return &matcher{p, engine}, nil
}

// worker is the hot path: it takes packets from one NFLOG group through
// decoding and engine, and routes what the verdicts come to. Until there is a
// verdict, nothing is shared with other workers and no lock is taken.
type worker struct {
	group   uint16
	source  nflog.Source
	matcher *matcher                // nil before the first packet
	next    atomic.Pointer[matcher] // takes over before the next packet
	untried atomic.Uint64           // see knock.Stats
	route   func(plan.Decision)
}

// replace lets a matcher take over, with the half-done knocks of accesses that
// stay the same. The first must be there before run.
func (w *worker) replace(m *matcher) { w.next.Store(m) }

// run works until the source is closed.
func (w *worker) run() error {
	var (
		rec nflog.Record
		p   packet.Packet
	)
	for {
		if err := w.source.Read(&rec); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("read nflog group %d: %w", w.group, err)
		}
		if w.next.Load() != nil {
			w.takeOver(w.next.Swap(nil))
		}
		if packet.Decode(rec.Payload, &p) != nil {
			continue // a fragment or garbage: no knock
		}
		verdicts := w.matcher.engine.Handle(rec.Time, &p)
		for i := range verdicts {
			w.route(w.matcher.plan.Decide(&verdicts[i]))
		}
		if n := w.matcher.engine.Untried(); n != w.untried.Load() {
			w.untried.Store(n) // an atomic store is slower than this comparison
		}
	}
}

func (w *worker) takeOver(m *matcher) {
	if w.matcher != nil {
		m.engine.Adopt(w.matcher.engine)
	}
	w.matcher = m
}
