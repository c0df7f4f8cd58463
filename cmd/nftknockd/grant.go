package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
)

func newGrant(o *options) *cobra.Command {
	var g control.Grantee
	cmd := &cobra.Command{
		Use:   "grant ADDRESS|PREFIX SERVICE|ACCESS",
		Short: "Let an address in without a knock",
		Long: `grant lets an address, or the addresses of a prefix, reach a service such as tcp/22, or
all services of an access, as if they had knocked: for the timeout of the access, or
for another time (--for). The kernel ends the grant at its time. A service is granted
as an access opens it: a range of ports as a whole, and to the prefix that the access
sets for an address. The access must be enabled; its source and limit do not matter.`,
		Example: `  nftknockd grant 192.0.2.10 tcp/22 --for 10m
  nftknockd grant 2001:db8::10 ssh`,
		Args: commands.Args("ADDRESS", "SERVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if g.Source, err = control.ParseSource(args[0]); err != nil {
				return exitError{code: exitUsage, err: err}
			}
			if cmd.Flags().Changed("for") && (g.For < control.MinFor || g.For > control.MaxFor) {
				return exitError{code: exitUsage, err: fmt.Errorf("bad --for %v: want %v to %v", g.For, control.MinFor, control.MaxFor)}
			}
			g.What = args[1]
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			done, err := client.Grant(cmd.Context(), g)
			// Also with an error, if something was granted before it.
			for _, made := range done.Grants {
				to := made.Src
				if made.Prefix != "" {
					to = made.Prefix
				}
				fmt.Fprintf(cmd.OutOrStdout(), "granted %s access to %s for %s through access %q\n",
					to, made.Open, span(time.Duration(made.Remaining*float64(time.Second))), made.Access)
			}
			return failed(err)
		},
	}
	cmd.Flags().DurationVar(&g.For, "for", 0, "how long, 1s to 24h (default the timeout of the access)")
	return socketFlag(cmd, o)
}
