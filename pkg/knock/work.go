package knock

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// work bounds the time that looking for keys may take, for every source and
// for all of them together, of each kind of knock by itself: a flood of one is
// nothing to the others. Whoever knows no key cannot be told from who does
// before his packets have been tried against the keys, so there has to be a
// bound that honest knocks, few as they are, do not meet.
//
// It counts nominal time, not measured one: what is decided must not depend on
// how busy the machine is. Sources that fall on the same bucket share it.
type work struct {
	seed    maphash.Seed
	sources [1 << 12]bucket
	totals  [numWorkKinds]bucket

	source, total *bucket // the ones that are charged
}

// workKind is a kind of knock that keys are looked for.
type workKind int

const (
	workSealed workKind = iota
	workOrdered
	workDatagram
	numWorkKinds
)

// The nominal costs of what is bounded, in nanoseconds: about what a processor
// of 2020 takes.
const (
	costChoice  = 150  // to put a message together and look for keys with its hint
	costLook    = 40   // a cheap look at a sealed message
	costOpen    = 1500 // opening what passed it
	costBlock   = 60   // one block of a cipher whose key is ready
	costSalted  = 1200 // a key that is derived first
	costHMAC    = 250  // of one packet, and a nanosecond a byte
	costDecrypt = 2500 // of one packet
)

// A source may cost a fiftieth of a processor in the long run and all together,
// of each kind, a tenth, with some to spend at once: enough for a valid packet
// at the end of 10,000 keys.
const (
	sourceShare = 0.02
	sourceBurst = int64(40 * time.Millisecond)
	totalShare  = 0.1
	totalBurst  = int64(200 * time.Millisecond)
)

func newWork() *work { return &work{seed: maphash.MakeSeed()} }

// charge has the spending that follows go to the account of a source, which for
// IPv6 is its /64, and of a kind of knock.
func (w *work) charge(kind workKind, source netip.Addr, now int64) {
	k := sourceKey(source)
	if source.Is6() {
		clear(k[8:])
	}
	w.source = &w.sources[maphash.Comparable(w.seed, k)%uint64(len(w.sources))]
	w.source.refill(now, sourceShare, sourceBurst)
	w.total = &w.totals[kind]
	w.total.refill(now, totalShare, totalBurst)
}

// spend takes nominal nanoseconds from the source's share and everyone's, and
// reports whether both had some left. The last to be let through may overdraw:
// what it costs is not known before.
func (w *work) spend(cost int64) bool {
	if w.source.left() <= 0 || w.total.left() <= 0 {
		return false
	}
	w.take(cost)
	return true
}

// take spends without asking, for what is worth it whatever is left: a message
// that a key seems to fit.
func (w *work) take(cost int64) {
	w.source.spent += cost
	w.total.spent += cost
}

// bucket is what may be spent. Its zero value is full.
type bucket struct {
	spent int64 // below the burst
	burst int64
	at    int64
}

func (b *bucket) refill(now int64, share float64, burst int64) {
	b.burst = burst
	if elapsed := now - b.at; elapsed > 0 {
		b.spent = max(b.spent-int64(float64(elapsed)*share), 0)
		b.at = now
	}
}

func (b *bucket) left() int64 { return b.burst - b.spent }
