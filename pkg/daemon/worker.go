package daemon

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"nftknock/pkg/knock"
	"nftknock/pkg/nflog"
	"nftknock/pkg/packet"
)

// shift is what a worker works by: an engine and the plan it was made from.
type shift struct {
	plan   *Plan
	engine *knock.Engine
}

// decision is a verdict and the plan that its access is to be looked up in.
type decision struct {
	plan    *Plan
	verdict knock.Verdict
}

// worker is the hot path: it takes packets from one NFLOG group through
// decoding and engine, and passes verdicts on. Nothing is shared with other
// workers and no lock is taken.
type worker struct {
	group     uint16
	source    nflog.Source
	shift     *shift
	relief    atomic.Pointer[shift] // takes over before the next packet
	decisions chan<- decision
	unread    atomic.Uint64 // packets that could not be decoded
}

// relieve lets another engine take over, with the half-done knocks of
// accesses that stay the same.
func (w *worker) relieve(s *shift) { w.relief.Store(s) }

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
		if next := w.relief.Swap(nil); next != nil {
			next.engine.Adopt(w.shift.engine)
			w.shift = next
		}
		if err := packet.Decode(rec.Payload, &p); err != nil {
			w.unread.Add(1)
			continue
		}
		for _, v := range w.shift.engine.Handle(rec.Time, &p) {
			w.decisions <- decision{w.shift.plan, v}
		}
	}
}
