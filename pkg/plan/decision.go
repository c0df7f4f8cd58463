package plan

import (
	"cmp"
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

// A Decision is what is to be done about a knock. It grants if Refused is the zero
// Reason.
type Decision struct {
	Time    time.Time
	Source  netip.Addr     // of the packets
	Access  *policy.Access // nil where the knock may have been meant for several
	Step    int            // packets of the knock that had arrived
	OS      string         // the label of the system that sent it, empty if unknown
	Refused Reason

	// Authenticated knocks are those that a key opens. The next four are theirs.
	Authenticated bool
	User          string
	Clock         time.Duration // by how much the sender's clock is ahead of ours
	Token         spent.Token
	Forget        time.Time // when Token can be forgotten; zero for never

	// Allow is whom the knock would let in, to Services, for Timeout: what it asks
	// for within the bounds of Access. They are set for refused knocks too, as far
	// as Access is known.
	Allow    netip.Addr
	Services []port.Range // no two overlap; not to be changed
	Timeout  time.Duration
}

// A Reason is why a knock is refused.
type Reason struct {
	// Code is for programs: it keeps its meaning, whatever Words become.
	Code event.Code
	// Words say it to people. They may hold what differs from knock to knock.
	Words string
}

// The reasons that are not the engine's.
var (
	AlreadyUsed = Reason{event.CodeAlreadyUsed, "already used"}
	AtLimit     = Reason{event.CodeLimitReached, "the access has reached its limit"}
	TooStale    = Reason{event.CodePruned, "token is older than the pruned part of the store; check the system clock"}
	Changed     = Reason{event.CodeChanged, "the access was changed by a reload meanwhile"}
)

// Decide tells what the verdict of an engine of this plan comes to.
func (p *Plan) Decide(v *knock.Verdict) Decision {
	d := Decision{Time: v.Time, Source: v.Source, Step: v.Step, Allow: v.Source, OS: p.system(v.OS)}
	if v.Access != knock.NoAccess {
		d.Access = p.Accesses[v.Access]
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

// system names the system that a fingerprint tells.
func (p *Plan) system(m p0f.Match) string {
	if m.Confidence == p0f.None {
		return ""
	}
	return p.systems[m.Label]
}

// request takes over what an authenticated knock asks for.
func (d *Decision) request(r *knock.Request) {
	d.Authenticated = true
	d.User, d.Clock, d.Token, d.Forget = r.User, r.Clock, r.Token, r.Forget
	d.Allow = r.Allow
	if r.Open != nil {
		d.Services = distinct(slices.Clone(r.Open))
	}
	if r.Timeout != 0 && d.Access != nil {
		d.Timeout = min(r.Timeout, d.Access.MaxTimeout)
	}
}

// reason gives the engine's reason, with what the knock itself tells.
func (d *Decision) reason(v *knock.Verdict) Reason {
	r := Reason{event.Code(v.Reason.Code()), v.Reason.String()}
	if !d.Authenticated {
		return r
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

func (d *Decision) clockWords(off time.Duration, side string) string {
	return ": made " + wording.Duration(off) + " " + side + " it arrived, " + wording.Duration(d.Access.Window) +
		" allowed; compare the clocks of client and server"
}

// Granted reports whether the knock is to be honoured, once Spend is recorded.
func (d *Decision) Granted() bool { return d.Refused == Reason{} }

// Kind is the kind of knock, empty where that is not known.
func (d *Decision) Kind() policy.Knock {
	if d.Access == nil {
		return ""
	}
	return d.Access.Knock
}

// Grants are those of a decision that grants, one per service.
func (d *Decision) Grants() []gate.Grant {
	grants := make([]gate.Grant, len(d.Services))
	for i, s := range d.Services {
		grants[i] = gate.Grant{
			Source:  Grantee(d.Allow, d.Access),
			Service: s,
			Once:    d.Access.SingleUse,
			Timeout: d.Timeout,
			Access:  d.Access.Name,
			Method:  string(d.Access.Knock),
		}
	}
	return grants
}

// Grantee is whom an access lets in for an address: that address, or the prefix
// around it.
func Grantee(address netip.Addr, a *policy.Access) netip.Prefix {
	bits := cmp.Or(a.Prefix6, address.BitLen())
	if address.Is4() {
		bits = cmp.Or(a.Prefix4, address.BitLen())
	}
	return netip.PrefixFrom(address, bits).Masked()
}

// Spend is what has to be on disk before the grants of the decision may be made:
// the token, and one of the honoured knocks that a limit counts. any is false for
// a knock that has neither.
func (d *Decision) Spend() (e spent.Entry, any bool) {
	e = spent.Entry{Access: d.Access.Name, Limit: d.Access.Limit}
	if d.Authenticated {
		token := d.Token // a copy, so that a decision need not live on the heap
		e.Token, e.Expires = &token, d.Forget
	}
	return e, e.Token != nil || e.Limit != 0
}

// Burn is what has to be recorded of a knock that is refused: whoever saw it on
// its way could send it again, from where it would be granted. any is false for a
// knock without a token, or with one that is refused for its age by now.
func (d *Decision) Burn() (e spent.Entry, any bool) {
	if !d.Authenticated || !d.Forget.IsZero() && !d.Time.Before(d.Forget) {
		return e, false
	}
	token := d.Token
	e = spent.Entry{Token: &token, Expires: d.Forget}
	if d.Access != nil {
		e.Access = d.Access.Name // whose share of the queue it takes
	}
	return e, true
}
