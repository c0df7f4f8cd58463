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
	repairs // another process may undo each of them
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

// reservedInterval is the time between two lines of an access that the other accesses
// cannot use up.
const reservedInterval = time.Minute

// maxBuckets is how many buckets there are, over all classes. Accesses beyond them share
// one bucket per class.
const maxBuckets = 4096

// sweepInterval is the shortest time between two sweeps.
const sweepInterval = time.Second

// limits decides which events have a line. It is not safe for concurrent use.
type limits struct {
	all     [numClasses]*rate.Limiter
	rest    [numClasses]*bucket // shared by the accesses without one of their own
	buckets map[bucketKey]*bucket
	swept   time.Time // of the last sweep
}

type bucketKey struct {
	class  class
	access string
}

// bucket is the share of one access in a class.
type bucket struct {
	own      *rate.Limiter
	reserved *rate.Limiter // for lines that the budget of all accesses does not allow
	omitted  int           // events without a line since the last with one
}

func newLimits() limits {
	l := limits{buckets: make(map[bucketKey]*bucket)}
	for c, b := range budgets {
		l.all[c] = rate.NewLimiter(b.rate*allAccesses, b.burst*allAccesses)
		l.rest[c] = newBucket(b)
	}
	return l
}

func newBucket(b budget) *bucket {
	return &bucket{own: rate.NewLimiter(b.rate, b.burst), reserved: rate.NewLimiter(rate.Every(reservedInterval), 1)}
}

// allow reports whether an event may have a line, and how many had none since the last that
// had one.
func (l *limits) allow(c class, access string, at time.Time) (ok bool, omitted int) {
	b := l.bucket(bucketKey{c, access}, at)
	// The order matters: AllowN uses a turn up (the library calls it a token) if it returns true, so own comes first and
	// the budget of all is used only by events that own allows.
	if !b.own.AllowN(at, 1) || !l.all[c].AllowN(at, 1) && !b.reserved.AllowN(at, 1) {
		b.omitted++
		return false, 0
	}
	omitted, b.omitted = b.omitted, 0
	return true, omitted
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
		return l.rest[key.class]
	}
	b := newBucket(budgets[key.class])
	l.buckets[key] = b
	return b
}

// sweep removes the buckets whose limiters are full again: a new bucket is the same. The
// bucket that the class shares takes over their counts of omitted events. A sweep looks at
// all buckets, so that it is not done for every event of a flood.
func (l *limits) sweep(at time.Time) {
	if at.Sub(l.swept) < sweepInterval {
		return
	}
	l.swept = at
	for key, b := range l.buckets {
		// TokensAt counts the turns that are left without using one up.
		if b.own.TokensAt(at) >= float64(b.own.Burst()) && b.reserved.TokensAt(at) >= 1 {
			l.rest[key.class].omitted += b.omitted
			delete(l.buckets, key)
		}
	}
}
