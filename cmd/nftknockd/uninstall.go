package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
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

If the policy cannot be read, uninstall goes by the last one that worked; without one it
removes the table that --table names, or "nftknock", and cannot purge. The exit status is
0 also if there was no table.`,
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
	p, known := u.policy()
	if purge && !known {
		return exitError{
			code: exitUsage, err: fmt.Errorf("cannot purge: nothing says where the state of %s is", u.config),
			hint: "uninstall without --purge, and remove the state directory by hand",
		}
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

// policy returns the policy whose table is in the kernel. known is false if that is not
// certain.
func (u *uninstaller) policy() (p *policy.Policy, known bool) {
	p, diags := policy.Outline(u.config)
	if !diags.HasErrors() {
		return p, true
	}
	// A policy that cannot be read must not keep the services of a host hidden.
	if last, err := lastpolicy.Find(u.config); err == nil {
		fmt.Fprintf(u.out, "the policy %s cannot be read: going by the last one that worked, %s\n", u.config, last.Path)
		return last.Policy, true
	}
	fmt.Fprintf(u.out, "the policy %s cannot be read: going by the default table and control socket\n", u.config)
	return policy.Default(), false
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
	removed, left, err := uninstall.State(dir, uninstall.StateFiles())
	if len(removed) > 0 {
		fmt.Fprintf(u.out, "state removed: %s\n", strings.Join(removed, ", "))
	}
	if left {
		fmt.Fprintf(u.out, "the directory stays: %s\n", dir)
	}
	return err
}
