package knock

import "nftknock/pkg/seal"

// sivHints finds the keys of a group whose hint in a step of time has a given
// value. The hints of a step are computed when they are first needed, and kept.
type sivHints struct {
	keys  []sivAccess
	steps int // in which a token may be in time; see nthStep
	rows  [hintRows]sivHintRow
	hints []byte // memory for fill: the hint of each key
}

// widest is the number of steps, to either side, of the widest window.
const widest = int64(MaxSealedWindow / seal.HintPeriod)

// hintRows is how many steps are kept. Two of one window must not share a row:
// the constant below is negative, and does not compile, if they do.
const hintRows = 64

const _ = uint(hintRows - (2*widest + 1))

// sivHintRow holds the keys of one step, ordered by hint: those of hint h are
// order[start[h]:start[h+1]].
type sivHintRow struct {
	step  int64
	ready bool
	order []int32
	start [257]int32
}

func newSIVHints(keys []sivAccess) *sivHints {
	reach := 0
	for _, k := range keys {
		reach = max(reach, int((k.Window+seal.HintPeriod-1)/seal.HintPeriod))
	}
	return &sivHints{keys: keys, steps: 2*reach + 1, hints: make([]byte, len(keys))}
}

// nthStep returns the steps around one in the order of their likelihood: itself, the
// one before, the one after, and so on.
func nthStep(now int64, n int) int64 {
	distance := int64(n+1) / 2
	if n%2 == 1 {
		return now - distance
	}
	return now + distance
}

// with returns the indices of the keys that have a hint in a step.
func (h *sivHints) with(step int64, hint byte) []int32 {
	row := &h.rows[uint64(step)%uint64(len(h.rows))]
	if !row.ready || row.step != step {
		h.fill(row, step)
	}
	return row.order[row.start[hint]:row.start[int(hint)+1]]
}

// fill makes the row of a step: it sorts the keys by counting.
func (h *sivHints) fill(r *sivHintRow, step int64) {
	if r.order == nil {
		r.order = make([]int32, len(h.keys))
	}
	r.step, r.ready = step, true
	clear(r.start[:])
	for i := range h.keys {
		h.hints[i] = h.keys[i].Key.Hint(step)
		r.start[int(h.hints[i])+1]++
	}
	// Sums turn counts into start offsets: each hint starts where the one before it ends.
	for hint := range 256 {
		r.start[hint+1] += r.start[hint]
	}
	next := r.start
	for i, hint := range h.hints {
		r.order[next[hint]] = int32(i)
		next[hint]++
	}
}
