// Package plan turns a policy into what the engine and the gate want of it, and
// the verdict of an engine into a decision: to refuse, for a reason, or to grant
// these sources these services for so long, spending this token and this count.
//
// It decides and does nothing: no packet, clock, disk or table is in it. The
// daemon carries decisions out; the command "replay" prints them.
package plan

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

// A Plan is a policy as engine and gate want it. It does not change once it is
// made, so that any goroutine may use it.
type Plan struct {
	Policy  *policy.Policy
	Engine  knock.Config
	Ruleset *gate.Ruleset
	// Accesses are the enabled ones; the index is that of knock.Verdict.
	Accesses []*policy.Access

	labels    []p0f.Label               // by p0f.LabelID
	systems   []string                  // what the labels say
	names     map[string]*policy.Access // of all accesses, enabled or not
	tripwires []port.Range
}

// ErrNothing is the error of a policy that opens nothing.
var ErrNothing = errors.New("the policy has no enabled [[access]], so there is nothing to do")

// New works out a policy. Nothing is read but the signature files that the policy
// names. It fails when one of these is unreadable, when a key is missing, or when
// there is nothing to do, or when the gate would refuse the table.
func New(p *policy.Policy) (*Plan, error) {
	plan, err := Outline(p)
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
	for _, l := range plan.labels {
		plan.systems = append(plan.systems, l.String())
	}
	for _, a := range plan.Accesses {
		access, err := engineAccess(a)
		if err != nil {
			return nil, fmt.Errorf("access %q: %w", a.Name, err)
		}
		plan.Engine.Accesses = append(plan.Engine.Accesses, access)
	}
	return plan, nil
}

// Load reads a policy with its keys and works it out. What is wrong with what
// the policy names, such as a signature file, is a diagnostic too, and so are the
// plan's warnings. With any error the plan is nil.
func Load(path string) (*Plan, policy.Diagnostics) {
	p, diags := policy.Load(path)
	if diags.HasErrors() {
		return nil, diags
	}
	plan, err := New(p)
	if err != nil {
		return nil, append(diags, policy.Diagnostic{File: path, Severity: policy.SeverityError, Message: err.Error()})
	}
	return plan, append(diags, plan.Warnings()...)
}

// Outline is New without what the engine needs: keys and signature files. It
// touches no file.
func Outline(p *policy.Policy) (*Plan, error) {
	plan := &Plan{Policy: p, Accesses: enabled(p), names: make(map[string]*policy.Access)}
	if len(plan.Accesses) == 0 {
		return nil, ErrNothing
	}
	for i := range p.Accesses {
		plan.names[p.Accesses[i].Name] = &p.Accesses[i]
	}
	plan.tripwires = tripwires(plan.Accesses, p.Engine.Tripwires)
	plan.Ruleset = ruleset(p, plan.Accesses, plan.tripwires)
	// What the gate would refuse is to be known before anything is done.
	if err := plan.Ruleset.Validate(); err != nil {
		return nil, err
	}
	return plan, nil
}

// Current gives the access of this plan that is the same as one of an earlier plan,
// keys and all. ok is false where a reload has changed, disabled or removed it.
func (p *Plan) Current(earlier *policy.Access) (a *policy.Access, ok bool) {
	a = p.names[earlier.Name]
	if a == nil || !a.Enabled || a != earlier && !a.Equal(earlier) {
		return nil, false
	}
	return a, true
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

// Remembers reports whether the plan has knocks that must be recorded on disk.
func (p *Plan) Remembers() bool {
	return slices.ContainsFunc(p.Accesses, func(a *policy.Access) bool {
		return a.Knock != policy.KnockShared || a.Limit > 0
	})
}

// Warnings reports accesses that nobody can satisfy, since no system in the
// signature databases matches the one that they require.
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
			Message: fmt.Sprintf("access %q requires %q, which none of the %d known systems is, so no knock opens it", a.Name, a.OSRequired(), len(p.labels)),
			Hint:    "\"nftknockd fingerprint\" of a capture shows what a client's system is called",
		})
	}
	return warnings
}
