package knock

import (
	"errors"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// Access describes one knock and what it must satisfy.
type Access struct {
	Name string
	// Source reports whether packets of an address count; nil stands for every
	// address.
	Source func(netip.Addr) bool

	// RequireOS, unless nil, must be satisfied by the label of every SYN of the knock
	// (see p0f.Label.Satisfies), with OSConfidence at least (p0f.None stands for p0f.Family). A knock
	// without a SYN does not satisfy it.
	RequireOS    *regexp.Regexp
	OSConfidence p0f.Confidence

	// Expires, unless zero, is when the access ends.
	Expires time.Time

	// Knock is a Shared, SIV, Ordered, TOTP or SPA, or a pointer to one, with
	// its key. New refuses a nil one.
	Knock Kind
}

// Kind is a kind of knock: Shared, SIV, Ordered, TOTP or SPA.
type Kind interface {
	// Ports returns those that the packets of the knock go to, for the engine and
	// for the kernel alike. It needs neither keys nor times.
	Ports() []port.Range
	// join adds the knock of an access to its family in an engine that is being
	// made.
	join(*Engine, *rule) error
}

// The errors of an access without a knock, and of a knock without a key.
var (
	errNoKind = errors.New("it has no knock")
	errNoKey  = errors.New("its knock has no key")
)

// isNil reports whether a kind is nil or a nil pointer, whose methods would panic.
func isNil(k Kind) bool {
	v := reflect.ValueOf(k)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// portsFrom returns the range of width ports from base on for each protocol.
func portsFrom(base uint16, width int, protocols []packet.Protocol) []port.Range {
	ranges := make([]port.Range, len(protocols))
	for i, p := range protocols {
		ranges[i] = port.Range{Protocol: p, First: base, Last: base + uint16(width-1)}
	}
	return ranges
}

// rule is an access with what is computed once from it.
type rule struct {
	Access
	index   int    // of the access in Config.Accesses
	allowed []bool // by label: whether RequireOS accepts it; nil without a requirement
}

// newRule returns the rule of the access with an index. It is an error if the
// access requires a system and there are no fingerprints.
func newRule(a Access, index int, db *p0f.Database) (*rule, error) {
	r := &rule{Access: a, index: index}
	switch {
	case a.RequireOS == nil:
		return r, nil
	case db == nil:
		return nil, errors.New("an operating system is required, but there are no fingerprints")
	}
	if r.OSConfidence == p0f.None {
		r.OSConfidence = p0f.Family
	}
	// The expression is matched once per label here, and never per packet.
	for _, label := range db.Labels() {
		r.allowed = append(r.allowed, label.Satisfies(a.RequireOS))
	}
	return r, nil
}

// accessIndex returns the index of the access in Config.Accesses.
func (r *rule) accessIndex() int { return r.index }

// onlyAccess returns the index of the access to name when no key opens the knock: the only
// one, or NoAccess if there are several.
func onlyAccess[K interface{ accessIndex() int }](keys []K) int {
	if len(keys) == 1 {
		return keys[0].accessIndex()
	}
	return NoAccess
}

// admits reports whether packets of an address count.
func (r *rule) admits(source netip.Addr) bool { return r.Source == nil || r.Source(source) }

// expired reports whether the access has ended.
func (r *rule) expired(at time.Time) bool { return !r.Expires.IsZero() && at.After(r.Expires) }

// satisfiedBy reports whether a fingerprint meets the requirement, which there
// must be.
func (r *rule) satisfiedBy(m p0f.Match) bool {
	return m.Confidence >= r.OSConfidence && m.Confidence != p0f.None && r.allowed[m.Label]
}

// sameLabels reports whether two databases number their labels alike.
func sameLabels(a, b *p0f.Database) bool { return slices.Equal(labels(a), labels(b)) }

// labels returns those of a database, none for nil.
func labels(db *p0f.Database) []p0f.Label {
	if db == nil {
		return nil
	}
	return db.Labels()
}
