package knock

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

// Access describes one shared sequence and what a knock must satisfy.
type Access struct {
	Name     string
	Sequence []Element // MinSequence to MaxSequence
	// Source tells who may knock; nil lets everyone.
	Source func(netip.Addr) bool

	// MinInterval and MaxInterval bound the time between neighbours, Within
	// the time from first to last. A MaxInterval of 0 sets no bound of its
	// own.
	MinInterval, MaxInterval, Within time.Duration
	// Reorder is how much earlier than its predecessor an element may
	// arrive. It has no effect where MinInterval is positive.
	Reorder time.Duration

	// RequireOS, unless nil, must match the label of every SYN of the knock,
	// with OSConfidence at least (p0f.None stands for p0f.Family).
	RequireOS    *regexp.Regexp
	OSConfidence p0f.Confidence

	// Expires, unless zero, is when the access ends.
	Expires time.Time
}

// rule is an access as the hot path wants it.
type rule struct {
	Access
	all     uint32   // the bits of all elements
	same    []uint32 // same[i]: the positions that hold the same element as i
	syns    uint32   // the positions that are TCP
	allowed []bool   // by label: whether RequireOS lets it in; nil without a requirement

	min, max, within, reorder int64 // nanoseconds
}

func newRule(a Access, db *p0f.Database) (*rule, error) {
	n := len(a.Sequence)
	switch {
	case n < MinSequence || n > MaxSequence:
		return nil, fmt.Errorf("access %q: %d elements in the sequence, want %d to %d", a.Name, n, MinSequence, MaxSequence)
	case a.Within <= 0:
		return nil, fmt.Errorf("access %q: no time to knock within", a.Name)
	case a.RequireOS != nil && db == nil:
		return nil, errors.New("an operating system is required, but there are no fingerprints")
	}
	r := &rule{
		Access:  a,
		all:     1<<n - 1,
		same:    make([]uint32, n),
		min:     int64(a.MinInterval),
		max:     int64(a.MaxInterval),
		within:  int64(a.Within),
		reorder: int64(a.Reorder),
	}
	for i, e := range a.Sequence {
		if e.Protocol == packet.TCP {
			r.syns |= 1 << i
		}
		for j, other := range a.Sequence {
			if e == other {
				r.same[i] |= 1 << j
			}
		}
	}
	if a.RequireOS == nil {
		return r, nil
	}
	if r.OSConfidence == p0f.None {
		r.OSConfidence = p0f.Family
	}
	for _, label := range db.Labels() {
		r.allowed = append(r.allowed, label.Class == p0f.OS && a.RequireOS.MatchString(label.String()))
	}
	return r, nil
}

func (r *rule) interval(d int64) Reason {
	switch {
	case r.min > 0 && d < r.min:
		return TooFast
	case r.max > 0 && d > r.max:
		return TooSlow
	}
	return None
}

// satisfiedBy reports whether a fingerprint meets the OS requirement.
func (r *rule) satisfiedBy(m p0f.Match) bool {
	return m.Confidence >= r.OSConfidence && m.Confidence != p0f.None && r.allowed[m.Label]
}

// sameKnock reports whether half a knock for r is half a knock for other.
func (r *rule) sameKnock(other *rule) bool {
	return r.Name == other.Name && slices.Equal(r.Sequence, other.Sequence)
}
