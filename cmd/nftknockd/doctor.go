package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/doctor"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

func newDoctor(o *options) *cobra.Command {
	var asJSON, prove bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what in this host keeps the policy from working",
		Long: `doctor looks at this host and names what keeps granted packets or knocks from arriving:
rules of other firewalls, with chain and handle; a saved ruleset that would not load; an
NFLOG group that another process has; and more. It changes nothing, but for --prove,
which removes everything that it made. Without root it looks at what it may. Its output
names knock ports: keep it as secret as the policy.
Exit status 0: no errors, even if there are warnings; 1: an error.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, diags := policy.Outline(o.config)
			if diags.HasErrors() {
				printDiagnostics(cmd.ErrOrStderr(), diags)
				return exitError{code: exitUsage}
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			wanted := doctor.FromPolicy(p)
			host := doctor.Look(ctx, wanted, "/")
			if host.Running {
				askDaemon(ctx, p.Control.Socket, host)
			}
			findings := wanted.Check(ctx, host)
			if prove {
				found, proved := wanted.Prove(ctx, host, byDaemon(p.Control.Socket))
				findings, host.Proved = append(findings, found...), proved
			}
			if ctx.Err() != nil {
				return failed(errors.New("interrupted"))
			}
			if asJSON {
				return printFindingsJSON(cmd.OutOrStdout(), append(findings, host.NotSeen()...))
			}
			return printFindings(cmd.OutOrStdout(), findings, host)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per finding: severity code message hint where")
	cmd.Flags().BoolVar(&prove, "prove", false, "also let a test address in for a moment, and send packets from it through the ruleset: see docs/doctor.md")
	return cmd
}

// askDaemon adds what the running daemon says is wrong with it.
func askDaemon(ctx context.Context, socket string, host *doctor.Host) {
	status, err := control.NewClient(socket).Status(ctx, control.StatusQuery{Brief: true})
	if err != nil {
		host.Unseen = append(host.Unseen, "the daemon's status: "+err.Error())
		return
	}
	host.Hindered = !status.Ready
	for _, problem := range status.Problems {
		host.Problems = append(host.Problems, problem.Text)
	}
}

// byDaemon lets in through the running daemon. It is its control socket, empty for none.
type byDaemon string

// Grant implements doctor.Granter. The grant is the shortest there is: it ends by itself if this
// process does not come to End.
func (socket byDaemon) Grant(ctx context.Context, source netip.Prefix, service port.Range) error {
	if socket == "" {
		return errors.New("the policy has no control socket")
	}
	_, err := control.NewClient(string(socket)).Grant(ctx, control.Grantee{Source: source, What: service.String(), For: control.MinFor})
	return err
}

// End implements doctor.Granter.
func (socket byDaemon) End(ctx context.Context, source netip.Prefix) {
	if socket != "" {
		// An error: there is no grant or no daemon, or the grant ends within its second.
		_, _ = control.NewClient(string(socket)).Revoke(context.WithoutCancel(ctx), control.Revocation{Source: source, Cut: true})
	}
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
	for _, s := range host.Proved {
		fmt.Fprintln(w, s)
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
