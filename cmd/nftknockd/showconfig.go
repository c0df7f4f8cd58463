package main

import (
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
)

func newShowConfig(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show-config",
		Short: "Print the policy in effect, with all defaults",
		Long: `show-config prints the policy as the daemon understands it: all files as one, with
every default filled in. It never prints keys, only where they come from; if no key
stands in the policy itself, the output is a valid policy. Keep it as secret as the
policy.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := inspectPolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return failed(p.WriteTOML(cmd.OutOrStdout()))
		},
	}
}
