// Package plan turns a policy into the configuration of the engine and the gate, and the
// verdict of an engine into a decision: to refuse the knock, with a reason; or to grant a
// source some services for a time, after a token and a count are recorded.
//
// The package decides, and does nothing about it: it uses no packet, clock, store or
// table. The daemon carries decisions out; the command "replay" prints them.
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

// A Plan is the configuration of the engine and the gate that a policy asks for. It does
// not change once it is made, so that any goroutine may use it.
type Plan struct {
	Policy  *policy.Policy
	Engine  knock.Config
	Ruleset *gate.Ruleset
	// Accesses are the enabled accesses, in the order of the policy.
	Accesses []*policy.Access
	// Void are those of them that no knock opens, because something that they need could not
	// be read. Their services are hidden like others. Only Start makes a plan with any.
	Void []Void

	inEngine []*policy.Access // by knock.Verdict.Access: Accesses without the void ones

	databases string                    // digestFiles of when they were loaded
	labels    []p0f.Label               // by p0f.LabelID
	systems   []string                  // the labels as text, so that verdicts allocate none
	names     map[string]*policy.Access // all accesses by name, enabled or not
	tripwires []port.Range
	free      []port.Range // see freePorts
}

// ErrNothing is the error of a policy that opens nothing, and does not say in so many words
// that it is to hide services all the same.
var ErrNothing = errors.New("the policy has no enabled [[access]], so there is nothing to do " +
	"(protect in [nftables] hides services that nobody is to reach)")

// New makes the plan of a policy. It reads the signature files that the policy names, and no
// other file. It fails if one of them cannot be read, if the key of an access is missing, if
// the gate would refuse the table, or with ErrNothing.
func New(p *policy.Policy) (*Plan, error) {
	plan, err := Outline(p)
	if err != nil {
		return nil, err
	}
	fingerprints, err := p0f.Load(p.Fingerprint.Databases...)
	if err != nil {
		return nil, err
	}
	plan.setFingerprints(fingerprints)
	for _, a := range plan.Accesses {
		if err := plan.addToEngine(a); err != nil {
			return nil, fmt.Errorf("access %q: %w", a.Name, err)
		}
	}
	return plan, nil
}

// setFingerprints begins the configuration of the engine.
func (p *Plan) setFingerprints(db *p0f.Database) {
	p.Engine = knock.Config{
		MaxSources:   p.Policy.Engine.MaxSources,
		Tripwires:    p.tripwires,
		Fingerprints: db,
	}
	p.databases = digestFiles(p.Policy.Fingerprint.Databases)
	p.labels = db.Labels()
	for _, l := range p.labels {
		p.systems = append(p.systems, l.String())
	}
	p.inEngine = nil // addToEngine adds them
}

// addToEngine adds an access to the configuration of the engine. It fails if its key is
// missing.
func (p *Plan) addToEngine(a *policy.Access) error {
	access, err := p.engineAccess(a)
	if err != nil {
		return err
	}
	p.Engine.Accesses = append(p.Engine.Accesses, access)
	p.inEngine = append(p.inEngine, a)
	return nil
}

// Load reads a policy with its keys and makes its plan. Errors of New are among the
// diagnostics, and so are the plan's Warnings. If any diagnostic is an error, the plan is
// nil. Load may take seconds: it derives keys from passphrases.
func Load(path string) (*Plan, policy.Diagnostics) {
	p, diags := policy.Load(path)
	if diags.HasErrors() {
		return nil, diags
	}
	plan, err := New(p)
	if errors.Is(err, ErrNothing) { // which a warning says, too
		diags = slices.DeleteFunc(diags, func(d policy.Diagnostic) bool { return d.Code == policy.CodeNothingEnabled })
	}
	if err != nil {
		return nil, append(diags, policy.Diagnostic{File: path, Severity: policy.SeverityError, Message: err.Error()})
	}
	return plan, append(diags, plan.Warnings()...)
}

// Outline is New without the configuration of the engine, for a policy that was read
// without its keys. It reads no file. The error is ErrNothing, or that of
// Ruleset.Validate.
func Outline(p *policy.Policy) (*Plan, error) {
	plan := &Plan{Policy: p, Accesses: enabled(p), names: make(map[string]*policy.Access)}
	plan.inEngine = plan.Accesses
	if !p.HasWork() {
		return nil, ErrNothing
	}
	// By index: the address of a loop variable would be that of a copy.
	for i := range p.Accesses {
		plan.names[p.Accesses[i].Name] = &p.Accesses[i]
	}
	plan.tripwires = tripwires(plan.Accesses, p.Engine.Tripwires)
	plan.Ruleset = ruleset(p, plan.Accesses, plan.tripwires)
	plan.free = freePorts(plan.Ruleset.Protected)
	// What the gate would refuse is to be known before anything is done.
	if err := plan.Ruleset.Validate(); err != nil {
		return nil, err
	}
	return plan, nil
}

// Has reports whether an access of this plan equals one of an earlier plan, keys included. It
// does not if a reload has changed, disabled or removed the access.
func (p *Plan) Has(earlier *policy.Access) bool {
	// Without a reload both are the same pointer, which saves the comparison of the fields
	// for every knock.
	a := p.names[earlier.Name]
	return a != nil && a.Enabled && (a == earlier || a.Equal(earlier))
}

// enabled returns the accesses that are enabled, in their order.
func enabled(p *policy.Policy) []*policy.Access {
	var accesses []*policy.Access
	for i := range p.Accesses {
		if p.Accesses[i].Enabled {
			accesses = append(accesses, &p.Accesses[i])
		}
	}
	return accesses
}

// NeedsStore reports whether the plan has knocks that must be recorded on disk.
func (p *Plan) NeedsStore() bool {
	return slices.ContainsFunc(p.Accesses, func(a *policy.Access) bool {
		return a.Kind != policy.KindShared || a.Limit > 0
	})
}

// Warnings returns a warning for each access that no knock can open, because no operating
// system in the signature databases matches the one that it requires.
func (p *Plan) Warnings() policy.Diagnostics {
	var warnings policy.Diagnostics
	for _, a := range p.Accesses {
		if a.RequireOS == nil || slices.ContainsFunc(p.labels, func(l p0f.Label) bool {
			return l.Satisfies(a.RequireOS)
		}) {
			continue
		}
		warnings = append(warnings, policy.Diagnostic{
			File: a.Pos.File, Line: a.Pos.Line, Column: a.Pos.Column, Severity: policy.SeverityWarning,
			Message: fmt.Sprintf("access %q requires %q, which matches none of the %d known systems, so no knock opens it", a.Name, a.OSRequired(), len(p.labels)),
			Hint:    "\"nftknockd fingerprint\" of a capture shows what a client's system is called",
		})
	}
	return warnings
}
