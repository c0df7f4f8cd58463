package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"

	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// loadPlan reads the policy with its keys and makes the plan of it. Errors and
// warnings are printed to w.
func loadPlan(path string, w io.Writer) (*plan.Plan, error) {
	p, diags := plan.Load(path)
	printDiagnostics(w, diags)
	if diags.HasErrors() {
		return nil, exitError{code: exitUsage}
	}
	return p, nil
}

// loadForHost is plan.Load with warnings of what this host lacks for the policy.
func loadForHost(path string) (*plan.Plan, policy.Diagnostics) {
	p, diags := plan.Load(path)
	if p != nil {
		diags = append(diags, plan.HostWarnings(p.Policy, forwardingHost())...)
	}
	return p, diags
}

// forwardingHost is this host.
func forwardingHost() plan.Host {
	h := plan.Host{Sys: os.DirFS("/proc/sys")}
	list, _ := net.InterfaceAddrs() // without a list, there is one warning less
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			h.Addresses = append(h.Addresses, p.Addr())
		}
	}
	return h
}

// inspectPolicy reads the policy for display, which must work for users who may
// not read the keys. Errors and warnings are printed to w.
func inspectPolicy(path string, w io.Writer) (*policy.Policy, error) {
	p, diags := policy.Inspect(path)
	printDiagnostics(w, diags)
	if diags.HasErrors() {
		return nil, exitError{code: exitUsage}
	}
	return p, wantAccess(path, p)
}

// nothingHint is the hint for a policy that has nothing to do.
const nothingHint = "set enabled = true in an [[access]], or write one"

// wantAccess refuses a policy without an enabled access and without services to protect.
func wantAccess(path string, p *policy.Policy) error {
	if !p.HasWork() {
		return exitError{
			code: exitUsage, err: fmt.Errorf("%s: %w", path, plan.ErrNothing),
			hint: nothingHint,
		}
	}
	return nil
}

func printDiagnostics(w io.Writer, diags policy.Diagnostics) {
	for _, d := range diags {
		fmt.Fprintln(w, d)
	}
}
