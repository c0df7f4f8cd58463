package plan

import (
	"slices"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// Ruleset returns the table of a policy, which may have been read without its keys.
func Ruleset(p *policy.Policy) *gate.Ruleset {
	accesses := enabled(p)
	return ruleset(p, accesses, tripwires(accesses, p.Engine.Tripwires))
}

// ruleset returns the table for the enabled accesses and the tripwires of a policy.
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
		// Services of several accesses may overlap: the gate merges them in its sets.
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

// Bounds of a quota.
const (
	// maxQuota is how many grants one access may have, of IPv4 and of IPv6: more than
	// there are people who knock at the same time.
	maxQuota = 16384
	// minQuota is how many grants a keyed access may have, however many accesses there are.
	minQuota = 64
)

// quotas divides the room for grants among the accesses. Accesses with shared sequences
// have half of it together, because anyone who has seen a sequence can send it from any
// address; the other half is for keyed accesses. An access cannot use the room of another.
func quotas(accesses []*policy.Access) map[string]int {
	shared := 0
	for _, a := range accesses {
		if a.Knock == policy.KnockShared {
			shared++
		}
	}
	const half = gate.MaxGrants / 2
	// max(1, ...) is for a policy that has no access of a kind: its quota is not used, but
	// must not be a division by zero.
	forShared := min(maxQuota, half/max(1, shared))
	forKeyed := min(maxQuota, max(minQuota, half/max(1, len(accesses)-shared)))
	list := make(map[string]int, len(accesses))
	for _, a := range accesses {
		list[a.Name] = forKeyed
		if a.Knock == policy.KnockShared {
			list[a.Name] = forShared
		}
	}
	return list
}

// distinct removes repetitions and keeps the order. It works in place: list must not be
// used afterwards. Thousands of accesses may have the same ports, so it takes linear time.
func distinct[T comparable](list []T) []T {
	seen := make(map[T]bool)
	return slices.DeleteFunc(list, func(item T) bool {
		again := seen[item]
		seen[item] = true
		return again
	})
}
