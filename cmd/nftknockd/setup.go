package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/doctor"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/links"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/setup"
	"nftknock/pkg/trial"
)

// setupOptions are the flags of the command.
type setupOptions struct {
	knock, open string
	foreground  bool
}

func newSetup(o *options) *cobra.Command {
	var s setupOptions
	c := setup.Config{Proc: os.DirFS("/proc"), Interfaces: interfaceNames, Worked: worked, Running: listening, In: bufio.NewReader(os.Stdin)}
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Write the first policy of this host, and start it on trial",
		Long: `setup finds what listens on this host, writes a first policy with a random key, prints
what the client needs, and starts the daemon on trial: unless a knock is granted or
"nftknockd confirm" is run within the time of --guard, everything is undone. Connections
that stand, such as the session it is typed in, continue in any case.

It asks before it starts; --yes asks nothing. It never overwrites a policy, except the
untouched sample; one of an earlier setup that nobody confirmed is tried again.

Exit status 0: the policy is confirmed (or, without systemd, ready to be run); 1: it was
undone or could not be started; 2: there is a policy already, or another mistake.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.Out = cmd.OutOrStdout()
			c.Answers = func(open []port.Range) bool { return closedAnswer(cmd.Context(), open) }
			c.Warnings = func(p *policy.Policy) []string { return hostFaults(cmd.Context(), p) }
			c.Terminal = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stdout.Fd()))
			if err := s.complete(&c, o.config); err != nil {
				return err
			}
			return runSetup(cmd, o, c, s.foreground)
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.open, "open", "", "hide these `SERVICES`, such as tcp/22,udp/51820 (default: what ssh listens on)")
	f.StringVar(&s.knock, "knock", string(setup.SIV), "the `KIND` of knock: siv (a random key), shared (a random sequence) or totp (a phone)")
	f.DurationVar(&c.Guard, "guard", time.Minute, "undo everything after this `TIME`, 1s to 1h, unless it is confirmed")
	f.StringVar(&c.Host, "host", "", "how the client calls this host: an `ADDRESS` or name")
	f.BoolVarP(&c.Yes, "yes", "y", false, "ask nothing")
	f.BoolVarP(&c.DryRun, "dry-run", "n", false, "print what would be done, and do nothing")
	f.BoolVar(&s.foreground, "foreground", false, "run the daemon in this process, also under systemd")
	f.StringVar(&c.Draft.StateDir, "state-dir", "", "the state `DIRECTORY` of the policy (default: "+policy.DefaultStateDir+")")
	f.StringVar(&c.Draft.Socket, "socket", "", "the `PATH` of the control socket of the policy (default: /run/nftknock/control.sock)")
	return cmd
}

// complete turns flags and environment into the configuration.
func (s setupOptions) complete(c *setup.Config, file string) error {
	if err := checkSetup(c, s); err != nil {
		return commands.UsageError{Err: err}
	}
	var err error
	if c.File, err = filepath.Abs(file); err != nil {
		return failed(err)
	}
	c.Draft.Knock = setup.Knock(s.knock)
	if s.open != "" {
		if c.Draft.Open, err = setup.ParseServices(s.open); err != nil {
			return setupFailure(err)
		}
	}
	// "client port server port": see sshd(8).
	if ssh := strings.Fields(os.Getenv("SSH_CONNECTION")); len(ssh) == 4 {
		c.Session, _ = netip.ParseAddr(ssh[0])
		if c.Host == "" {
			c.Host = ssh[2]
		}
	}
	return nil
}

// checkSetup finds flags with bad values.
func checkSetup(c *setup.Config, s setupOptions) error {
	if err := control.CheckGuard(c.Guard); err != nil {
		return err
	}
	if !slices.Contains(setup.Knocks, setup.Knock(s.knock)) {
		return fmt.Errorf("bad --knock %q: want siv, shared or totp", s.knock)
	}
	for flag, path := range map[string]string{"state-dir": c.Draft.StateDir, "socket": c.Draft.Socket} {
		if path != "" && !filepath.IsAbs(path) {
			return fmt.Errorf("bad --%s %q: want an absolute path", flag, path)
		}
	}
	return nil
}

// runSetup prepares the policy and starts the daemon.
func runSetup(cmd *cobra.Command, o *options, c setup.Config, foreground bool) error {
	p, err := setup.Run(c)
	if err != nil || p == nil {
		return setupFailure(err)
	}
	switch {
	case foreground:
		return runForeground(cmd, o.config, 0)
	case c.File != defaultPolicy || !hasUnit():
		fmt.Fprintf(c.Out, "Now start the daemon, which begins the trial of %v:\n\n    nftknockd run --config %s\n", c.Guard, c.File)
		return nil
	}
	if out, err := exec.CommandContext(cmd.Context(), "systemctl", "start", unit).CombinedOutput(); err != nil {
		return exitError{
			code: exitFailed, err: fmt.Errorf("systemctl start %s: %w\n%s", unit, err, out),
			hint: "journalctl -u " + unit + ` says why; when that is corrected, run "nftknockd setup" again`,
		}
	}
	fmt.Fprintf(c.Out, "The trial has begun. Knock within %v, or run \"nftknockd confirm\" in another session.\n", c.Guard)
	return awaitTrial(cmd.Context(), c, p)
}

// unit is the name of the daemon's service.
const unit = "nftknockd.service"

// hasUnit reports whether systemd runs this host and knows the daemon's service.
func hasUnit() bool {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return false
	}
	return exec.Command("systemctl", "cat", unit).Run() == nil
}

// awaitTrial waits for the end of the trial, and says what came of it.
func awaitTrial(ctx context.Context, c setup.Config, p *policy.Policy) error {
	for {
		note, err := trial.Read(p.State.Dir)
		switch {
		case err != nil:
			return failed(err)
		case note == nil:
			fmt.Fprintln(c.Out, "Confirmed: the policy stays. To hide services from the next boot on: systemctl enable nftknockd")
			return nil
		case !listening(p.Control.Socket):
			return exitError{
				code: exitFailed, err: errors.New("nobody knocked or confirmed the policy in time, so everything is undone: nothing is hidden"),
				hint: `prepare the client, then run "nftknockd setup" again: it tries the same policy`,
			}
		}
		select {
		case <-ctx.Done():
			return failed(ctx.Err())
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// listening reports whether a daemon listens on its control socket.
func listening(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// worked returns an error if a policy has worked on this host before.
func worked(source string) error {
	if _, err := lastpolicy.Find(source); errors.Is(err, lastpolicy.ErrNone) {
		return nil
	}
	return errors.New("a policy has worked on this host before")
}

// interfaceNames are the names of the host's interfaces, without lo.
func interfaceNames() ([]string, error) {
	list, err := links.List()
	var names []string
	for _, l := range list {
		if l.Name != "lo" {
			names = append(names, l.Name)
		}
	}
	return names, err
}

// closedAnswer reports whether the closed ports of this host answer, and silent ones would stand
// out.
func closedAnswer(ctx context.Context, open []port.Range) bool {
	p := policy.Default()
	p.NFTables.Hide, p.Control.Socket = policy.HideDrop, ""
	silent := doctor.FromPolicy(p)
	silent.Services = port.Normal(open)
	return slices.ContainsFunc(silent.Ahead(ctx, doctor.Look(ctx, silent, "/")), func(f doctor.Finding) bool { return f.Code == "hide-stands-out" })
}

// hostFaults are what of this host would keep a policy from working, with what to do about it.
func hostFaults(ctx context.Context, p *policy.Policy) []string {
	wanted := doctor.FromPolicy(p)
	host := doctor.Look(ctx, wanted, "/")
	var list []string
	for _, f := range wanted.Ahead(ctx, host) {
		list = append(list, f.Message+"\n  hint: "+f.Hint)
	}
	for _, s := range host.Unseen {
		list = append(list, "could not look at "+s)
	}
	return list
}

// setupFailure gives an error of setup its exit code and hint. Nil stays nil.
func setupFailure(err error) error {
	var refusal setup.Refusal
	switch {
	case errors.As(err, &refusal):
		return exitError{code: exitUsage, err: err, hint: refusal.Hint}
	case errors.Is(err, setup.ErrDeclined):
		return exitError{code: exitFailed, err: err}
	}
	return failed(err)
}
