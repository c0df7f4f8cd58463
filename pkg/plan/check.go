package plan

import (
	"errors"
	"fmt"
	"io/fs"

	"nftknock/pkg/p0f"
	"nftknock/pkg/policy"
)

// Check returns what New would refuse, and the Warnings of the plan, for a policy that
// policy.Check has read from file. Keys that were not read, and databases that this user may
// not read, are not missed: policy.Check warns of them. With textOnly it opens no database.
// That no access is enabled is no error here, and policy.Check warns of that, too. The plan
// is without the configuration of the engine, and nil with an error and with no access.
func Check(file string, p *policy.Policy, textOnly bool) (*Plan, policy.Diagnostics) {
	failure := func(at policy.Pos, err error, hint string) (*Plan, policy.Diagnostics) {
		return nil, policy.Diagnostics{{
			File: at.File, Line: at.Line, Column: at.Column,
			Severity: policy.SeverityError, Message: err.Error(), Hint: hint,
		}}
	}
	whole := policy.Pos{File: file}
	plan, err := Outline(p)
	switch {
	case errors.Is(err, ErrNothing):
		return nil, nil
	case err != nil:
		return failure(whole, err, "")
	}
	for _, a := range plan.Accesses {
		if _, err := engineAccess(a); err != nil && !errors.Is(err, errNoKey) {
			return failure(a.Pos, fmt.Errorf("access %q: %w", a.Name, err), "want another key")
		}
	}
	missed := false
	for _, name := range p.Fingerprint.Databases {
		if name == policy.Builtin {
			continue
		}
		if textOnly {
			missed = true
			continue
		}
		switch _, err := p0f.Load(name); {
		case errors.Is(err, fs.ErrPermission):
			missed = true
		case err != nil:
			return failure(whole, err, "want a file of p0f 3, p0f 2 or pf.os")
		}
	}
	// The system that an access requires may be in a database that was not read.
	if missed {
		return plan, nil
	}
	fingerprints, err := p0f.Load(p.Fingerprint.Databases...)
	if err != nil {
		return failure(whole, err, "want databases that go together")
	}
	plan.labels = fingerprints.Labels()
	return plan, plan.Warnings()
}
