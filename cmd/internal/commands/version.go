package commands

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/pkg/version"
)

// Version is the command that prints the version of a program.
func Version(program string) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Of(program))
			return err
		},
	}
}
