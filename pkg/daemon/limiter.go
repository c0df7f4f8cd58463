package daemon

import (
	"time"

	"golang.org/x/time/rate"

	"nftknock/pkg/policy"
)

// limiter keeps strangers from filling the log.
type limiter struct {
	limit   *rate.Limiter
	omitted int
}

// allow reports whether a line may be written at a time. If so it adds to its
// fields how many were not since the last.
func (l *limiter) allow(at time.Time, fields []any) ([]any, bool) {
	if !l.limit.AllowN(at, 1) {
		l.omitted++
		return nil, false
	}
	if l.omitted > 0 {
		fields = append(fields, "omitted", l.omitted)
		l.omitted = 0
	}
	return fields, true
}

// limits are limiters, one for each kind of knock: lines of one kind, which may
// be easy to cause, leave the others theirs.
type limits struct {
	burst int
	kinds map[policy.Knock]*limiter
}

// linesPerSecond is what a limiter allows beyond its burst.
const linesPerSecond = 5

func newLimits(burst int) limits {
	return limits{burst, make(map[policy.Knock]*limiter)}
}

// of gives the limiter of a kind of knock.
func (l limits) of(kind policy.Knock) *limiter {
	if l.kinds[kind] == nil {
		l.kinds[kind] = &limiter{limit: rate.NewLimiter(linesPerSecond, l.burst)}
	}
	return l.kinds[kind]
}
