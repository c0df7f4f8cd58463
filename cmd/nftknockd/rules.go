package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/links"
	"nftknock/pkg/plan"
)

func newRules(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "rules",
		Short: "Print the nftables table of the policy",
		Long: `rules prints the nftables table of the policy, as "nft list table" would, without
changing anything in the kernel. It shows knock ports and tripwires: keep it as secret
as the policy. If the policy lists interfaces, the table leaves out the other
interfaces that this host has now.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := inspectPolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r := plan.Ruleset(p)
			// If they cannot be listed, the table is that of a host with lo alone.
			if now, err := links.List(); err == nil {
				r.Unguarded = links.Resolve(p.NFTables.Interfaces, now, nil).Unguarded
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), r)
			return failed(err)
		},
	}
}
