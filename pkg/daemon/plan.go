package daemon

import (
	"errors"
	"fmt"
	"slices"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A Plan is a policy as the parts of the daemon want it: what the engines
// watch for and what the table says. Making one touches nothing but the
// signature files the policy names.
type Plan struct {
	Policy  *policy.Policy
	Engine  knock.Config
	Ruleset *gate.Ruleset
	// Accesses are the enabled ones; the index is that of knock.Verdict.
	Accesses []*policy.Access

	labels []p0f.Label               // by p0f.LabelID
	names  map[string]*policy.Access // of all accesses, enabled or not

	tripwires []port.Range
}

// ErrNothing is the error of a policy that opens nothing.
var ErrNothing = errors.New("the policy has no enabled [[access]], so there is nothing to do")

// NewPlan works out a policy. It fails when a signature file is unreadable, when
// a key is missing, or when there is nothing to do.
func NewPlan(p *policy.Policy) (*Plan, error) {
	plan, err := newOutline(p)
	if err != nil {
		return nil, err
	}
	fingerprints, err := p0f.Load(p.Fingerprint.Databases...)
	if err != nil {
		return nil, err
	}
	plan.Engine = knock.Config{
		MaxSources:   p.Engine.MaxSources,
		Tripwires:    plan.tripwires,
		Fingerprints: fingerprints,
	}
	plan.labels = fingerprints.Labels()
	for _, a := range plan.Accesses {
		access, err := engineAccess(a)
		if err != nil {
			return nil, fmt.Errorf("access %q: %w", a.Name, err)
		}
		plan.Engine.Accesses = append(plan.Engine.Accesses, access)
	}
	return plan, nil
}

// LoadPlan reads a policy with its keys and works it out. What is wrong with what
// the policy names, such as a signature file, is a diagnostic too, and so are the
// plan's warnings. With any error the plan is nil.
func LoadPlan(path string) (*Plan, policy.Diagnostics) {
	p, diags := policy.Load(path)
	if diags.HasErrors() {
		return nil, diags
	}
	plan, err := NewPlan(p)
	if err != nil {
		return nil, append(diags, policy.Diagnostic{File: path, Severity: policy.SeverityError, Message: err.Error()})
	}
	return plan, append(diags, plan.Warnings()...)
}

// newOutline is NewPlan without what the engine needs: keys and signature files.
func newOutline(p *policy.Policy) (*Plan, error) {
	plan := &Plan{Policy: p, Accesses: enabled(p), names: make(map[string]*policy.Access)}
	if len(plan.Accesses) == 0 {
		return nil, ErrNothing
	}
	for i := range p.Accesses {
		plan.names[p.Accesses[i].Name] = &p.Accesses[i]
	}
	plan.tripwires = tripwires(plan.Accesses, p.Engine.Tripwires)
	plan.Ruleset = ruleset(p, plan.Accesses, plan.tripwires)
	return plan, nil
}

// Ruleset is the table that a policy calls for. It needs no keys.
func Ruleset(p *policy.Policy) *gate.Ruleset {
	accesses := enabled(p)
	return ruleset(p, accesses, tripwires(accesses, p.Engine.Tripwires))
}

func enabled(p *policy.Policy) []*policy.Access {
	var accesses []*policy.Access
	for i := range p.Accesses {
		if p.Accesses[i].Enabled {
			accesses = append(accesses, &p.Accesses[i])
		}
	}
	return accesses
}

// remembers reports whether the plan has knocks that must be remembered on
// disk.
func (p *Plan) remembers() bool {
	return slices.ContainsFunc(p.Accesses, func(a *policy.Access) bool {
		return a.Knock != policy.KnockShared || a.Limit > 0
	})
}

// tripwires chooses n ports that honest traffic has no reason to touch.
func tripwires(accesses []*policy.Access, n int) []port.Range {
	var (
		sequences [][]port.Range
		taken     []port.Range
	)
	for _, a := range accesses {
		taken = append(taken, a.Open...)
		if a.Knock == policy.KnockShared {
			sequences = append(sequences, a.Sequence)
		} else {
			taken = append(taken, a.KnockPorts()...)
		}
	}
	taken = distinct(taken)
	return knock.Tripwires(n, sequences, func(e port.Range) bool {
		return slices.Contains(busyPorts, e.First) || slices.ContainsFunc(taken, e.Overlaps)
	})
}

// busyPorts are ports above 1023 on which servers commonly listen (IANA's
// registry and the defaults of widely deployed software). No tripwire is laid
// there, since honest clients touch them.
var busyPorts = []uint16{
	1080, 1194, 1433, 1521, 1701, 1723, 1812, 1813, 1883, 1900, 2049, 2181,
	2222, 2375, 2376, 2377, 2379, 2380, 3000, 3128, 3260, 3268, 3269, 3306,
	3389, 3478, 3479, 4222, 4369, 4500, 4646, 4789, 5000, 5060, 5061, 5201,
	5222, 5269, 5349, 5353, 5355, 5432, 5671, 5672, 5900, 5901, 5984, 5985,
	5986, 6000, 6081, 6379, 6443, 6514, 6660, 6667, 6697, 6881, 7946, 8000,
	8008, 8080, 8081, 8086, 8088, 8125, 8443, 8472, 8500, 8883, 8888, 9000,
	9001, 9042, 9090, 9091, 9092, 9093, 9100, 9200, 9300, 9418, 9443, 10000,
	10050, 10051, 10250, 11211, 15672, 19132, 22000, 25565, 25826, 27015,
	27017, 28017, 32400, 41641, 50000, 51413, 51820, 64738,
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

// Warnings tells of accesses that nobody can satisfy, since no system that the
// fingerprints know fits the one they require.
func (p *Plan) Warnings() policy.Diagnostics {
	var warnings policy.Diagnostics
	for _, a := range p.Accesses {
		if a.RequireOS == nil || slices.ContainsFunc(p.labels, func(l p0f.Label) bool {
			return l.Class == p0f.OS && a.RequireOS.MatchString(l.String())
		}) {
			continue
		}
		warnings = append(warnings, policy.Diagnostic{
			File: a.Pos.File, Line: a.Pos.Line, Column: a.Pos.Column, Severity: policy.SeverityWarning,
			Message: fmt.Sprintf("access %q requires %q, which none of the %d known systems is, so no knock opens it", a.Name, osRequired(a), len(p.labels)),
			Hint:    "\"nftknockd fingerprint\" of a capture shows what a client's system is called",
		})
	}
	return warnings
}
