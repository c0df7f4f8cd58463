package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/logqueue"
	"nftknock/pkg/nflog"
	"nftknock/pkg/policy"
	"nftknock/pkg/replay"
)

func newRun(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Hide services and let knockers in, until SIGTERM or SIGINT",
		Long: `run hides the services of the policy and watches for knocks, in the foreground.
SIGHUP, or "nftknockd reload", has it read the policy again; if that fails, the
old one stays. SIGTERM and SIGINT stop the daemon and leave the table and its
running grants in the kernel: services stay hidden, and grants end when they
would have.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, warnings, err := loadPlan(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			// A second signal ends a stop that hangs.
			context.AfterFunc(ctx, stop)

			// A log whose reader has gone is no reason to end: a write to it fails
			// instead.
			signal.Ignore(syscall.SIGPIPE)
			queue := logqueue.New(cmd.ErrOrStderr(), daemon.LostLines(plan.Policy.Log))
			defer queue.Close()
			log, level := daemon.NewLogger(queue, plan.Policy.Log)
			d := daemon.New(daemon.Config{
				Plan:       plan,
				Warnings:   warnings,
				Load:       func() (*policy.Policy, policy.Diagnostics) { return policy.Load(o.config) },
				Log:        log,
				Level:      level,
				OpenSource: func(c nflog.Config) (nflog.Source, error) { return nflog.Open(c) },
				OpenGate:   func(c gate.Config) (gate.Gate, error) { return gate.Open(c) },
				OpenStore:  func(path string) (daemon.Store, error) { return replay.Open(path) },
				// Without a service manager there is nobody to tell.
				Notify: func(state string) { _, _ = systemd.SdNotify(false, state) },
			})
			reloadOnHangup(ctx, d)
			return failed(d.Run(ctx))
		},
	}
}

// reloadOnHangup turns SIGHUP into requests to reload until ctx is done. Those
// that come during a reload are one.
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
				// The log says how it went, and nobody else asked.
				_ = d.Reload(ctx)
			}
		}
	}()
}
