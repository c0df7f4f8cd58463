package main

import (
	"fmt"
	"io"

	"nftknock/pkg/daemon"
	"nftknock/pkg/policy"
)

// loadPlan reads the policy and works it out. Warnings and errors are
// printed to w.
func loadPlan(path string, w io.Writer) (*daemon.Plan, error) {
	p, diags := policy.Load(path)
	printDiagnostics(w, diags)
	if diags.HasErrors() {
		return nil, exitError{code: exitUsage}
	}
	plan, err := daemon.NewPlan(p)
	if err != nil {
		return nil, exitError{code: exitUsage, err: fmt.Errorf("%s: %w", path, err)}
	}
	return plan, nil
}

func printDiagnostics(w io.Writer, diags policy.Diagnostics) {
	for _, d := range diags {
		fmt.Fprintln(w, d)
	}
}
