package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/wording"
)

func newRevoke(o *options) *cobra.Command {
	var r control.Revocation
	cmd := &cobra.Command{
		Use:   "revoke ADDRESS|PREFIX [SERVICE]",
		Short: "End the grants of an address or prefix, and with --cut its connections",
		Long: `revoke ends the running grants of an address, or of all addresses in a prefix, to one
service such as tcp/22, or to all services. Established connections continue, unless
--cut ends them: those that a grant let in, and those that were there before the
daemon started. A grant for a prefix or for a range of ports ends as a whole or not
at all; if one continues, the exit status is 1. The source can knock again: to prevent
that, remove the access from the policy and reload.`,
		Args: commands.Args("ADDRESS", "[SERVICE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Source, err = control.ParseSource(args[0]); err != nil {
				return exitError{code: exitUsage, err: err}
			}
			if len(args) == 2 {
				r.Service = args[1]
			}
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			done, err := client.Revoke(cmd.Context(), r)
			// Also with an error, if something was ended before it.
			if err == nil || done.Grants > 0 || done.Connections > 0 {
				fmt.Fprintln(cmd.OutOrStdout(), revoked(done, r.Cut))
			}
			if err != nil {
				return failed(err)
			}
			if done.StillIn != "" {
				return exitError{
					code: exitFailed, err: errors.New("still let in, by a grant for more than was revoked: " + done.StillIn),
					hint: "a grant ends as a whole: revoke its whole prefix, and all of its ports or no SERVICE",
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&r.Cut, "cut", false, "also end the connections of the address or prefix")
	return socketFlag(cmd, o)
}

// revoked is the sentence about what was ended.
func revoked(done control.Revoked, cut bool) string {
	text := wording.Count(done.Grants, "grant", "grants") + " revoked"
	if cut {
		text += ", " + wording.Count(done.Connections, "connection", "connections") + " cut"
	}
	return text
}
