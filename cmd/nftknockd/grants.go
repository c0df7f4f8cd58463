package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/wording"
)

func newGrants(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "grants [ADDRESS|PREFIX]",
		Short: "List who is let in, through which access and for how long",
		Long: `grants lists the running grants, or those of an address or of a prefix. The packets
and bytes are those that opened connections: established ones need no grant. With
--json, "os" is always empty: the table does not say which system a knock came from.`,
		Args: commands.Args("[ADDRESS]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var q control.GrantQuery
			if len(args) == 1 {
				var err error
				if q.Within, err = control.ParseSource(args[0]); err != nil {
					return exitError{code: exitUsage, err: err}
				}
			}
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			list, err := client.Grants(cmd.Context(), q)
			if err != nil {
				return failed(err)
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			for _, g := range list.Grants {
				if asJSON {
					err = out.Encode(g)
				} else {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", grantLine(g), wording.Count(int(g.Packets), "packet", "packets"))
				}
				if err != nil {
					return failed(err)
				}
			}
			if more := list.Total - len(list.Grants); more > 0 {
				return failed(fmt.Errorf("%d more grants are not listed: name a prefix to list fewer", more))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per grant: src prefix open access knock os remaining_s packets bytes")
	return socketFlag(cmd, o)
}
