package knock

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// work bounds the time that trying keys may take, per source and for all sources
// together, for each kind of knock by itself: a flood of one kind takes nothing
// from the others. A sender without a key cannot be told from one with a key
// before its packets have been tried against the keys, so there has to be a bound
// that honest knocks, few as they are, stay below.
//
// It counts nominal time, not measured time: decisions must not depend on how busy
// the machine is. Sources whose hashes fall on the same bucket share it.
type work struct {
	seed    maphash.Seed
	sources [1 << 12]bucket
	totals  [numWorkKinds]bucket
	untried uint64 // see Stats
}

// workKind is a kind of knock whose keys are tried one by one.
type workKind int

const (
	workSIV workKind = iota
	workOrdered
	workSPA
	numWorkKinds
)

// The nominal costs of what is bounded, in nanoseconds: about what a processor
// of 2020 takes.
const (
	costChoice  = 150  // to put a message together and find the keys with its hint
	costLook    = 40   // a cheap look at a SIV message
	costOpen    = 1500 // opening a message that passed it
	costBlock   = 60   // one block of a cipher whose key is ready
	costSalted  = 1200 // a key that is derived first
	costHMAC    = 250  // of one packet, and a nanosecond per byte
	costDecrypt = 2500 // of one packet
)

// A source may cost a fiftieth of a processor in the long run, and all together,
// for each kind, a tenth. The bursts are what may be spent at once: enough for a
// valid packet whose key is the last of 10,000.
const (
	sourceShare = 0.02
	sourceBurst = int64(40 * time.Millisecond)
	totalShare  = 0.1
	totalBurst  = int64(200 * time.Millisecond)
)

func newWork() *work { return &work{seed: maphash.MakeSeed()} }

// budget returns what is left to a source, which for IPv6 is its /64, for a kind of
// knock, as it is now. It is valid for as long as now does not change.
func (w *work) budget(kind workKind, source netip.Addr, now int64) budget {
	k := sourceKey(source)
	if source.Is6() {
		clear(k[8:]) // k is a copy
	}
	b := budget{
		source: &w.sources[maphash.Comparable(w.seed, k)%uint64(len(w.sources))],
		total:  &w.totals[kind],
		work:   w,
	}
	b.source.refill(now, sourceShare, sourceBurst)
	b.total.refill(now, totalShare, totalBurst)
	return b
}

// budget is what trying keys on the packets of one source is charged to.
type budget struct {
	source, total *bucket
	work          *work
}

// spend takes nominal nanoseconds from the source's bucket and from the total, and
// reports whether both had some left; if not, it counts keys as untried. The last
// expense may overdraw: some costs are known only afterwards.
func (b budget) spend(cost int64) bool {
	if b.source.left() <= 0 || b.total.left() <= 0 {
		b.work.untried++
		return false
	}
	b.take(cost)
	return true
}

// take charges a cost even if nothing is left, for what must not be skipped: opening a
// message that a key seems to fit.
func (b budget) take(cost int64) {
	b.source.spent += cost
	b.total.spent += cost
}

// bucket is what may be spent. Its zero value is full.
type bucket struct {
	spent int64 // nanoseconds, below burst unless overdrawn
	burst int64
	at    int64 // of the last refill
}

// refill gives back share nanoseconds per nanosecond since the last refill.
func (b *bucket) refill(now int64, share float64, burst int64) {
	b.burst = burst
	// Packets of one time refill once.
	if elapsed := now - b.at; elapsed > 0 {
		b.spent = max(b.spent-int64(float64(elapsed)*share), 0)
		b.at = now
	}
}

func (b *bucket) left() int64 { return b.burst - b.spent }
