package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nftknock/pkg/capture"
	"nftknock/pkg/fingerprint"
	"nftknock/pkg/kernlog"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

// fingerprintFlags are those of the command.
type fingerprintFlags struct {
	live      bool
	device    string
	log       string
	databases []string
	grammar   string
	json      bool
	summary   bool
	verbose   bool
	count     int
}

func newFingerprint(o *options) *cobra.Command {
	var f fingerprintFlags
	cmd := &cobra.Command{
		Use:   "fingerprint FILE | --live | --log FILE",
		Short: "Tell the operating system behind each SYN of a capture, this host or a log",
		Long: `fingerprint tells the operating system behind each TCP SYN: of a pcap or pcapng
capture, of the packets this host sends and receives (--live, which needs root or
CAP_NET_RAW), or of the lines that iptables' LOG and nft's log statement write
into the kernel log (--log), if they have TCP options. A file of "-" is standard
input. An unknown SYN comes with lines for a signature file of one's own.

An answer is exact, or of the family only, or of low confidence: the TTL is above
the initial one or too far below it, DF is missing, or the like. All of it is what
the sender chose to send.`,
		Example: `  nftknockd fingerprint capture.pcap --summary
  tcpdump -w - 'tcp[tcpflags] & tcp-syn != 0' | nftknockd fingerprint -
  nftknockd fingerprint --live -i eth0 -v
  journalctl -k | nftknockd fingerprint --log -`,
		Args: cobra.MaximumNArgs(1),
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
	flags.BoolVar(&f.live, "live", false, "the SYNs this host sends and receives, until interrupted")
	flags.StringVarP(&f.device, "interface", "i", "", "with --live, the `interface` (default all)")
	flags.StringVar(&f.log, "log", "", "a `file` of kernel log lines with TCP options")
	flags.StringSliceVar(&f.databases, "database", []string{p0f.BuiltinName},
		"signature `files`, earlier ones first: p0f 3, p0f 2 or pf.os; \"builtin\" is the table of this program (with -c, those of the policy)")
	flags.StringVar(&f.grammar, "grammar", "", "how signatures are written: p0f3, p0f2 or pf.os (default p0f3, with --log pf.os)")
	flags.BoolVar(&f.json, "json", false, "one JSON object a SYN: src dst sport dport version label family flavour class confidence distance signature; with --summary one a sender: label family class confidence count")
	flags.BoolVar(&f.summary, "summary", false, "how many SYNs each system sent")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "each header field and option in words")
	flags.IntVar(&f.count, "count", 0, "end after `N` SYNs (0: at the end)")
	return cmd
}

// check finds what is wrong with the command line, and fills in what follows
// from it.
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
		return errors.New("--interface is of use with --live only")
	case f.verbose && (f.json || f.summary):
		return errors.New("--verbose is for people: it does not go with --json or --summary")
	case f.count < 0:
		return errors.New("--count wants a number from 0, which means all")
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

// run opens the source, reads it to its end and says what was passed over.
func (f *fingerprintFlags) run(cmd *cobra.Command, db *p0f.Database, args []string) error {
	in, err := f.open(cmd, args)
	if err != nil {
		return err
	}
	n, err := f.read(cmd.OutOrStdout(), db, in.Source)
	if err := errors.Join(err, in.close()); err != nil {
		return err
	}
	explainSkipped(cmd.ErrOrStderr(), in.name, n, in.Skipped())
	return nil
}

// input is what is read, under the name it is spoken of.
type input struct {
	fingerprint.Source
	name  string
	close func() error
}

func (f *fingerprintFlags) open(cmd *cobra.Command, args []string) (input, error) {
	switch {
	case f.live:
		return f.openLive(cmd.ErrOrStderr())
	case f.log != "":
		return openLog(f.log, cmd.InOrStdin())
	}
	return openCapture(args[0], cmd.InOrStdin())
}

func (f *fingerprintFlags) openLive(w io.Writer) (input, error) {
	live, err := capture.Live(f.device)
	if err != nil {
		return input{}, err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // a second one kills
		_ = live.Close()     // ends Next
	}()
	fmt.Fprintln(w, "nftknockd: listening for SYNs; Ctrl-C ends")
	return input{fingerprint.FromPackets(live), "live", func() error {
		if lost := live.Lost(); lost > 0 {
			fmt.Fprintf(w, "nftknockd: %s came faster than they were read and are missing\n", plural(int(lost), "SYN"))
		}
		return live.Close()
	}}, nil
}

const standardInput = "standard input"

func openCapture(name string, stdin io.Reader) (input, error) {
	if name == "-" {
		capt, err := capture.NewReader(standardInput, stdin)
		if err != nil {
			return input{}, err
		}
		return input{fingerprint.FromPackets(capt), standardInput, capt.Close}, nil
	}
	capt, err := capture.Open(name)
	if err != nil {
		return input{}, err
	}
	stop := showProgress(capt.Progress)
	return input{fingerprint.FromPackets(capt), name, func() error { stop(); return capt.Close() }}, nil
}

func openLog(name string, stdin io.Reader) (input, error) {
	if name == "-" {
		return input{fingerprint.FromLog(standardInput, stdin), standardInput, func() error { return nil }}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return input{}, err
	}
	stop := showProgress(fileProgress(file))
	return input{fingerprint.FromLog(name, file), name, func() error { stop(); return file.Close() }}, nil
}

// fileProgress tells how far a file has been read.
func fileProgress(file *os.File) func() (float64, bool) {
	return func() (float64, bool) {
		info, err := file.Stat()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return 0, false
		}
		at, err := file.Seek(0, io.SeekCurrent)
		return float64(at) / float64(info.Size()), err == nil
	}
}

// read answers for every SYN and counts them. What it has found it tells, also if
// the source fails later: a capture may end in the middle of a packet.
func (f *fingerprintFlags) read(w io.Writer, db *p0f.Database, src fingerprint.Source) (int, error) {
	summary := fingerprint.NewSummary(fingerprint.Grammar(f.grammar))
	n, err := f.readEach(w, db, src, summary)
	switch {
	case !f.summary || n == 0:
		return n, err
	case f.json:
		return n, errors.Join(summary.PrintJSON(w), err)
	}
	return n, errors.Join(summary.Print(w), err)
}

func (f *fingerprintFlags) readEach(w io.Writer, db *p0f.Database, src fingerprint.Source, summary *fingerprint.Summary) (n int, err error) {
	grammar := fingerprint.Grammar(f.grammar)
	enc := json.NewEncoder(w)
	for f.count == 0 || n < f.count {
		at, p, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
		n++
		answer := fingerprint.NewAnswer(db, p, grammar)
		switch {
		case f.summary:
			summary.Add(answer, p)
		case f.json:
			err = enc.Encode(answer)
		default:
			err = f.print(w, at, answer, p)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// print writes what people read of one SYN.
func (f *fingerprintFlags) print(w io.Writer, at time.Time, a fingerprint.Answer, p *packet.Packet) error {
	var b strings.Builder
	if !at.IsZero() {
		b.WriteString(at.UTC().Format(timeFormat) + " ")
	}
	fmt.Fprintln(&b, a)
	var more []string
	if f.verbose {
		more = fingerprint.Words(p, f.log == "")
	}
	if !a.Known() {
		more = append(more, strings.Split(fingerprint.Rule(p, fingerprint.Grammar(f.grammar)), "\n")...)
	}
	for _, line := range more {
		fmt.Fprintln(&b, "    "+line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explainSkipped says what a reader would else wonder about.
func explainSkipped(w io.Writer, name string, n int, s fingerprint.Skipped) {
	if s.Broken > 0 {
		fmt.Fprintf(w, "nftknockd: %s: could not read %d of its packets or lines, the first: %v\n", name, s.Broken, s.Why)
	}
	if s.NoOptions > 0 {
		fmt.Fprintf(w, "nftknockd: %s: passed over %s: %v\n", name, plural(s.NoOptions, "SYN"), kernlog.ErrNoOptions)
	}
	if n == 0 {
		fmt.Fprintf(w, "nftknockd: %s: no SYN in it, and %d other packets or lines\n", name, s.Others)
	}
}
