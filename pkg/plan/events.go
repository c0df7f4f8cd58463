package plan

import (
	"errors"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// knock is what all events about the knock have in common.
func (d *Decision) knock() event.Knock {
	k := event.Knock{Source: d.Source, Kind: event.Kind(d.Kind())}
	if d.Access != nil {
		k.Access = d.Access.Name
	}
	return k
}

// Refusal is the event of a decision that refuses.
func (d *Decision) Refusal() event.Refused {
	e := event.Refused{
		Knock: d.knock(), Code: d.Refused.Code, Reason: d.Refused.Words, Step: d.Step, OS: d.OS,
		Authenticated: d.Authenticated, User: d.User, Clock: d.Clock,
	}
	if d.Access != nil {
		e.OSRequired = d.Access.OSRequired()
	}
	return e
}

// Successes are the events of a decision that granted something, in the order in
// which it was found: a message is deciphered before it is read, and a shared
// sequence is one only when all of it is right.
func (d *Decision) Successes(granted []gate.Grant) []event.Event {
	k := d.knock()
	var list []event.Event
	if d.Kind() != policy.KnockShared {
		list = append(list, event.KnockMatched{Knock: k})
	}
	if d.Access.RequireOS != nil {
		list = append(list, event.OSGuessed{Knock: k, OS: d.OS, Required: d.Access.OSRequired()})
	}
	if d.User != "" {
		list = append(list, event.UserMatched{Knock: k, User: d.User})
	}
	if d.Kind() == policy.KnockShared {
		list = append(list, event.KnockMatched{Knock: k})
	}
	for _, g := range granted {
		list = append(list, event.Granted{Grant: d.grant(g)})
	}
	return list
}

// Failure is the event of a grant that the gate could not make.
func (d *Decision) Failure(g gate.Grant, err error) event.GrantFailed {
	return event.GrantFailed{Grant: d.grant(g), Err: err}
}

func (d *Decision) grant(g gate.Grant) event.Grant {
	return event.Grant{
		Knock: d.knock(), Allow: d.Allow, To: g.Source, Open: g.Service, Timeout: g.Timeout, OS: d.OS, User: d.User,
	}
}

// NotSpent is the event of a decision whose token, or count, the store did not
// take: it refuses the knock if the store refuses, and says what failed otherwise.
func (d *Decision) NotSpent(err error) event.Event {
	switch {
	case errors.Is(err, spent.ErrSpent):
		d.Refused = AlreadyUsed
	case errors.Is(err, spent.ErrLimit):
		d.Refused = AtLimit
	case errors.Is(err, spent.ErrStale):
		d.Refused = TooStale
	default:
		return event.Unrecorded{Knock: d.knock(), Err: err}
	}
	return d.Refusal()
}
