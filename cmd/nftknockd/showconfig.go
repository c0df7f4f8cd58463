package main

import "github.com/spf13/cobra"

func newShowConfig(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "show-config",
		Short: "Print the effective policy, defaults filled in",
		Long: `show-config prints the policy as the daemon understands it: all files as one,
every default filled in. The output is a valid policy, and as secret as that.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := loadPlanAloud(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return failed(plan.Policy.WriteTOML(cmd.OutOrStdout()))
		},
	}
}
