package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/replay"
)

// expectation is what the knocks of a capture are expected to come to; nil for nothing.
type expectation struct {
	verdict string // of package replay
	access  string // empty for all accesses
}

// parseExpectation reads "granted", "refused", or one of them with an access behind a colon.
func parseExpectation(s string) (*expectation, error) {
	verdict, access, one := strings.Cut(s, ":")
	e := &expectation{verdict, access}
	if verdict != replay.Granted && verdict != replay.Refused || one && access == "" {
		return nil, exitError{
			code: exitUsage, err: fmt.Errorf("bad --expect %q", s),
			hint: "want granted or refused, or either with an access, such as granted:ssh",
		}
	}
	return e, nil
}

// check refuses an access that the policy does not have, or that is not enabled: it would
// see no knocks, whatever the capture.
func (e *expectation) check(p *plan.Plan) error {
	if e == nil || e.access == "" || slices.ContainsFunc(p.Accesses, func(a *policy.Access) bool { return a.Name == e.access }) {
		return nil
	}
	return exitError{code: exitUsage, err: fmt.Errorf("--expect: the policy has no enabled access %q", e.access)}
}

// judge prints whether the knocks are as expected, and returns an error if not.
func (e *expectation) judge(w io.Writer, knocks counts) error {
	if e == nil {
		return nil
	}
	granted, refused := knocks.of(e.access)
	good, bad := granted, refused
	if e.verdict == replay.Refused {
		good, bad = refused, granted
	}
	what := "every knock " + e.verdict
	if e.access != "" {
		what = fmt.Sprintf("every knock of access %q %s", e.access, e.verdict)
	}
	found := fmt.Sprintf("%d granted, %d refused", granted, refused)
	if granted+refused == 0 {
		found = "no knock"
	}
	if good > 0 && bad == 0 {
		_, err := fmt.Fprintf(w, "as expected, %s: %s\n", what, found)
		return failed(err)
	}
	if _, err := fmt.Fprintf(w, "not as expected: want %s, and at least one; found %s\n", what, found); err != nil {
		return failed(err)
	}
	return exitError{code: exitFailed}
}
