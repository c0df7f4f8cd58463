// Command demo demonstrates nftknock on the running kernel and without root: a hidden service,
// a knock, the detection of the client's operating system, a grant, and its end by the
// kernel's timer. nftknockd and nftknock must be in its own directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"nftknock/test/lab"
	"nftknock/test/netns"
)

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The outer process only waits. The inner one handles Ctrl-C and cleans up.
	inside, status, err := netns.Enter()
	if err == nil && inside {
		err = show(ctx)
	}
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "\ndemo: interrupted; everything is cleaned up")
		return 130
	case errors.Is(err, netns.ErrForbidden):
		fmt.Fprintf(os.Stderr, "demo: error: %v\ndemo: hint: %s\n", err, netns.Hint)
		return 1
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		return 1
	}
	return status
}

// policy is the first example of the 2004 article, with a timeout of a few seconds.
const policy = `
control.socket = "" # nobody reloads this daemon

[[access]]
name = "ssh"
knock = "shared"
sequence = ["tcp/50053", "udp/6020", "icmp", "icmp", "tcp/24034", "udp/9680"]
open = ["tcp/22"]
timeout = "4s"
require_os = "linux"
within = "20s"
`

// rc is the configuration of the client in the article.
const rc = "10.3.2.1: tcp/50053, udp/6020, icmp, icmp, tcp/24034, udp/9680\n"

// show makes the network, runs the demonstration and removes everything.
func show(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "nftknock-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	l, err := lab.New(dir, filepath.Dir(exe), 2)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := errors.Join(
		write(l, "nftknockd.toml", policy), write(l, "fwknoprc", rc),
		l.Serve(ctx, 22, "SSH-2.0-a_hidden_service"),
	); err != nil {
		return err
	}
	s := &story{ctx: ctx, lab: l, rc: filepath.Join(dir, "fwknoprc")}
	return s.tell(filepath.Join(dir, "nftknockd.toml"))
}

func write(l *lab.Lab, name, content string) error {
	_, err := l.Write(name, content)
	return err
}
