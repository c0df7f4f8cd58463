package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nftknock/pkg/control"
	"nftknock/pkg/policy"
)

// socketHint is the hint where no daemon listens on the control socket.
const socketHint = "--socket names another control socket, if the daemon was started with another one than the policy names now"

// socketFlag gives a command that talks to the daemon the flag --socket, and returns it.
func socketFlag(cmd *cobra.Command, o *options) *cobra.Command {
	cmd.Flags().StringVar(&o.socket, "socket", "", "the daemon's control socket, a `PATH`, if not that of the policy")
	return cmd
}

// controlClient returns a client of the daemon. It reads no more of the policy than the path
// of the control socket: that the rest is bad is no reason not to reach the daemon, which
// may have credentials and permissions that this process has not. If the policy does not say
// where the socket is, controlClient prints why and takes the default.
func controlClient(cmd *cobra.Command, o *options) (*control.Client, error) {
	if o.socket != "" {
		return control.NewClient(o.socket), nil
	}
	socket, diags := policy.ControlSocket(o.config)
	switch {
	case diags.HasErrors():
		fmt.Fprintf(cmd.ErrOrStderr(), "%s\nnftknockd: warning: the control socket is unknown because of this: trying %s; --socket names another\n", diags[0], socket)
	case socket == "":
		return nil, exitError{
			code: exitUsage, err: errors.New("the policy has no control socket"),
			hint: "SIGHUP makes the daemon read its policy again, and its log says whether that worked; a daemon that still has a socket is reached with --socket",
		}
	}
	return control.NewClient(socket), nil
}
