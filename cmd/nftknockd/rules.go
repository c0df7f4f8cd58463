package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/pkg/daemon"
)

func newRules(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "Print the nftables table the policy calls for",
		Long: `rules prints the table as "nft list table" would, without touching the kernel. The
output shows knock ports and tripwires: it is as secret as the policy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := inspectPolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), daemon.Ruleset(p))
			return failed(err)
		},
	}
}
