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

// Args wants the named arguments, of which those in brackets may be left out. Its
// errors say which is missing or too many, where those of cobra only count.
func Args(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch n := len(args); {
		case n > len(names):
			return UsageError{fmt.Errorf("unexpected argument %q", args[len(names)])}
		case n < len(names) && names[n][0] != '[':
			return UsageError{fmt.Errorf("%s is missing", names[n])}
		}
		return nil
	}
}
