package knock

import (
	"time"

	"nftknock/pkg/seal"
)

// hints finds the keys whose hint in a step of time has a given value. The
// steps it needs it computes when it first needs them and keeps.
type hints struct {
	keys []sealed
	near int64 // steps of a window
	rows [64]hintRow
	of   []byte // hints, while a row is made
	list [2*widest + 1]int64
}

// widest is the number of steps, to either side, of the widest window. (A row
// must not be that of two of them.)
const widest = int64(MaxSealedWindow / seal.HintPeriod)

// hintRow are the keys of one step, ordered by hint: those of hint h are
// order[start[h]:start[h+1]].
type hintRow struct {
	step  int64
	ready bool
	order []int32
	start [257]int32
}

func newHints(keys []sealed) *hints {
	h := &hints{keys: keys, of: make([]byte, len(keys))}
	for _, k := range keys {
		steps := int64((k.Window + seal.HintPeriod - 1) / seal.HintPeriod)
		h.near = max(h.near, steps)
	}
	return h
}

// steps are those in which a token may be in time, the likely first. The
// slice is valid until the next call.
func (h *hints) steps(at time.Time) []int64 {
	now := seal.Step(at)
	h.list[0] = now
	for i := int64(1); i <= h.near; i++ {
		h.list[2*i-1], h.list[2*i] = now-i, now+i
	}
	return h.list[:2*h.near+1]
}

// with gives the keys that have a hint in a step.
func (h *hints) with(step int64, hint byte) []int32 {
	row := &h.rows[uint64(step)%uint64(len(h.rows))]
	if !row.ready || row.step != step {
		h.fill(row, step)
	}
	return row.order[row.start[hint]:row.start[int(hint)+1]]
}

// fill makes the row of a step: it sorts the keys by counting.
func (h *hints) fill(r *hintRow, step int64) {
	if r.order == nil {
		r.order = make([]int32, len(h.keys))
	}
	r.step, r.ready = step, true
	clear(r.start[:])
	for i := range h.keys {
		h.of[i] = h.keys[i].Key.Hint(step)
		r.start[int(h.of[i])+1]++
	}
	for hint := range 256 {
		r.start[hint+1] += r.start[hint]
	}
	next := r.start
	for i, hint := range h.of {
		r.order[next[hint]] = int32(i)
		next[hint]++
	}
}
