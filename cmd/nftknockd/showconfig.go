package main

import "github.com/spf13/cobra"

func newShowConfig(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show-config",
		Short: "Print the effective policy, defaults filled in",
		Long: `show-config prints the policy as the daemon understands it: all files as one,
every default filled in. Keys are never in it, only where they come from: the output
is a valid policy, unless keys stand in the policy itself. It is as secret as the
policy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := inspectPolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return failed(p.WriteTOML(cmd.OutOrStdout()))
		},
	}
}
