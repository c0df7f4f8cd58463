package main

import (
	"errors"

	"github.com/spf13/cobra"

	"nftknock/pkg/keygen"
)

func newKeygen() *cobra.Command {
	cmd := keygen.NewCommand("nftknockd", keygen.Server)
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		var usage keygen.UsageError
		if errors.As(err, &usage) {
			return usage // the command line's mistakes have their exit code
		}
		return failed(err)
	}
	return cmd
}
