package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/links"
	"nftknock/pkg/logger"
	"nftknock/pkg/logqueue"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

func newRun(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground, until SIGTERM or SIGINT",
		Long: `run hides the services of the policy and waits for knocks, in the foreground. It hides
the services before it reads keys and signature files: if one of these is missing,
the daemon ends and the services stay hidden.

SIGHUP, or "nftknockd reload", makes it read the policy again; if that fails, it keeps
its old policy. SIGTERM and SIGINT stop the daemon and leave the table and the running
grants in the kernel: services stay hidden, and grants end at their time.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := outlinePolicy(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			// NB: without this, a write to a log whose reader has gone would end the
			// process.
			signal.Ignore(syscall.SIGPIPE)
			log := logqueue.New(cmd.ErrOrStderr(), logger.LostLines(p.Log))
			defer log.Close()
			err = runDaemon(cmd.Context(), o.config, p, log)
			if err == nil {
				return nil
			}
			// Through the queue, since standard error may block.
			exit := startFailure(err)
			exit.print(log)
			return exitError{code: exit.code}
		},
	}
}

// runDaemon runs until a signal ends it.
func runDaemon(ctx context.Context, file string, p *policy.Policy, log io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal kills the process, in case the stop hangs.
	context.AfterFunc(ctx, stop)

	lines, level := logger.New(log, p.Log)
	events := event.NewDispatcher(nil, event.NewLog(lines))
	d := daemon.New(daemon.Config{
		Policy:      p,
		Load:        func() (*plan.Plan, policy.Diagnostics) { return plan.Load(file) },
		Events:      events,
		SetLogLevel: func(l policy.LogLevel) { level.Set(logger.Level(l)) },
		OpenSource:  func(c nflog.Config) (nflog.Source, error) { return nflog.Open(c) },
		OpenGate:    func(c gate.Config) (gate.Gate, error) { return gate.Open(c) },
		OpenStore:   func(path string) (spent.Spender, error) { return openStore(path, events) },
		OpenLinks:   func() (daemon.Links, error) { return links.Open() },
		// Without a service manager it does nothing.
		Notify: func(state string) { _, _ = systemd.SdNotify(false, state) },
	})
	reloadOnHangup(ctx, d)
	return d.Run(ctx)
}

// startFailure gives an error of the daemon its exit code and hint.
func startFailure(err error) exitError {
	exit := exitError{code: exitFailed, err: err}
	if start := (*daemon.StartError)(nil); errors.As(err, &start) {
		exit.err, exit.hint = start.Err, daemon.StayHidden
	}
	if diags := (policy.Diagnostics)(nil); errors.As(err, &diags) {
		exit.code = exitUsage
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

// openStore opens the store of spent tokens, and has it report when it had to be restored.
func openStore(path string, events *event.Dispatcher) (spent.Spender, error) {
	s, err := spent.Open(path)
	if err != nil {
		return nil, err
	}
	s.OnRestore(func() { events.Emit(event.StoreRestored{Path: path}) })
	return s, nil
}
