package event

import (
	"time"

	"golang.org/x/time/rate"
)

// class is a group of events that share a limit. Those that are easy to cause
// leave the others theirs.
type class uint8

const (
	unlimited class = iota
	grants          // with a shared sequence that they have seen, strangers cause even these
	refusals
	strays // refusals of a single packet, which are told only at level debug
	failures
	ends    // of grants that were not told
	repairs // another process may undo each of them
	numClasses
)

// budget is how many lines one access may cause.
type budget struct {
	rate  rate.Limit // per second
	burst int
}

var budgets = [numClasses]budget{
	grants:   {5, 30},
	refusals: {5, 20},
	strays:   {5, 20},
	failures: {5, 20},
	ends:     {5, 30},
	repairs:  {rate.Every(10 * time.Second), 20},
}

// allAccesses is how many times the budget of one access all of a class have
// together. Whoever can make thousands of accesses refuse does not fill the log.
const allAccesses = 10

// floorEvery is how often an access is told of when the others have used up the
// budget of all.
const floorEvery = time.Minute

// maxBuckets bounds the accesses that have a bucket, over all classes. Those beyond
// it share one per class.
const maxBuckets = 4096

// sweepEvery is how often, at most, buckets that need not be kept are looked for.
const sweepEvery = time.Second

// limits decides which lines are written. It is not safe for concurrent use.
type limits struct {
	all     [numClasses]*rate.Limiter
	rest    [numClasses]*bucket // of accesses without one
	buckets map[bucketKey]*bucket
	swept   time.Time
}

type bucketKey struct {
	class  class
	access string
}

// bucket is the share of one access in a class.
type bucket struct {
	own     *rate.Limiter
	floor   *rate.Limiter // a part of own that the other accesses cannot use up
	omitted int           // lines since the last that was written
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
	return &bucket{own: rate.NewLimiter(b.rate, b.burst), floor: rate.NewLimiter(rate.Every(floorEvery), 1)}
}

// allow reports whether a line may be written at a time, and how many were not
// since the last that was.
func (l *limits) allow(c class, access string, at time.Time) (ok bool, omitted int) {
	b := l.bucket(bucketKey{c, access}, at)
	if !b.own.AllowN(at, 1) || !l.all[c].AllowN(at, 1) && !b.floor.AllowN(at, 1) {
		b.omitted++
		return false, 0
	}
	omitted, b.omitted = b.omitted, 0
	return true, omitted
}

func (l *limits) bucket(key bucketKey, at time.Time) *bucket {
	if b := l.buckets[key]; b != nil {
		return b
	}
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

// sweep drops the buckets that are full again: new ones would be the same. What
// they count as omitted goes to the one that their class shares.
func (l *limits) sweep(at time.Time) {
	if at.Sub(l.swept) < sweepEvery {
		return
	}
	l.swept = at
	for key, b := range l.buckets {
		if b.own.TokensAt(at) >= float64(b.own.Burst()) && b.floor.TokensAt(at) >= 1 {
			l.rest[key.class].omitted += b.omitted
			delete(l.buckets, key)
		}
	}
}
