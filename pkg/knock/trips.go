package knock

import (
	"hash/maphash"
	"time"
)

// A knock must follow its source's last touch of a tripwire by calm times its
// own duration, or by maxCalm if that is less. A scan in random order that
// happens on a sequence has rarely been away from the last tripwire for much
// longer than the sequence took it; who knocks on purpose has touched none.
//
// The time scales with the knock because scans come at every speed. It is bounded
// by maxCalm because the touch may be forged: forged touches void a knock while it
// lasts, and with the bound they lengthen that by these seconds and no more.
const (
	calm    = 8
	maxCalm = 10 * time.Second
)

// trips holds when sources last touched a tripwire: a table of fixed size in which
// a source overwrites another with the same hash. A flood empties it so, which
// makes the check for scans weaker and blocks nobody.
type trips struct {
	seed  maphash.Seed
	slots [1 << 14]trip
}

type trip struct {
	key key
	at  int64
	set bool
}

func newTrips() *trips { return &trips{seed: maphash.MakeSeed()} }

func (t *trips) slot(k key) *trip {
	return &t.slots[maphash.Comparable(t.seed, k)%uint64(len(t.slots))]
}

func (t *trips) record(k key, at int64) { *t.slot(k) = trip{key: k, at: at, set: true} }

// recently reports whether the source touched a tripwire so shortly before
// start that a knock of that duration counts as part of a scan.
func (t *trips) recently(k key, start, duration int64) bool {
	s := t.slot(k) // of this source, or of another with the same hash
	return s.set && s.key == k && start-s.at < min(calm*duration, int64(maxCalm))
}
