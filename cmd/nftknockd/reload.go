package main

import (
	"errors"

	"github.com/spf13/cobra"

	"nftknock/pkg/control"
	"nftknock/pkg/policy"
)

// theOldStays is the hint where a daemon runs and has not taken the policy up.
const theOldStays = "the daemon's policy stays as it was"

func newReload(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reload",
		Short: "Have the running daemon read its policy again",
		Long: `reload checks the policy and has the running daemon take it up, over the socket of
[control]. It returns when that is done. If it fails, the old policy stays, and
exit status and message say so.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, diags := policy.Load(o.config)
			if diags.HasErrors() {
				printDiagnostics(cmd.ErrOrStderr(), diags)
				return exitError{code: exitUsage, hint: theOldStays}
			}
			socket := p.Control.Socket
			if socket == "" {
				return exitError{
					code: exitUsage, err: errors.New("the policy has no control socket"),
					hint: "send the daemon SIGHUP, and see its log for how that went",
				}
			}
			err := control.NewClient(socket).Reload(cmd.Context())
			switch {
			case errors.Is(err, control.ErrNotRunning):
				return failed(err)
			case err != nil:
				return exitError{code: exitFailed, err: err, hint: theOldStays}
			}
			return nil
		},
	}
}
