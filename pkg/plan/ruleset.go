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
		Quotas:  policy.Shares(accesses),
	}
	if p.NFTables.Hide == policy.HideReject {
		r.Hide = gate.Reject
	}
	setMode(r, p.NFTables)
	// Services may overlap: the gate merges them in its sets.
	if r.Mode == gate.ModeGate {
		r.Protected = p.Hidden()
	}
	for _, a := range accesses {
		if r.Mode == gate.ModeMark {
			r.Protected = append(r.Protected, a.Open...)
		}
		for _, s := range a.Open {
			r.Openings = append(r.Openings, gate.Opening{Service: s, Bits4: a.Prefix4, Bits6: a.Prefix6, Once: a.SingleUse})
		}
		if a.ByPayload() {
			r.Messages = append(r.Messages, a.KnockPorts()...)
		} else {
			r.KnockPorts = append(r.KnockPorts, a.KnockPorts()...)
		}
		r.Forward = r.Forward || a.Forwarding()
		r.Masquerade = r.Masquerade || a.Masquerade && a.Forwarding()
		r.ICMP = r.ICMP || slices.Contains(a.Sequence, port.Echo)
	}
	r.KnockPorts = append(r.KnockPorts, tripwires...)
	r.Protected, r.KnockPorts, r.Openings = distinct(r.Protected), distinct(r.KnockPorts), distinct(r.Openings)
	r.Messages = distinct(r.Messages)
	return r
}

// setMode sets the mode of a ruleset, and what belongs to that alone.
func setMode(r *gate.Ruleset, c policy.NFTables) {
	switch c.Mode {
	case policy.ModeSet:
		r.Mode, r.Set4, r.Set6 = gate.ModeSet, c.Set4, c.Set6
	case policy.ModeMark:
		r.Mode, r.Mark = gate.ModeMark, c.Mark
	}
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
