package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/uninstall"
)

// restored is how long a daemon may take to restore its table, which it does within
// milliseconds.
const restored = 500 * time.Millisecond

func newUninstall(o *options) *cobra.Command {
	var table string
	var purge bool
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove the table after the daemon has stopped: nothing is hidden any more",
		Long: `uninstall removes the table, and with it all grants: services are then as open as the
host's firewall leaves them. It refuses while the daemon runs: stop it first, and keep it
from starting at the next boot: systemctl disable --now nftknockd.

The policy, its keys and the state directory stay, so that a daemon that starts again goes
on where this one has ended. --purge removes the state, too: knocks that were honoured in
the last minutes can then be sent again, and limits begin anew.

Without a policy that can be read, uninstall removes the table that --table names, or
"nftknock", and cannot purge. The exit status is 0 also if there was no table.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			u := uninstaller{out: cmd.OutOrStdout(), config: o.config, table: table}
			return u.run(purge)
		},
	}
	cmd.Flags().StringVar(&table, "table", "", "remove the table of this `NAME` (default: that of the policy)")
	cmd.Flags().BoolVar(&purge, "purge", false, "also remove the state: spent tokens and counts")
	return cmd
}

// uninstaller carries out the command.
type uninstaller struct {
	out    io.Writer
	config string
	table  string
}

func (u *uninstaller) run(purge bool) error {
	p, diags := policy.Outline(u.config)
	switch {
	case !diags.HasErrors():
	case purge:
		return exitError{code: exitUsage, err: diags.Err(), hint: "without the policy, nobody knows where the state is: uninstall without --purge, and remove the state directory by hand"}
	default:
		// A policy that cannot be read must not keep the services of a host hidden.
		fmt.Fprintf(u.out, "the policy %s cannot be read: using the default table and control socket\n", u.config)
		p = policy.Default()
	}
	if u.table != "" {
		p.NFTables.Table = u.table
	}
	if err := u.removeTable(p); err != nil {
		return err
	}
	if purge {
		if err := u.removeState(p.State.Dir); err != nil {
			return failed(err)
		}
	} else {
		fmt.Fprintf(u.out, "the state stays: %s (--purge removes it)\n", p.State.Dir)
	}
	fmt.Fprintf(u.out, "the policy stays: %s\n", u.config)
	fmt.Fprintln(u.out, "services are hidden again when the daemon starts: to prevent that at boot, systemctl disable nftknockd")
	return nil
}

func (u *uninstaller) removeTable(p *policy.Policy) error {
	removed, err := uninstall.Run(uninstall.Config{
		Socket:   p.Control.Socket,
		Open:     func() (uninstall.Table, error) { return gate.Open(gate.Config{Table: p.NFTables.Table}) },
		Restored: restored,
	})
	switch {
	case errors.Is(err, uninstall.ErrRunning):
		return exitError{code: exitFailed, err: err, hint: "stop it first: systemctl stop nftknockd"}
	case err != nil:
		return failed(err)
	case removed:
		fmt.Fprintf(u.out, "table inet %s removed: it hides nothing any more\n", p.NFTables.Table)
	default:
		fmt.Fprintf(u.out, "there is no table inet %s: nothing to remove\n", p.NFTables.Table)
	}
	return nil
}

func (u *uninstaller) removeState(dir string) error {
	removed, left, err := uninstall.State(dir, daemon.StateFiles())
	if len(removed) > 0 {
		fmt.Fprintf(u.out, "state removed: %s\n", strings.Join(removed, ", "))
	}
	if left {
		fmt.Fprintf(u.out, "the directory stays: %s\n", dir)
	}
	return err
}
