package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/pkg/links"
	"nftknock/pkg/plan"
)

func newRules(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "Print the nftables table the policy calls for",
		Long: `rules prints the table as "nft list table" would, without touching the kernel. The
output shows knock ports and tripwires: it is as secret as the policy. With a list of
interfaces, those that are not guarded are this host's of this moment.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := inspectPolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r := plan.Ruleset(p)
			// As far as it can be told, the interfaces are those of this host, now.
			if now, err := links.List(); err == nil {
				r.Unguarded = links.Resolve(p.NFTables.Interfaces, now, nil).Unguarded
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), r)
			return failed(err)
		},
	}
}
