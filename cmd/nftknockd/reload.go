package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/policy"
)

// theOldStays is the hint where the daemon did not accept the new policy.
const theOldStays = "the running daemon keeps its old policy"

func newReload(o *options) *cobra.Command {
	var r control.Reload
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running daemon read its policy again",
		Long: `reload checks the policy and makes the running daemon read it again, over the control
socket. It returns when the daemon has done so. If that fails, the daemon keeps its
old policy, the message says why, and the exit status is not 0.

With --guard 60s, the new policy is on trial: the daemon goes back to the last confirmed
policy after this time, unless before that a knock is granted by an access that has
changed (by any, if none has) or "nftknockd confirm" is run.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkGuard(cmd, r.Guard); err != nil {
				return err
			}
			p, diags := policy.Load(o.config)
			if diags.HasErrors() {
				printDiagnostics(cmd.ErrOrStderr(), diags)
				return exitError{code: exitUsage, hint: theOldStays}
			}
			socket := p.Control.Socket
			if socket == "" {
				return exitError{
					code: exitUsage, err: errors.New("the policy has no control socket"),
					hint: "send the daemon SIGHUP instead; its log says whether that worked",
				}
			}
			reloaded, err := control.NewClient(socket).Reload(cmd.Context(), r)
			switch {
			case errors.Is(err, control.ErrNotRunning):
				return failed(err)
			case err != nil:
				return exitError{code: exitFailed, err: err, hint: theOldStays}
			}
			for _, note := range reloaded.Notes {
				fmt.Fprintln(cmd.OutOrStdout(), note)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&r.Guard, "guard", 0, "undo the new policy after this `TIME`, 1s to 1h, unless it is confirmed")
	return cmd
}
