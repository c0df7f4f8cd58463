package plan

import (
	"slices"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// Ruleset is the table that a policy calls for. It needs no keys.
func Ruleset(p *policy.Policy) *gate.Ruleset {
	accesses := enabled(p)
	return ruleset(p, accesses, tripwires(accesses, p.Engine.Tripwires))
}

// ruleset is the table for some accesses.
func ruleset(p *policy.Policy, accesses []*policy.Access, tripwires []port.Range) *gate.Ruleset {
	r := &gate.Ruleset{
		Table:   p.NFTables.Table,
		Group:   p.NFLog.Group,
		Workers: p.NFLog.Workers,
		Label:   p.NFTables.Label,
		Quotas:  quotas(accesses),
	}
	if p.NFTables.Hide == policy.HideReject {
		r.Hide = gate.Reject
	}
	for _, a := range accesses {
		r.Protected = append(r.Protected, a.Open...)
		for _, s := range a.Open {
			r.Openings = append(r.Openings, gate.Opening{Service: s, Bits4: a.Prefix4, Bits6: a.Prefix6, Once: a.SingleUse})
		}
		r.KnockPorts = append(r.KnockPorts, a.KnockPorts()...)
		r.ICMP = r.ICMP || slices.Contains(a.Sequence, port.Echo)
	}
	r.KnockPorts = append(r.KnockPorts, tripwires...)
	r.Protected, r.KnockPorts, r.Openings = distinct(r.Protected), distinct(r.KnockPorts), distinct(r.Openings)
	return r
}

const (
	// mostGrants is how many grants one access may have, of IPv4 and IPv6 each:
	// more than people who knock at once.
	mostGrants = 16384
	// leastGrants is how many a keyed access may have, however many there are.
	leastGrants = 64
)

// quotas share the room for grants out. Half of it is for the accesses with shared
// sequences, at which somebody who has seen one can knock from any address; all of
// them together cannot use up more. What one access uses up is its own.
func quotas(accesses []*policy.Access) map[string]int {
	shared := 0
	for _, a := range accesses {
		if a.Knock == policy.KnockShared {
			shared++
		}
	}
	const half = gate.MaxGrants / 2
	forShared := min(mostGrants, half/max(1, shared))
	forKeyed := min(mostGrants, max(leastGrants, half/max(1, len(accesses)-shared)))
	list := make(map[string]int, len(accesses))
	for _, a := range accesses {
		list[a.Name] = forKeyed
		if a.Knock == policy.KnockShared {
			list[a.Name] = forShared
		}
	}
	return list
}

// distinct leaves each item once, in the order of their first mention: thousands
// of accesses may open the same port and knock on the same.
func distinct[T comparable](list []T) []T {
	seen := make(map[T]bool)
	return slices.DeleteFunc(list, func(item T) bool {
		again := seen[item]
		seen[item] = true
		return again
	})
}
