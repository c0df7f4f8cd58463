package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// startingPolicy is the policy that a daemon starts with.
type startingPolicy struct {
	*policy.Policy                  // without keys
	file           string           // of the policy, as it was given
	source         string           // the same as an absolute path
	bad            error            // why the policy in the file cannot be used; then Policy is that of last
	last           *lastpolicy.Copy // nil if bad is
}

// startPolicy reads the policy to start with: that in the file, or the last one that worked if
// that cannot be used. Without either, the exit code is that of a policy that cannot be used,
// or, if there is a last policy that cannot be used, that of a failure: services were hidden
// before, so the service manager is to try again.
func startPolicy(file string) (startingPolicy, error) {
	source, err := filepath.Abs(file)
	if err != nil {
		return startingPolicy{}, failed(err)
	}
	p, bad := outline(file)
	if bad == nil {
		return startingPolicy{Policy: p, file: file, source: source}, nil
	}
	last, err := lastpolicy.Find(source)
	switch {
	case errors.Is(err, lastpolicy.ErrNone) && errors.Is(bad, plan.ErrNothing):
		return startingPolicy{}, exitError{code: exitUsage, err: bad, hint: nothingHint}
	case errors.Is(err, lastpolicy.ErrNone):
		return startingPolicy{}, exitError{
			code: exitUsage, err: bad,
			hint: "no policy has worked on this host before, so there is none to run in its place",
		}
	case err != nil:
		return startingPolicy{}, exitError{
			code: exitFailed, err: bad,
			hint: fmt.Sprintf("nor can the last policy that worked be run: %v; what is hidden now stays hidden until the host restarts", err),
		}
	}
	return startingPolicy{last.Policy, file, source, bad, last}, nil
}

// outline reads the policy without its keys. Warnings come when it is read with its keys.
func outline(file string) (*policy.Policy, error) {
	p, diags := policy.Outline(file)
	if diags.HasErrors() {
		return nil, slices.DeleteFunc(diags, func(d policy.Diagnostic) bool { return d.Severity != policy.SeverityError })
	}
	if !p.HasWork() {
		return nil, fmt.Errorf("%s: %w", file, plan.ErrNothing)
	}
	return p, nil
}
