package event

import (
	"time"

	"golang.org/x/time/rate"
)

// class is a group of events with a common limit. There are several, so that events that
// are easy to cause do not use up the lines of others.
type class uint8

const (
	unlimited  class = iota
	grantLines       // strangers can replay a shared sequence that they have seen
	refusals
	strays // refusals of a single packet, which have a line only at level debug
	failures
	ends    // of grants that have no line
	repairs // of the table and of NFLOG: another process may undo each of them
	numClasses
)

// budget is how many lines of a class one access may cause.
type budget struct {
	rate  rate.Limit // per second
	burst int
}

var budgets = [numClasses]budget{
	grantLines: {5, 30},
	refusals:   {5, 20},
	strays:     {5, 20},
	failures:   {5, 20},
	ends:       {5, 30},
	repairs:    {rate.Every(10 * time.Second), 20},
}

// allAccesses is the budget of all accesses together, per class, in budgets of one access.
// It keeps a stranger who knocks for thousands of accesses from filling the log.
const allAccesses = 10

// reserve is a second budget per class, for accesses that have had no line of it for a
// while: those that are flooded use up the first, and would leave the others no line.
// Together, the two are the bound of a class, however many accesses there are.
var reserve = budget{rate: 20, burst: 20}

// reservedInterval is the shortest time between two lines of an access by the reserve.
const reservedInterval = time.Minute

// maxAccesses is how many accesses a policy can have: see package policy.
const maxAccesses = 16384

// maxBuckets is how many buckets there are. Those of a policy always fit; names that
// reloads have removed may fill the rest.
const maxBuckets = int(numClasses) * maxAccesses

// sweepInterval is the shortest time between two sweeps.
const sweepInterval = time.Second

// limits decides which events have a line. It is not safe for concurrent use.
type limits struct {
	classes [numClasses]classLimits
	buckets map[bucketKey]*bucket
	swept   time.Time // of the last sweep
}

// classLimits are what the accesses of a class share.
type classLimits struct {
	all     *rate.Limiter
	reserve *rate.Limiter
	rest    *bucket // of the accesses without one of their own
	buckets int     // of the class
	omitted int     // events without a line that no later line has counted
}

type bucketKey struct {
	class  class
	access string
}

// bucket is the share of one access in a class.
type bucket struct {
	own     *rate.Limiter
	next    time.Time // when the access may have another line by the reserve
	omitted int       // events without a line since the last with one, or since the last flush
}

func newLimits() limits {
	l := limits{buckets: make(map[bucketKey]*bucket)}
	for c, b := range budgets {
		l.classes[c] = classLimits{
			all:     rate.NewLimiter(b.rate*allAccesses, b.burst*allAccesses),
			reserve: rate.NewLimiter(reserve.rate, reserve.burst),
			rest:    newBucket(b),
		}
	}
	return l
}

func newBucket(b budget) *bucket { return &bucket{own: rate.NewLimiter(b.rate, b.burst)} }

// allow reports whether an event may have a line, and how many had none since the last that
// had one.
func (l *limits) allow(c class, access string, at time.Time) (ok bool, omitted int) {
	b, shared := l.bucket(bucketKey{c, access}, at), &l.classes[c]
	// The order matters: AllowN uses a turn up if it returns true (the library calls it a
	// token), so own comes first and the budget of all is used only by events that own
	// allows.
	if !b.own.AllowN(at, 1) || !shared.all.AllowN(at, 1) && !shared.allowReserved(b, at) {
		b.omitted++
		shared.omitted++
		return false, 0
	}
	omitted, b.omitted = b.omitted, 0
	shared.omitted -= omitted
	return true, omitted
}

// allowReserved reports whether an access may have a line by the reserve.
func (c *classLimits) allowReserved(b *bucket, at time.Time) bool {
	if at.Before(b.next) || !c.reserve.AllowN(at, 1) {
		return false
	}
	// Twice the time in which each access has had its turn: so all have one, and half of
	// the reserve is left for accesses that are not flooded.
	turns := time.Duration(float64(c.buckets) / float64(reserve.rate) * float64(time.Second))
	b.next = at.Add(max(reservedInterval, 2*turns))
	return true
}

// bucket returns the bucket of an access in a class. It makes one if there is room.
func (l *limits) bucket(key bucketKey, at time.Time) *bucket {
	if b := l.buckets[key]; b != nil {
		return b
	}
	// The names of accesses are bounded by the policy, but each reload may bring new ones.
	if len(l.buckets) >= maxBuckets {
		l.sweep(at)
	}
	if len(l.buckets) >= maxBuckets {
		return l.classes[key.class].rest
	}
	b := newBucket(budgets[key.class])
	l.buckets[key] = b
	l.classes[key.class].buckets++
	return b
}

// sweep removes the buckets that are as a new one is. The bucket that the class shares takes
// over their counts of omitted events. A sweep looks at all buckets, so that it is not done
// for every event of a flood.
func (l *limits) sweep(at time.Time) {
	if at.Sub(l.swept) < sweepInterval {
		return
	}
	l.swept = at
	for key, b := range l.buckets {
		// TokensAt counts the turns that are left without using one up.
		if b.own.TokensAt(at) >= float64(b.own.Burst()) && !at.Before(b.next) {
			c := &l.classes[key.class]
			c.rest.omitted += b.omitted
			c.buckets--
			delete(l.buckets, key)
		}
	}
}

// flush returns how many events of each class had no line, apart from those that a later
// line or an earlier flush has counted.
func (l *limits) flush() (omitted [numClasses]int) {
	found := false
	for c := range l.classes {
		shared := &l.classes[c]
		omitted[c], shared.omitted, shared.rest.omitted = shared.omitted, 0, 0
		found = found || omitted[c] > 0
	}
	if found { // if not, a walk through all buckets would find nothing
		for _, b := range l.buckets {
			b.omitted = 0
		}
	}
	return omitted
}
