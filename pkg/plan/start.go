package plan

import (
	"fmt"
	"slices"

	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
)

// Void is an access that no knock opens, and why. The reason says nothing of a key.
type Void struct {
	*policy.Access
	Reason error
}

// Start makes the plan of a policy for a daemon that starts, in which nothing that a policy
// names must keep the daemon from serving everyone else. It reads the keys that the policy
// does not have. An access whose key cannot be read or used is void. If a signature file
// cannot be read, all accesses that require a system are void: without the file, another
// system could pass for the one they require.
//
// The error is that of Outline. Start does not change p. It may take seconds, as Load does.
func Start(p *policy.Policy) (*Plan, error) {
	p = clone(p)
	plan, err := Outline(p)
	if err != nil {
		return nil, err
	}
	fingerprints, noSystems := p0f.Load(p.Fingerprint.Databases...)
	if noSystems != nil {
		// The engine names the systems of other knocks by these, for the log.
		if fingerprints, err = p0f.Load(policy.Builtin); err != nil {
			return nil, err
		}
	}
	plan.setFingerprints(fingerprints)
	for _, a := range plan.Accesses {
		err := canKnock(a, noSystems)
		if err == nil {
			err = plan.addToEngine(a)
		}
		if err != nil {
			plan.Void = append(plan.Void, Void{a, err})
		}
	}
	return plan, nil
}

// Again is Start once more, for a plan with void accesses of which one can be served now. If
// none can, both results are nil, and only what was missing has been read.
func (p *Plan) Again() (*Plan, error) {
	_, noSystems := p0f.Load(p.Policy.Fingerprint.Databases...)
	if !slices.ContainsFunc(p.Void, func(v Void) bool {
		a := *v.Access
		if canKnock(&a, noSystems) != nil {
			return false
		}
		_, err := withKeys(&a)
		return err == nil
	}) {
		return nil, nil
	}
	return Start(p.Policy)
}

// canKnock reads the keys of an access that are missing, and returns an error if it cannot
// be served.
func canKnock(a *policy.Access, noSystems error) error {
	if a.RequireOS != nil && noSystems != nil {
		return fmt.Errorf("its require_os cannot be checked: %w", noSystems)
	}
	return a.OpenKeys()
}

// clone returns a copy of a policy whose accesses can be changed.
func clone(p *policy.Policy) *policy.Policy {
	c := *p
	c.Accesses = slices.Clone(p.Accesses)
	return &c
}
