package main

import (
	"fmt"
	"io"
	"slices"

	"nftknock/pkg/daemon"
	"nftknock/pkg/policy"
)

// loadPlan reads the policy and works it out. Errors are printed to w;
// warnings come back beside the plan.
func loadPlan(path string, w io.Writer) (*daemon.Plan, policy.Diagnostics, error) {
	p, diags := policy.Load(path)
	if diags.HasErrors() {
		printDiagnostics(w, diags)
		return nil, nil, exitError{code: exitUsage}
	}
	plan, err := daemon.NewPlan(p)
	if err != nil {
		return nil, nil, exitError{code: exitUsage, err: fmt.Errorf("%s: %w", path, err)}
	}
	return plan, append(diags, plan.Warnings()...), nil
}

// loadPlanAloud is loadPlan that prints warnings too.
func loadPlanAloud(path string, w io.Writer) (*daemon.Plan, error) {
	plan, warnings, err := loadPlan(path, w)
	printDiagnostics(w, warnings)
	return plan, err
}

// inspectPolicy reads the policy for somebody to look at, who may not be allowed
// to read its keys. Errors and warnings are printed to w.
func inspectPolicy(path string, w io.Writer) (*policy.Policy, error) {
	p, diags := policy.Inspect(path)
	printDiagnostics(w, diags)
	switch {
	case diags.HasErrors():
		return nil, exitError{code: exitUsage}
	case !slices.ContainsFunc(p.Accesses, func(a policy.Access) bool { return a.Enabled }):
		return nil, exitError{code: exitUsage, err: fmt.Errorf("%s: %w", path, daemon.ErrNothing)}
	}
	return p, nil
}

func printDiagnostics(w io.Writer, diags policy.Diagnostics) {
	for _, d := range diags {
		fmt.Fprintln(w, d)
	}
}
