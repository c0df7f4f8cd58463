package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
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
	trial          start            // what the notes say about it
}

// startPolicy reads the policy to start with: that in the file, or the last one that worked if
// that cannot be used. Without either, the exit code is that of a policy that cannot be used,
// or, if there is a last policy that cannot be used, that of a failure: services were hidden
// before, so the service manager is to try again.
func startPolicy(file string, guard time.Duration) (startingPolicy, error) {
	source, err := filepath.Abs(file)
	if err != nil {
		return startingPolicy{}, failed(err)
	}
	if guard != 0 {
		if err := wantFirst(source); err != nil {
			return startingPolicy{}, err
		}
	}
	p, bad := outline(file)
	s := startingPolicy{Policy: p, file: file, source: source}
	if bad == nil {
		s.trial, bad = readStart(file, p.State.Dir, guard)
		if bad == nil {
			return s, nil
		}
	}
	if errors.Is(bad, errUndone) {
		return startingPolicy{}, undoFirst(p)
	}
	last, err := lastpolicy.Find(source)
	switch {
	case err != nil && s.Policy != nil:
		// It can be run, and what was hidden must stay hidden. What is wrong with the state
		// directory is told when the store is opened and the policy is kept.
		return s, nil
	case errors.Is(err, lastpolicy.ErrNone):
		return startingPolicy{}, exitError{code: exitUsage, err: bad, hint: firstHint(bad)}
	case err != nil:
		return startingPolicy{}, exitError{
			code: exitFailed, err: bad,
			hint: fmt.Sprintf("nor can the last policy that worked be run: %v; what is hidden now stays hidden until the host restarts", err),
		}
	}
	s.Policy, s.bad, s.last = last.Policy, bad, last
	return s, nil
}

// wantFirst refuses a guard at the start of a host that has a policy to go back to, which hides
// services that must not be open.
func wantFirst(source string) error {
	if _, err := lastpolicy.Find(source); errors.Is(err, lastpolicy.ErrNone) {
		return nil
	}
	return exitError{
		code: exitUsage, err: errors.New("--guard is for the first policy of a host, and another one has worked here before"),
		hint: `start the daemon without it, and try a change with "nftknockd reload --guard 60s"`,
	}
}

// undoFirst removes the table of a first policy that was on trial when its daemon ended, unless
// that daemon is still running. It returns the error of the start.
func undoFirst(p *policy.Policy) error {
	if p.Control.Socket != "" {
		l, err := control.Listen(p.Control.Socket)
		if err != nil {
			return failed(err)
		}
		_ = l.Close()
	}
	g, err := gate.Open(gate.Config{Table: p.NFTables.Table})
	if err == nil {
		err = errors.Join(g.Remove(), g.Close())
	}
	if err != nil {
		return failed(fmt.Errorf("%w, and the table cannot be removed: %w", errUndone, err))
	}
	return exitError{code: exitUsage, err: errUndone, hint: `to try it again, run "nftknockd setup"`}
}

// firstHint is the hint where a first policy cannot be run.
func firstHint(bad error) string {
	if errors.Is(bad, plan.ErrNothing) {
		return nothingHint
	}
	return "no copy of a policy that worked is in the state directory, so there is none to run in its place; a table that an earlier daemon left stays"
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
