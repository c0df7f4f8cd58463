package plan

import (
	"fmt"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A Restriction says why a plan does not allow a running grant as it is. The zero value is
// that of a grant that the plan allows.
type Restriction struct {
	Reason string // a sentence without its end, such as `access "ssh" has expired`
	// Instead are the grants that the plan allows in its place: with less time, or for
	// fewer ports. None lasts longer than the grant.
	Instead []gate.Grant
}

// CheckGrant compares a running grant with what its access allows at the time now. since is
// part of the reason for an access that the plan does not have, or has disabled: "by a
// reload", for example. Grants that name no access were not made by the daemon, and are
// allowed.
func (p *Plan) CheckGrant(g gate.Grant, now time.Time, since string) Restriction {
	name := g.Access
	a := p.names[name]
	switch {
	case name == "":
		return Restriction{}
	case a == nil:
		return Restriction{Reason: fmt.Sprintf("access %q was removed %s", name, since)}
	case !a.Enabled:
		return Restriction{Reason: fmt.Sprintf("access %q was disabled %s", name, since)}
	case expired(a, now):
		return Restriction{Reason: fmt.Sprintf("access %q has expired", name)}
	// The setting "source" is about the address that knocks. With allow_other_address that
	// may have been another than the grant's, and the table does not say which; with a
	// prefix, it may have been any address of it.
	case g.Method != MethodByHand && !a.AllowOtherAddress && !a.Source.Contains(g.Source.Addr()) && g.Source.IsSingleIP():
		return Restriction{Reason: fmt.Sprintf("access %q is no longer for this address", name)}
	case g.Source != Grantee(g.Source.Addr(), a):
		return Restriction{Reason: fmt.Sprintf("access %q now grants another prefix length", name)}
	case g.Once != a.SingleUse:
		return Restriction{Reason: fmt.Sprintf("access %q has a changed single_use", name)}
	}
	return restrict(a, g)
}

// restrict compares the ports of a grant, and the time that it has left, with what its
// access allows.
func restrict(a *policy.Access, g gate.Grant) Restriction {
	longest := max(a.Timeout, a.MaxTimeout) // MaxTimeout is 0 where a knock cannot choose
	if g.Method == MethodByHand {
		longest = g.Remaining // whoever gave it chose the time
	}
	remaining := min(g.Remaining, longest)
	within, whole := within(a.Open, g.Service)
	r := Restriction{Reason: fmt.Sprintf("access %q no longer opens it", a.Name)}
	switch {
	case whole && g.Remaining <= longest:
		return Restriction{}
	case whole:
		r.Reason = fmt.Sprintf("access %q allows no longer timeout", a.Name)
	}
	if !whole && len(within) > 0 {
		r.Reason = fmt.Sprintf("access %q no longer opens all of it", a.Name)
	}
	for _, s := range within {
		r.Instead = append(r.Instead, gate.Grant{
			Source: g.Source, Service: s, Once: g.Once, Timeout: remaining, Remaining: remaining, Access: g.Access, Method: g.Method,
		})
	}
	return r
}

// within returns the services that lie within another service. If one of them covers that
// service as a whole, it returns that service alone, and whole is true. A service that only
// overlaps it is left out: the table has sets for services, not for the ports that two of
// them share.
func within(services []port.Range, of port.Range) (list []port.Range, whole bool) {
	for _, s := range services {
		if s.Covers(of) {
			return []port.Range{of}, true
		}
		if of.Covers(s) {
			list = append(list, s)
		}
	}
	return list, false
}
