package knock

import (
	"hash/maphash"
	"time"
)

// A knock must follow its source's last touch of a tripwire by calm times its
// own duration, or by maxCalm if that is less. A scan in random order that
// happens on a sequence has rarely been away from the last tripwire for much
// longer than the sequence took it; a person who knocks has not been near one.
//
// It scales with the knock because scans come at every speed. It ends at
// maxCalm because the touch may be forged: what a forger can do by voiding a
// knock while it lasts, he can do for no more than these seconds longer.
const (
	calm    = 8
	maxCalm = 10 * time.Second
)

// trips remembers who touched a tripwire last: a table of fixed size in which
// a newcomer takes the place of whoever was there. Flooding it makes it
// forget, which costs the scan check and blocks nobody.
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
// start that a knock of that duration is taken for part of a scan.
func (t *trips) recently(k key, start, duration int64) bool {
	s := t.slot(k)
	return s.set && s.key == k && start-s.at < min(calm*duration, int64(maxCalm))
}
