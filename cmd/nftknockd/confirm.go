package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
)

func newConfirm(o *options) *cobra.Command {
	return socketFlag(&cobra.Command{
		Use:   "confirm",
		Short: "Keep the policy that is on trial",
		Long: `confirm keeps a policy that came into force with a guard, by "nftknockd reload --guard"
or "nftknockd setup". Before you run it, make sure in another window that you can knock
and connect. Exit status 1: no policy is on trial, or it is undone already.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			done, err := client.Confirm(cmd.Context(), control.Confirmation{})
			switch {
			case errors.Is(err, control.ErrNotRunning):
				return exitError{code: exitFailed, err: err, hint: "a first policy that nobody confirmed in time is undone, and its daemon has ended"}
			case err != nil:
				return failed(err)
			case done.Before != "":
				fmt.Fprintln(cmd.OutOrStdout(), "confirmed before, by", done.Before)
			default:
				fmt.Fprintln(cmd.OutOrStdout(), "confirmed: the policy stays")
			}
			fmt.Fprintln(cmd.OutOrStdout(), "to hide services from the next boot on: systemctl enable nftknockd")
			return nil
		},
	}, o)
}
