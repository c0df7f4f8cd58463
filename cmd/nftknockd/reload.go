package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
)

// theOldStays is the hint where the daemon did not accept the new policy.
const theOldStays = "the running daemon keeps its old policy"

func newReload(o *options) *cobra.Command {
	var r control.Reload
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Make the running daemon read its policy again",
		Long: `reload makes the running daemon read its policy again, over the control socket. It
returns when the daemon has done so. The daemon alone judges the policy, since it alone
has the credentials of its service. If the reload fails, the daemon keeps its old policy
and the message says why. Exit status 2: the policy has errors; 1: another failure.

With --guard 60s, the new policy is on trial: the daemon goes back to the last confirmed
policy after this time, unless before that a knock is granted by an access that has
changed (by any, if none has) or "nftknockd confirm" is run.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkGuard(cmd, r.Guard); err != nil {
				return err
			}
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			reloaded, err := client.Reload(cmd.Context(), r)
			switch {
			case errors.Is(err, control.ErrNotRunning):
				return exitError{code: exitFailed, err: err, hint: socketHint}
			case err != nil && reloaded.Invalid:
				// Lines that have their place and severity.
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return exitError{code: exitUsage, hint: theOldStays}
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
	return socketFlag(cmd, o)
}
