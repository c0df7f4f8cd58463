package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/gate"
	"nftknock/pkg/links"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/wording"
)

// checkFlags are the flags of the command check.
type checkFlags struct {
	json    bool
	noKeys  bool
	strict  bool
	replace []string
	against bool // the running daemon
}

func newCheck(o *options) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Find the errors and weaknesses of a policy",
		Long: `check reads a policy and prints every error and weakness in it, with file, line and
column. It needs no root and changes nothing: of a key that this user may not read it
warns. It also warns of what does not fit this host: interfaces that do not exist,
knock ports that are in use, services on which nothing listens, and, as root, hidden
ports that would stand out because no firewall drops packets.

--no-keys is for checks elsewhere than on the host that runs the policy: it looks at the
text alone, and neither at keys, databases and this host nor at owner and mode of files.
--replace NAME=FILE checks the policy as it would be with the text of FILE in the place
of its file NAME, which need not exist yet; it may be repeated.

--against-running also asks the running daemon what it would need for this policy: its
last line is "against the running daemon: " and nothing, reload or restart. Before that
it says what would no longer be hidden, and which grants would end. If no daemon
answers, the line says "not running", and the exit status is 1.

Exit status 0: no errors, even if there are warnings; 1: warnings, with --strict; 2:
errors, with which the daemon does not take the policy. That no access is enabled is a
warning, although the daemon does not start with such a policy.`,
		Args: commands.Args("[FILE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := o.config
			if len(args) == 1 {
				file = args[0]
			}
			return check(cmd, o, file, f)
		},
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print one JSON object per finding: file line column severity message hint, and from and code where they apply")
	cmd.Flags().BoolVar(&f.noKeys, "no-keys", false, "check the text alone: open neither keys nor databases, and do not look at this host")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "exit with status 1 if there are warnings")
	cmd.Flags().StringArrayVar(&f.replace, "replace", nil, "check with the text of a file in the place of a policy file, as `NAME=FILE`: conf.d/ssh.toml=new.toml")
	cmd.Flags().BoolVar(&f.against, "against-running", false, "also say what the running daemon needs for this policy: nothing, reload or restart")
	return socketFlag(cmd, o)
}

func check(cmd *cobra.Command, o *options, file string, f checkFlags) error {
	w := cmd.OutOrStdout()
	replace, err := policy.Replacements(file, f.replace)
	if err != nil {
		return exitError{code: exitUsage, err: err}
	}
	review := policy.Review{TextOnly: f.noKeys, Replace: replace}
	if !f.noKeys {
		review.Host = thisHost()
	}
	p, diags := policy.Check(file, review)
	if !diags.HasErrors() {
		more := plan.Check(file, p, f.noKeys)
		if !f.noKeys {
			more = append(more, plan.HostWarnings(p, forwardingHost())...)
		}
		review.Mark(more)
		diags = append(diags, more...)
	}
	if err := (findings{file, p, diags}).write(w, f.json); err != nil {
		return failed(err)
	}
	if f.against && !diags.HasErrors() {
		socket := *o
		socket.config = file
		if err := checkAgainst(cmd, &socket, p, f.json); err != nil {
			return err
		}
	}
	switch {
	case diags.HasErrors():
		return exitError{code: exitUsage}
	case f.strict && len(diags) > 0:
		return exitError{code: exitFailed, err: errors.New("there are warnings, and --strict allows none")}
	}
	return nil
}

// thisHost is what can be known of this host. It is for warnings only, so that what
// cannot be known is left out.
func thisHost() policy.Host {
	listening, err := policy.PortsInUse(os.DirFS("/proc/net"))
	if err != nil {
		listening = nil
	}
	return policy.Host{
		Interfaces: interfaces(),
		Listening:  listening,
		Unfiltered: func(table string) bool {
			// Without root there is an error: nothing is known then.
			unfiltered, err := gate.Unfiltered(table)
			return unfiltered && err == nil
		},
	}
}

// findings is what check found.
type findings struct {
	file   string
	policy *policy.Policy // nil with errors
	diags  policy.Diagnostics
}

// write prints the findings for people, or for programs.
func (f findings) write(w io.Writer, asJSON bool) error {
	if !asJSON {
		printDiagnostics(w, f.diags)
		_, err := fmt.Fprintln(w, summary(f.file, f.policy, f.diags))
		return err
	}
	out := json.NewEncoder(w)
	for _, d := range f.diags {
		if err := out.Encode(d); err != nil {
			return err
		}
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
