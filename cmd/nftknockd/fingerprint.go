package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/fingerprint"
	"nftknock/pkg/p0f"
)

// fingerprintFlags are the flags of the command.
type fingerprintFlags struct {
	live                   bool
	device                 string
	log                    string
	databases              []string
	grammar                string
	json, summary, verbose bool
	count                  int
}

func newFingerprint(o *options) *cobra.Command {
	var f fingerprintFlags
	cmd := &cobra.Command{
		Use:   "fingerprint FILE | --live | --log FILE",
		Short: "Tell which operating system sent each SYN of a capture, this host or a log",
		Long: `fingerprint tells which operating system sent each TCP SYN. It reads a pcap or pcapng
capture, or the packets that this host sends and receives (--live, which needs root
or CAP_NET_RAW), or the lines that iptables' LOG and nft's log statement write into
the kernel log (--log), if they include TCP options. FILE "-" is standard input. For
an unknown SYN it also prints lines for a signature file of your own.

The confidence is "exact"; or "family", when only the family of the system is sure;
or "low", when the TTL is above the initial one or too far below it, DF is missing,
or the like. A sender can fake all of it.`,
		Example: `  nftknockd fingerprint capture.pcap --summary
  tcpdump -w - 'tcp[tcpflags] & tcp-syn != 0' | nftknockd fingerprint -
  nftknockd fingerprint --live -i eth0 -v
  journalctl -k | nftknockd fingerprint --log -`,
		Args: commands.Args("[FILE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			if cmd.Flags().Changed("config") && !cmd.Flags().Changed("database") {
				plan, err := loadPlan(o.config, cmd.ErrOrStderr())
				if err != nil {
					return err
				}
				f.databases = plan.Policy.Fingerprint.Databases
			}
			db, err := p0f.Load(f.databases...)
			if err != nil {
				return exitError{code: exitUsage, err: err}
			}
			return failed(f.run(cmd, db, args))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.live, "live", false, "read the SYNs that this host sends and receives, until interrupted")
	flags.StringVarP(&f.device, "interface", "i", "", "with --live, the `INTERFACE` (default all)")
	flags.StringVar(&f.log, "log", "", "read a `FILE` of kernel log lines with TCP options")
	flags.StringSliceVar(&f.databases, "database", []string{p0f.BuiltinName},
		"signature `FILES`, the first match counts: p0f 3, p0f 2 or pf.os; \"builtin\" is the table in this program (with -c, the databases of the policy)")
	flags.StringVar(&f.grammar, "grammar", "", "the `NAME` of how signatures are written: p0f3, p0f2 or pf.os (default p0f3, with --log pf.os)")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per SYN: src dst sport dport version label family flavour class confidence distance signature; with --summary one per sender: label family class confidence count")
	flags.BoolVar(&f.summary, "summary", false, "print how many SYNs each operating system sent")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "print each header field and option in words")
	flags.IntVar(&f.count, "count", 0, "stop after `N` SYNs (0: at the end)")
	return cmd
}

// check finds what is wrong with the command line, and fills in the grammar.
func (f *fingerprintFlags) check(args []string) error {
	sources := len(args)
	if f.live {
		sources++
	}
	if f.log != "" {
		sources++
	}
	switch {
	case sources != 1:
		return errors.New("want one of a capture FILE, --live and --log FILE")
	case f.device != "" && !f.live:
		return errors.New("--interface goes with --live only")
	case f.verbose && (f.json || f.summary):
		return errors.New("--verbose does not go with --json or --summary")
	case f.count < 0:
		return fmt.Errorf("bad --count %d: want a number from 0, which means all", f.count)
	case len(f.databases) == 0:
		return errors.New("--database wants the names of files, or \"builtin\"")
	}
	if f.grammar == "" {
		f.grammar = string(fingerprint.P0F3)
		if f.log != "" {
			f.grammar = string(fingerprint.PF)
		}
	}
	if !slices.Contains(fingerprint.Grammars, fingerprint.Grammar(f.grammar)) {
		return fmt.Errorf("unknown grammar %q: want p0f3, p0f2 or pf.os", f.grammar)
	}
	return nil
}

// run reports on the input, and says what of it was passed over.
func (f *fingerprintFlags) run(cmd *cobra.Command, db *p0f.Database, args []string) error {
	in, err := f.open(cmd, args)
	if err != nil {
		return err
	}
	stop := showProgress(in.Progress)
	n, err := f.report().Write(cmd.OutOrStdout(), db, in)
	stop()
	if err == nil || n > 0 {
		for _, note := range in.Skipped().Notes(n) {
			fmt.Fprintf(cmd.ErrOrStderr(), "nftknockd: %s: %s\n", in.Name, note)
		}
	}
	return errors.Join(err, in.Close())
}

func (f *fingerprintFlags) report() fingerprint.Report {
	r := fingerprint.Report{Grammar: fingerprint.Grammar(f.grammar), Summary: f.summary, Count: f.count}
	switch {
	case f.json:
		r.Format = fingerprint.JSON
	case f.verbose:
		r.Format = fingerprint.Details
	}
	return r
}

func (f *fingerprintFlags) open(cmd *cobra.Command, args []string) (*fingerprint.Input, error) {
	switch {
	case f.log != "":
		return fingerprint.OpenLog(f.log, cmd.InOrStdin())
	case !f.live:
		return fingerprint.OpenCapture(args[0], cmd.InOrStdin())
	}
	in, err := fingerprint.OpenLive(f.device)
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		stop()         // a second signal kills
		_ = in.Close() // ends Next
	})
	fmt.Fprintln(cmd.ErrOrStderr(), "nftknockd: listening for SYNs; Ctrl-C ends")
	return in, nil
}
