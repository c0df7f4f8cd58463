package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/links"
	"nftknock/pkg/logger"
	"nftknock/pkg/logqueue"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

func newRun(o *options) *cobra.Command {
	var guard time.Duration
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground, until SIGTERM or SIGINT",
		Long: `run hides the services of the policy and waits for knocks, in the foreground. It hides
the services before it reads keys and signature files: if one of these is missing,
no knock opens the accesses that need it, whose services stay hidden, and all others
work. The same holds for an NFLOG group that another program has taken, and for a
state directory that cannot be used: the log says what is wrong, and the daemon tries
again. If the policy cannot be loaded, it runs the last one that worked, if there is one.

SIGHUP, or "nftknockd reload", makes it read the policy again; if that fails, it keeps
its old policy. SIGTERM and SIGINT stop the daemon and leave the table and the running
grants in the kernel: services stay hidden, and grants end at their time.

With --guard, or after "nftknockd setup", the policy is on trial: unless a knock is
granted or "nftknockd confirm" is run in time, the table is removed and the daemon ends
with status 3.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkGuard(cmd, guard); err != nil {
				return err
			}
			return runForeground(cmd, o.config, guard)
		},
	}
	cmd.Flags().DurationVar(&guard, "guard", 0, "the first policy of a host: undo it after this `TIME` unless a knock is granted or \"nftknockd confirm\" is run")
	return cmd
}

// runForeground runs the daemon until a signal ends it, or the trial of a first policy. guard is
// what the command line asks for.
func runForeground(cmd *cobra.Command, file string, guard time.Duration) error {
	p, err := startPolicy(file, guard)
	if err != nil {
		return err
	}
	// NB: without this, a write to a log whose reader has gone would end the
	// process.
	signal.Ignore(syscall.SIGPIPE)
	log := logqueue.New(cmd.ErrOrStderr(), logger.LostLines(p.Log))
	defer log.Close()
	err = runDaemon(cmd.Context(), p, log)
	if err == nil {
		return nil
	}
	// Through the queue, since standard error may block.
	exit := startFailure(err)
	exit.print(log)
	return exitError{code: exit.code}
}

// checkGuard checks the value of the flag --guard.
func checkGuard(cmd *cobra.Command, guard time.Duration) error {
	if !cmd.Flags().Changed("guard") {
		return nil
	}
	if err := control.CheckGuard(guard); err != nil {
		return commands.UsageError{Err: err}
	}
	return nil
}

// runDaemon runs until a signal ends it.
func runDaemon(ctx context.Context, p startingPolicy, log io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal kills the process, in case the stop hangs.
	context.AfterFunc(ctx, stop)

	lines, level := logger.New(log, p.Log)
	d := daemon.New(daemon.Config{
		Policy:      p.Policy,
		Bad:         p.bad,
		Last:        p.last,
		Load:        func() (*plan.Plan, policy.Diagnostics) { return loadForHost(p.file) },
		FindLast:    p.findLast(),
		Guard:       p.trial.guard,
		Notes:       &notes{file: p.file, dir: p.State.Dir, guard: p.trial.guard},
		Noted:       p.trial.noted,
		Keep:        func(worked *policy.Policy) error { return lastpolicy.Keep(worked.State.Dir, p.source, worked) },
		Events:      event.NewDispatcher(nil, event.NewLog(lines)),
		SetLogLevel: func(l policy.LogLevel) { level.Set(logger.Level(l)) },
		OpenSource:  func(c nflog.Config) (nflog.Source, error) { return nflog.Open(c) },
		OpenGate:    func(c gate.Config) (gate.Gate, error) { return gate.Open(c) },
		OpenStore:   func(path string) (spent.Spender, error) { return spent.Open(path) },
		OpenLinks:   func() (daemon.Links, error) { return links.Open() },
		// Without a service manager it does nothing.
		Notify: func(state string) { _, _ = systemd.SdNotify(false, state) },
	})
	reloadOnHangup(ctx, d)
	return d.Run(ctx)
}

// findLast is daemon.Config.FindLast. A first policy has none before it.
func (p *startingPolicy) findLast() func() (*lastpolicy.Copy, error) {
	if p.trial.guard != 0 {
		return nil
	}
	return func() (*lastpolicy.Copy, error) { return lastpolicy.Find(p.source) }
}

// startFailure gives an error of the daemon its exit code and hint.
func startFailure(err error) exitError {
	exit := exitError{code: exitFailed, err: err}
	if errors.Is(err, daemon.ErrUndone) {
		exit.code, exit.hint = exitUndone, `to try it again, run "nftknockd setup"`
	}
	if start := (*daemon.StartError)(nil); errors.As(err, &start) {
		exit.err, exit.hint = start.Err, start.Meaning()
	}
	return exit
}

// reloadOnHangup reloads at each SIGHUP until ctx is done. Signals that come during
// a reload count as one.
func reloadOnHangup(ctx context.Context, d *daemon.Daemon) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
				// The daemon logs its error.
				_, _ = d.Reload(ctx, control.Reload{})
			}
		}
	}()
}
