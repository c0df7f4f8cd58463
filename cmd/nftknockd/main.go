// Command nftknockd hides services behind port knocks. See nftknockd --help.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/policy"
)

// defaultPolicy is where packages install the policy.
const defaultPolicy = "/etc/nftknock/nftknockd.toml"

// Exit codes.
const (
	exitGood   = 0
	exitFailed = 1
	exitUsage  = 2 // usage or configuration
	exitUndone = 3 // a first policy was undone; the service manager does not restart it
)

func main() { os.Exit(run()) }

func run() int {
	cmd, err := newRoot().ExecuteC()
	if err == nil {
		return exitGood
	}
	var exit exitError
	if !errors.As(err, &exit) {
		// Errors of cobra and of package commands are about the command line.
		hint := "nftknockd --help lists commands and flags"
		if cmd.HasParent() {
			hint = cmd.CommandPath() + " --help lists its flags"
		}
		exit = exitError{code: exitUsage, err: err, hint: hint}
	}
	exit.print(os.Stderr)
	return exit.code
}

// exitError is an error that has its exit code, and perhaps a hint.
type exitError struct {
	code int
	err  error // nil when it has been printed already
	hint string
}

func (e exitError) Error() string { return fmt.Sprint(e.err) }

func (e exitError) print(w io.Writer) {
	switch diags := (policy.Diagnostics)(nil); {
	case e.err == nil:
	case errors.As(e.err, &diags): // each prints its place and severity
		printDiagnostics(w, diags)
	default:
		fmt.Fprintln(w, "nftknockd: error:", e.err)
	}
	if e.hint != "" {
		fmt.Fprintln(w, "nftknockd: hint:", e.hint)
	}
}

// failed gives the error of an operation its exit code. Nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return exitError{code: exitFailed, err: err}
}

// options are the flags that several commands share.
type options struct {
	config string
	socket string // of the commands that talk to the daemon; empty: the policy's
}

func newRoot() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "nftknockd",
		Short: "Hide services behind port knocks",
		Long: `nftknockd hides services of this host behind port knocks. It receives the packets of
knocks over NFLOG. When a knock is right, it lets its sender reach the service for a
limited time: as an element with a timeout in an nftables set, which the kernel
removes.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	withPolicy := []*cobra.Command{
		newRun(&o), newCheck(&o), newShowConfig(&o), newRules(&o), newReplay(&o), newSetup(&o), newReload(&o), newConfirm(&o), newStatus(&o), newGrants(&o), newGrant(&o), newRevoke(&o), newFingerprint(&o),
	}
	for _, cmd := range withPolicy {
		cmd.Flags().StringVarP(&o.config, "config", "c", defaultPolicy, "the policy `FILE`; the files in conf.d beside it are read too")
	}
	root.AddCommand(withPolicy...)
	root.AddCommand(newKeygen(), commands.Version("nftknockd"))
	return root
}
