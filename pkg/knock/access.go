package knock

import (
	"errors"
	"net/netip"
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
	// Source tells who may knock; nil lets everyone.
	Source func(netip.Addr) bool

	// RequireOS, unless nil, must match the label of every SYN of the knock,
	// with OSConfidence at least (p0f.None stands for p0f.Family). A knock
	// without a SYN does not satisfy it.
	RequireOS    *regexp.Regexp
	OSConfidence p0f.Confidence

	// Expires, unless zero, is when the access ends.
	Expires time.Time

	Knock Kind
}

// Kind is a kind of knock: Shared, SIV, Ordered, TOTP or SPA.
type Kind interface {
	// Ports are those that the packets of the knock go to, for the engine and
	// for the kernel alike. Neither keys nor times count for them.
	Ports() []port.Range
	// join has an engine that is being made watch for the knock of an access.
	join(*Engine, *rule) error
}

// portsFrom gives a range of so many ports from base on for each protocol.
func portsFrom(base uint16, width int, protocols []packet.Protocol) []port.Range {
	ranges := make([]port.Range, len(protocols))
	for i, p := range protocols {
		ranges[i] = port.Range{Protocol: p, First: base, Last: base + uint16(width-1)}
	}
	return ranges
}

// rule is an access as the hot path wants it.
type rule struct {
	Access
	index   int    // see place
	allowed []bool // by label: whether RequireOS lets it in; nil without a requirement
}

func newRule(a Access, db *p0f.Database) (*rule, error) {
	if a.RequireOS != nil && db == nil {
		return nil, errors.New("an operating system is required, but there are no fingerprints")
	}
	r := &rule{Access: a}
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

// place is the index of the access in Config.Accesses.
func (r *rule) place() int { return r.index }

// admits reports whether an address may knock at all.
func (r *rule) admits(source netip.Addr) bool { return r.Source == nil || r.Source(source) }

// expired reports whether the access has ended.
func (r *rule) expired(at time.Time) bool { return !r.Expires.IsZero() && at.After(r.Expires) }

// satisfiedBy reports whether a fingerprint meets the OS requirement.
func (r *rule) satisfiedBy(m p0f.Match) bool {
	return m.Confidence >= r.OSConfidence && m.Confidence != p0f.None && r.allowed[m.Label]
}

// sameLabels reports whether two databases number their labels alike.
func sameLabels(a, b *p0f.Database) bool { return slices.Equal(labels(a), labels(b)) }

// labels are those of a database, none for no database.
func labels(db *p0f.Database) []p0f.Label {
	if db == nil {
		return nil
	}
	return db.Labels()
}
