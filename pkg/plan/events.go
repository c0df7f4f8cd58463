package plan

import (
	"errors"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/spent"
)

// knock returns the fields that all events about the knock have.
func (d *Decision) knock() event.Knock {
	k := event.Knock{Source: d.Source, Kind: d.Kind()}
	if d.Access != nil {
		k.Access = d.Access.Name
	}
	return k
}

// Refusal returns the event of a decision that refuses.
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

// Successes returns the events of a decision after some of its grants were made, in the
// order in which the engine finds them out: a message is decrypted before its user is read,
// and a shared sequence matches only when its last packet is right.
func (d *Decision) Successes(granted []gate.Grant) []event.Event {
	k := d.knock()
	var list []event.Event
	if d.Kind() != event.KindShared {
		list = append(list, event.KnockMatched{Knock: k})
	}
	if d.Access.RequireOS != nil {
		list = append(list, event.OSGuessed{Knock: k, OS: d.OS, Required: d.Access.OSRequired()})
	}
	if d.User != "" {
		list = append(list, event.UserMatched{Knock: k, User: d.User})
	}
	if d.Kind() == event.KindShared {
		list = append(list, event.KnockMatched{Knock: k})
	}
	for _, g := range granted {
		list = append(list, event.Granted{Grant: d.grant(g)})
	}
	return list
}

// Failure returns the event of a grant that the gate could not make.
func (d *Decision) Failure(g gate.Grant, err error) event.GrantFailed {
	return event.GrantFailed{Grant: d.grant(g), Err: err}
}

// grant returns the fields that all events about a grant have.
func (d *Decision) grant(g gate.Grant) event.Grant {
	return event.Grant{
		Knock: d.knock(), Allow: d.Allow, To: g.Source, Open: g.Service, Forward: g.Forward, Timeout: g.Timeout, OS: d.OS, User: d.User,
	}
}

// NotBurnt returns the event of a decision that refuses, and whose entry of Burn the store
// could not record because of err.
func (d *Decision) NotBurnt(err error) event.RefusedUnrecorded {
	return event.RefusedUnrecorded{Knock: d.knock(), Err: err}
}

// NotSpent returns the event of a decision that grants, and whose entry the store did not
// record because of err: a Refused if the store refuses the entry, and an Unrecorded if the
// store has failed.
func (d *Decision) NotSpent(err error) event.Event {
	reason, ok := refusalBy(err)
	if !ok {
		return event.Unrecorded{Knock: d.knock(), Err: err}
	}
	refused := *d
	refused.Refused = reason
	return refused.Refusal()
}

// refusalBy returns the reason of a knock that the store refuses with err. ok is false if
// the error is a failure of the store.
func refusalBy(err error) (r Reason, ok bool) {
	switch {
	case errors.Is(err, spent.ErrSpent):
		return AlreadyUsed, true
	case errors.Is(err, spent.ErrLimit):
		return AtLimit, true
	case errors.Is(err, spent.ErrStale):
		return TooStale, true
	}
	return Reason{}, false
}
