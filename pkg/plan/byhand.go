package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// MethodByHand is the method of grants that a command made. Of what their access allows a
// knock, they are held to the services and the form of its grants, and not to its source and
// its timeout.
const MethodByHand = "by-hand"

// ByHand returns the grants that let a source in without a knock, with the timeout of their
// access. what is a service, or the name of an access, for all that it opens. A service is
// granted as an access opens it: as a whole, and to the prefix that it sets for an address.
// The error says why that is not possible.
func (p *Plan) ByHand(source netip.Prefix, what string, now time.Time) ([]gate.Grant, error) {
	// No name of an access has a slash.
	if !strings.Contains(what, "/") {
		a, err := p.accessByHand(what, now)
		if err != nil {
			return nil, err
		}
		return grantsByHand(source, a, a.Open)
	}
	s, err := port.ParseService(what)
	if err != nil {
		return nil, err
	}
	return p.serviceByHand(source, s, now)
}

// accessByHand returns an access that a grant may be made for.
func (p *Plan) accessByHand(name string, now time.Time) (*policy.Access, error) {
	a := p.names[name]
	switch {
	case a == nil:
		return nil, fmt.Errorf("no access is called %q: want the name of one, or a service such as tcp/22", name)
	case !a.Enabled:
		return nil, fmt.Errorf("access %q is disabled", name)
	case expired(a, now):
		return nil, fmt.Errorf("access %q has expired", name)
	}
	return a, nil
}

func expired(a *policy.Access, now time.Time) bool {
	return !a.Expires.IsZero() && !now.Before(a.Expires)
}

// serviceByHand makes a grant of a service for the first access that opens it in the form that
// is asked for. One that a connection uses up comes last.
func (p *Plan) serviceByHand(source netip.Prefix, s port.Range, now time.Time) ([]gate.Grant, error) {
	var once []gate.Grant
	err := p.notOpened(s)
	for _, a := range p.Accesses {
		if expired(a, now) || !slices.Contains(a.Open, s) {
			continue
		}
		grants, wrong := grantsByHand(source, a, []port.Range{s})
		switch {
		case wrong != nil:
			err = wrong
		case !a.SingleUse:
			return grants, nil
		case once == nil:
			once = grants
		}
	}
	if once != nil {
		return once, nil
	}
	return nil, err
}

// notOpened says why no access opens a service.
func (p *Plan) notOpened(s port.Range) error {
	for _, a := range p.Accesses {
		for _, o := range a.Open {
			if o != s && o.Overlaps(s) {
				return fmt.Errorf("%s is not opened by itself: access %q opens %s, grant that", s, a.Name, o)
			}
		}
	}
	if !slices.ContainsFunc(p.Ruleset.Protected, s.Overlaps) {
		return fmt.Errorf("%s is not hidden by this policy, so there is nothing to grant", s)
	}
	return fmt.Errorf("%s is hidden, and no access that is in force opens it: the table has no room for grants of it", s)
}

func grantsByHand(source netip.Prefix, a *policy.Access, services []port.Range) ([]gate.Grant, error) {
	to := Grantee(source.Addr(), a)
	// The table has sets for the lengths of prefixes that accesses grant, and for no others.
	if !source.IsSingleIP() && source != to {
		what := "addresses"
		if !to.IsSingleIP() {
			what = fmt.Sprintf("prefixes of length /%d", to.Bits())
		}
		return nil, fmt.Errorf("access %q lets single %s in, and not %s", a.Name, what, source)
	}
	d := Decision{Access: a, Allow: source.Addr(), Services: services, Timeout: a.Timeout}
	grants := d.Grants()
	for i := range grants {
		grants[i].Method = MethodByHand
	}
	if len(grants) < len(services) {
		return nil, fmt.Errorf("access %q leads where a knock says, so only a knock can be granted", a.Name)
	}
	return grants, nil
}
