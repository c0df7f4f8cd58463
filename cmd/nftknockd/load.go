package main

import (
	"fmt"
	"io"

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

func printDiagnostics(w io.Writer, diags policy.Diagnostics) {
	for _, d := range diags {
		fmt.Fprintln(w, d)
	}
}
