package main

import (
	"errors"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/keygen"
)

func newKeygen() *cobra.Command {
	cmd := commands.Keygen(keygen.Server)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var usage commands.UsageError
		if errors.As(err, &usage) {
			return usage // run gives it the exit code of usage
		}
		return failed(err)
	}
	return cmd
}
