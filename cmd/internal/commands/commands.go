// Package commands has the commands that nftknockd and nftknock both have, so that
// their flags and help texts stand in one place. It is wiring, as the rest of cmd:
// the work is done by packages that know nothing of a command line.
package commands

import (
	"fmt"

	"github.com/spf13/cobra"
)

// UsageError is a mistake on the command line.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }

func (e UsageError) Unwrap() error { return e.Err }

// NoArgs refuses arguments, as cobra.NoArgs does, which calls them unknown
// commands.
func NoArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
