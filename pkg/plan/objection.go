package plan

import (
	"fmt"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// An Objection is why a running grant may not go on as it is. The zero value is
// none.
type Objection struct {
	Reason string
	// Instead is what may go on: less time, or fewer ports.
	Instead []gate.Grant
}

// Object compares a running grant with what its access allows now. since says when an access that is
// not in the plan was there. Grants that name no access are not ours to end.
func (p *Plan) Object(g gate.Grant, now time.Time, since string) Objection {
	name := g.Access
	a := p.names[name]
	switch {
	case name == "":
		return Objection{}
	case a == nil:
		return Objection{Reason: fmt.Sprintf("access %q was removed %s", name, since)}
	case !a.Enabled:
		return Objection{Reason: fmt.Sprintf("access %q was disabled %s", name, since)}
	case !a.Expires.IsZero() && !now.Before(a.Expires):
		return Objection{Reason: fmt.Sprintf("access %q has expired", name)}
	// With allow_other_address the source is that of the knock, which is not known
	// any more.
	case !a.AllowOtherAddress && !a.Source.Contains(g.Source.Addr()) && g.Source.IsSingleIP():
		return Objection{Reason: fmt.Sprintf("access %q is no longer for this address", name)}
	case g.Source != Grantee(g.Source.Addr(), a):
		return Objection{Reason: fmt.Sprintf("access %q now grants another prefix length", name)}
	case g.Once != a.SingleUse:
		return Objection{Reason: fmt.Sprintf("access %q has a changed single_use", name)}
	}
	return narrowed(a, g)
}

// narrowed compares a grant with what its access opens, and for how long.
func narrowed(a *policy.Access, g gate.Grant) Objection {
	longest := max(a.Timeout, a.MaxTimeout)
	remaining := min(g.Remaining, longest)
	within, whole := within(a.Open, g.Service)
	o := Objection{Reason: fmt.Sprintf("access %q no longer opens it", a.Name)}
	switch {
	case whole && g.Remaining <= longest:
		return Objection{}
	case whole:
		o.Reason = fmt.Sprintf("access %q allows no longer timeout", a.Name)
	}
	if !whole && len(within) > 0 {
		o.Reason = fmt.Sprintf("access %q no longer opens all of it", a.Name)
	}
	for _, s := range within {
		o.Instead = append(o.Instead, gate.Grant{
			Source: g.Source, Service: s, Once: g.Once, Timeout: remaining, Remaining: remaining, Access: g.Access, Method: g.Method,
		})
	}
	return o
}

// within gives the services that lie within another one, or that one alone if one
// of them has all of it.
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
