package plan

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
	"nftknock/pkg/wording"
)

// A Decision says what is to be done about a knock: grant Services if Refused is the zero
// Reason, and refuse the knock otherwise. It refers to its Access and Services, which do not
// change; apart from that it is a value that can be copied.
type Decision struct {
	Time    time.Time
	Source  netip.Addr     // of the packets
	Access  *policy.Access // nil if the knock may have been meant for several
	Step    int            // packets of the knock that have arrived, without repetitions
	OS      string         // the label of the sender's operating system; empty if unknown
	Refused Reason
	// Again says that the knock may be a second round of the one before it: see
	// knock.Verdict. Nothing is to be recorded or granted while Grants last.
	Again bool

	// Authenticated says that a key decrypted the knock, or that its code was right. The
	// next four fields are set only then.
	Authenticated bool
	User          string
	Clock         time.Duration // by how much the sender's clock is ahead of ours
	Token         spent.Token
	Forget        time.Time // when the knock is refused for its age; zero for never

	// Allow, Services and Timeout are what the knock asks for, within the bounds of Access.
	// They are set for refused knocks, too, but Services and Timeout only with an Access
	// or an authenticated knock.
	Allow    netip.Addr
	Services []port.Range // no two overlap; must not be changed, as several decisions share it
	Timeout  time.Duration
}

// A Reason is why a knock is refused.
type Reason struct {
	// Code is for programs: it stays the same when Words are changed.
	Code event.Code
	// Words are for people. They may quote the knock.
	Words string
}

// The reasons that the engine does not know: those of the store, that of a reload, and that of
// a grant that lasts.
var (
	AlreadyUsed = Reason{event.CodeAlreadyUsed, "already used"}
	AtLimit     = Reason{event.CodeLimitReached, "the access has reached its limit"}
	TooStale    = Reason{event.CodePruned, "token is older than the pruned part of the store; check the system clock"}
	Repeated    = Reason{event.CodeRepeated, "repeated within 5s, and the grant of the knock before lasts"}
	Changed     = Reason{event.CodeChanged, "the access was changed by a reload meanwhile"}
)

// Decide makes the decision about a verdict of an engine that was made from this plan. The
// decision keeps no memory of the verdict, which the engine uses again.
func (p *Plan) Decide(v *knock.Verdict) Decision {
	d := Decision{Time: v.Time, Source: v.Source, Step: v.Step, Allow: v.Source, OS: p.system(v.OS), Again: v.Again}
	if v.Access != knock.NoAccess {
		d.Access = p.inEngine[v.Access]
		d.Services, d.Timeout = d.Access.Open, d.Access.Timeout
	}
	if v.Request != nil {
		d.request(v.Request)
	}
	if !v.Granted() {
		d.Refused = d.reason(v)
	}
	return d
}

// system returns the name of the operating system that a fingerprint matched, or "".
func (p *Plan) system(m p0f.Match) string {
	if m.Confidence == p0f.None {
		return ""
	}
	return p.systems[m.Label]
}

// request copies what an authenticated knock asks for.
func (d *Decision) request(r *knock.Request) {
	d.Authenticated = true
	d.User, d.Clock, d.Token, d.Forget = r.User, r.Clock, r.Token, r.Forget
	d.Allow = r.Allow
	if r.Open != nil {
		// Cloned, as distinct works in place. A knock may name a service twice.
		d.Services = distinct(slices.Clone(r.Open))
	}
	if r.Timeout != 0 && d.Access != nil {
		d.Timeout = min(r.Timeout, d.Access.MaxTimeout)
	}
}

// reason returns the engine's reason. If the knock is authenticated, its words say in what
// the knock differs from what is allowed.
func (d *Decision) reason(v *knock.Verdict) Reason {
	r := Reason{event.Code(v.Reason.Code()), v.Reason.String()}
	if !d.Authenticated {
		return r // anybody can make one, so nothing of it is quoted in the log
	}
	switch v.Reason {
	case knock.TooOld:
		r.Words += d.clockWords(-d.Clock, "before")
	case knock.TooNew:
		r.Words += d.clockWords(d.Clock, "after")
	case knock.OtherAddress:
		r.Words += ": " + d.Allow.String()
	case knock.NotOpen:
		r.Words += ": " + port.Join(v.Request.Open)
	}
	return r
}

// clockWords says by how much the clocks of client and server differ.
func (d *Decision) clockWords(off time.Duration, side string) string {
	return ": made " + wording.Duration(off) + " " + side + " it arrived, " + wording.Duration(d.Access.Window) +
		" allowed; compare the clocks of client and server"
}

// Granted reports whether the knock is to be honoured, once the entry of ToSpend is recorded.
func (d *Decision) Granted() bool { return d.Refused == Reason{} }

// Kind returns the kind of knock, or "" if the access is not known.
func (d *Decision) Kind() event.Kind {
	if d.Access == nil {
		return ""
	}
	return event.Kind(d.Access.Kind)
}

// Grants returns the grants of a decision that grants, one per service.
func (d *Decision) Grants() []gate.Grant {
	grants := make([]gate.Grant, len(d.Services))
	for i, s := range d.Services {
		grants[i] = gate.Grant{
			Source:  Grantee(d.Allow, d.Access),
			Service: s,
			Once:    d.Access.SingleUse,
			Timeout: d.Timeout,
			Access:  d.Access.Name,
			Method:  string(d.Access.Kind),
		}
	}
	return grants
}

// Grantee returns the source that an access lets in for an address: the address itself, or
// the prefix around it that the access sets.
func Grantee(address netip.Addr, a *policy.Access) netip.Prefix {
	bits := a.Prefix6
	if address.Is4() {
		bits = a.Prefix4
	}
	if bits == 0 {
		return gate.Host(address)
	}
	return netip.PrefixFrom(address, bits).Masked()
}

// ToSpend returns the entry that must be on disk before the grants of the decision may be
// made: the token, and the count of honoured knocks if the access has a limit. needed is
// false for a knock that has neither.
func (d *Decision) ToSpend() (e spent.Entry, needed bool) {
	e = spent.Entry{Access: d.Access.Name, Limit: d.Access.Limit}
	if d.Authenticated {
		// A copy: with the address of a field, escape analysis would move the whole
		// decision to the heap, for knocks without a token, too.
		token := d.Token
		e.Token, e.Expires = &token, d.Forget
	}
	return e, e.Token != nil || e.Limit != 0
}

// ToBurn returns the entry that must be recorded of a knock that is refused. Without it,
// whoever saw the knock on its way could send it again from an address, or at a time, at
// which it would be granted. needed is false for a knock without a token.
//
// A knock that is refused for its age has an entry, too: it is too old only as long as the
// clock is right. NB: the entry expires with the knock, although that may be over by now.
// The store then prunes it within a minute, and refuses the token as stale from then on. A
// later expiry would move the time up to which the store has pruned into the future of a
// clock that is ahead, and honest knocks would be stale when the clock is set right.
func (d *Decision) ToBurn() (e spent.Entry, needed bool) {
	if !d.Authenticated {
		return e, false
	}
	token := d.Token // a copy, as in ToSpend
	e = spent.Entry{Token: &token, Expires: d.Forget}
	if d.Access != nil {
		e.Access = d.Access.Name // not for the count: the queue has a bound per access
	}
	return e, true
}
