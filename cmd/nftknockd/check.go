package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/links"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/wording"
)

func newCheck(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find the errors and weaknesses of a policy",
		Long: `check reads a policy and prints every error and weakness in it, with file, line and
column. It needs no root and changes nothing. Exit status 0: the daemon would start,
even if there are warnings; 2: it would not.`,
		Args: commands.Args("[FILE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := o.config
			if len(args) == 1 {
				file = args[0]
			}
			return check(cmd.OutOrStdout(), file, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per finding: file line column severity message hint")
	return cmd
}

func check(w io.Writer, file string, asJSON bool) error {
	// The ports and interfaces of this host are for warnings only: check works
	// without them.
	inUse, err := policy.PortsInUse(os.DirFS("/proc/net"))
	if err != nil {
		inUse = nil
	}
	p, diags := policy.Check(file, inUse, interfaces())
	if !diags.HasErrors() {
		worked, err := plan.New(p)
		if err != nil {
			diags = append(diags, policy.Diagnostic{File: file, Severity: policy.SeverityError, Message: err.Error()})
		} else {
			diags = append(diags, worked.Warnings()...)
			diags = append(diags, worked.HostWarnings(os.DirFS("/proc/sys"))...)
		}
	}
	if asJSON {
		out := json.NewEncoder(w)
		for _, d := range diags {
			if err := out.Encode(d); err != nil {
				return failed(err)
			}
		}
	} else {
		printDiagnostics(w, diags)
		fmt.Fprintln(w, summary(file, p, diags))
	}
	if diags.HasErrors() {
		return exitError{code: exitUsage}
	}
	return nil
}

// interfaces lists the interfaces of this host, none if the kernel does not tell.
func interfaces() []policy.Interface {
	list, err := links.List()
	if err != nil {
		return nil
	}
	names := make(map[int]string)
	for _, l := range list {
		names[l.Index] = l.Name
	}
	var found []policy.Interface
	for _, l := range list {
		found = append(found, policy.Interface{Name: l.Name, AltNames: l.AltNames, Master: names[l.Master]})
	}
	return found
}

// summary is the last line of the output for people.
func summary(file string, p *policy.Policy, diags policy.Diagnostics) string {
	errs, warnings := 0, 0
	for _, d := range diags {
		if d.Severity == policy.SeverityError {
			errs++
		} else {
			warnings++
		}
	}
	var found []string
	if errs > 0 {
		found = append(found, wording.Count(errs, "error", "errors"))
	} else {
		found = append(found, "ok")
	}
	if warnings > 0 {
		found = append(found, wording.Count(warnings, "warning", "warnings"))
	}
	if errs == 0 {
		enabled := 0
		for _, a := range p.Accesses {
			if a.Enabled {
				enabled++
			}
		}
		found = append(found, fmt.Sprintf("%d of %d accesses enabled", enabled, len(p.Accesses)))
	}
	return file + ": " + strings.Join(found, ", ")
}
