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
	return socketFlag(&cobra.Command{
		Use:   "reload",
		Short: "Make the running daemon read its policy again",
		Long: `reload makes the running daemon read its policy again, over the control socket. It
returns when the daemon has done so. The daemon alone judges the policy, since it alone
has the credentials of its service. If the reload fails, the daemon keeps its old policy
and the message says why. Exit status 2: the policy has errors; 1: another failure.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			reloaded, err := client.Reload(cmd.Context(), control.Reload{})
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
	}, o)
}
