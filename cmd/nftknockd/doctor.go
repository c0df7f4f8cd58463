package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/doctor"
	"nftknock/pkg/policy"
	"nftknock/pkg/wording"
)

func newDoctor(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what in this host keeps the policy from working",
		Long: `doctor looks at this host and names what keeps granted packets or knocks from arriving:
rules of other firewalls, with chain and handle; a saved ruleset that would not load; an
NFLOG group that another process has; and more. It changes nothing. Without root it
looks at what it may. Its output names knock ports: keep it as secret as the policy.
Exit status 0: no errors, even if there are warnings; 1: an error.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, diags := policy.Outline(o.config)
			if diags.HasErrors() {
				printDiagnostics(cmd.ErrOrStderr(), diags)
				return exitError{code: exitUsage}
			}
			wanted := doctor.FromPolicy(p)
			host := doctor.Look(cmd.Context(), wanted, "/")
			findings := wanted.Check(cmd.Context(), host)
			if err := cmd.Context().Err(); err != nil {
				return failed(err)
			}
			if asJSON {
				return printFindingsJSON(cmd.OutOrStdout(), findings)
			}
			return printFindings(cmd.OutOrStdout(), findings, host)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per finding: severity code message hint where")
	return cmd
}

func printFindingsJSON(w io.Writer, findings []doctor.Finding) error {
	out := json.NewEncoder(w)
	for _, f := range findings {
		if err := out.Encode(f); err != nil {
			return failed(err)
		}
	}
	return diagnosis(findings)
}

func printFindings(w io.Writer, findings []doctor.Finding, host *doctor.Host) error {
	for _, f := range findings {
		fmt.Fprintf(w, "%s [%s]\n  hint: %s\n", f, f.Code, f.Hint)
	}
	for _, s := range host.Seen {
		fmt.Fprintln(w, "looked at", s)
	}
	for _, s := range host.Unseen {
		fmt.Fprintln(w, "could not look at", s)
	}
	switch errs := countErrors(findings); {
	case len(findings) == 0 && len(host.Unseen) == 0:
		fmt.Fprintln(w, "all good")
	case len(findings) == 0:
		fmt.Fprintln(w, "no faults in what could be looked at")
	default:
		fmt.Fprintf(w, "%s, %s\n", wording.Count(errs, "error", "errors"), wording.Count(len(findings)-errs, "warning", "warnings"))
	}
	return diagnosis(findings)
}

func countErrors(findings []doctor.Finding) int {
	return len(slices.DeleteFunc(slices.Clone(findings), func(f doctor.Finding) bool { return f.Severity != doctor.Error }))
}

// diagnosis is the exit status of the findings, which have been printed.
func diagnosis(findings []doctor.Finding) error {
	if countErrors(findings) > 0 {
		return exitError{code: exitFailed}
	}
	return nil
}
