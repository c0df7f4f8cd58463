// Command demo demonstrates nftknock on the running kernel and without root: a hidden service,
// a knock, the detection of the client's operating system, a grant, and its end by the
// kernel's timer. nftknockd and nftknock must be in its own directory.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
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

// sequence has the form of the first example of the 2004 article, and ports of its own: those
// of the article are known to everyone.
var sequence = newSequence()

func newSequence() []string {
	ports := rand.Perm(20000)[:4]
	element := func(protocol string, i int) string { return fmt.Sprint(protocol, "/", 10000+ports[i]) }
	return []string{element("tcp", 0), element("udp", 1), "icmp", "icmp", element("tcp", 2), element("udp", 3)}
}

// policy is that example, with a timeout of a few seconds.
const policy = `
control.socket = "" # nobody reloads this daemon
state.dir = %q

[[access]]
name = "ssh"
knock = "shared"
sequence = ["%s"]
open = ["tcp/22"]
timeout = "4s"
require_os = "linux"
within = "20s"
`

// rc is the configuration of the client in the article.
var rc = "10.3.2.1: " + strings.Join(sequence, ", ") + "\n"

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
		write(l, "nftknockd.toml", fmt.Sprintf(policy, filepath.Join(dir, "state"), strings.Join(sequence, `", "`))), write(l, "fwknoprc", rc),
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
