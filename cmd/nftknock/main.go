// Command nftknock knocks at the ports of a host that runs nftknockd, so that
// it opens a service to this machine for a while.
//
// What the terminal shows: progress on standard output, one line per event,
// text that begins with "[+] " or JSON; everything else on standard error, one
// line each of "nftknock: error: ", "nftknock: hint: " and "nftknock: warning: ".
// Questions go to the terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/client"
)

// The exit codes.
const (
	exitGood   = 0
	exitFailed = 1
	exitConfig = 2 // usage or configuration
	exitClosed = 3 // the port to verify stayed closed
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal kills.
	context.AfterFunc(ctx, stop)
	cmd, err := newCommand(os.Stdout, os.Stderr).ExecuteContextC(ctx)
	return report(os.Stderr, cmd.CommandPath(), err)
}

// closedError: the knock was sent and the port to verify stayed closed.
type closedError struct {
	error
	kind client.Kind
}

// report prints the failure of a command with its hint and returns the exit code.
func report(w io.Writer, command string, err error) int {
	if err == nil {
		return exitGood
	}
	fmt.Fprintf(w, "nftknock: error: %v\n", err)
	var (
		usage  commands.UsageError
		closed closedError
		advice *client.Error
	)
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(w, "nftknock: hint: %s -h explains the flags\n", command)
		return exitConfig
	case errors.As(err, &closed):
		closedHints(w, closed.kind)
		return exitClosed
	case errors.As(err, &advice):
		if advice.Hint != "" {
			fmt.Fprintf(w, "nftknock: hint: %s\n", advice.Hint)
		}
		if advice.Config {
			return exitConfig
		}
	}
	return exitFailed
}

// closedHints prints what may keep a port closed after a knock, likely reasons first.
func closedHints(w io.Writer, kind client.Kind) {
	hints := []string{"the server's log says why: journalctl -u nftknockd"}
	hints = append(hints, closedReasons[kind]...)
	hints = append(hints, "the server opens to the address that the knock came from: behind NAT or a VPN that may be one its policy does not allow; -4 and -6 choose between IPv4 and IPv6")
	if kind != client.SPA {
		hints = append(hints, "an access with require_os opens only to that operating system")
	}
	for _, hint := range hints {
		fmt.Fprintf(w, "nftknock: hint: %s\n", hint)
	}
}

// closedReasons are hints for one kind of knock.
var closedReasons = map[client.Kind][]string{
	client.Shared: {
		"is the sequence the same here and in the server's policy, element by element?",
		"a policy with min_interval wants a pause between the knocks: --delay",
	},
	client.Encrypted: {
		"are key, encoding and port base the same here and in the server's policy? does its access open the service you asked for?",
		"a knock of encoding siv contains the time: are the clocks of both sides right?",
	},
	client.SPA: {
		"are keys, hash and port the same here and in the server's policy? does its access open the services you asked for?",
		"the packet contains the time: are the clocks of both sides right?",
	},
	client.TOTP: {
		"is the secret the same here and in the server's policy? does the phone compute eight digits?",
		"a code is valid once and for 30 seconds: are the clocks of both sides right?",
	},
}
