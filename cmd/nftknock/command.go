package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/pkg/client"
	"nftknock/pkg/knock"
)

// options are the flags.
type options struct {
	host          string
	delay         time.Duration
	verify        string
	verifyTimeout time.Duration
	test          bool
	quiet         bool
	json          bool
	verbose       bool
	ip4, ip6      bool
	hosts, rc     client.File
}

const long = `nftknock sends a knock sequence to HOST, so that nftknockd there opens a service
to this machine for a while.

The sequence is what follows HOST on the command line (tcp/PORT, udp/PORT and
icmp, in their order), or else what the files below say about HOST: first an
entry of that name, then one for the address HOST resolves to.

A host in hosts.toml (all but the sequence is optional):
  ["ssh.example.org"]
  sequence = ["tcp/7000", "udp/8000", "icmp"]
  address = "10.3.2.1"   # where to knock, if not at the name itself
  delay = "500ms"        # pause between two knocks
  verify = "tcp/22"      # wait until this port opens
The same sequence in the 2004 client's .fwknoprc:
  ssh.example.org: tcp/7000, udp/8000, icmp

Exit codes: 0 good, 1 failed, 2 usage or configuration, 3 the port to verify
stayed closed.`

const example = `  nftknock ssh.example.org
  nftknock 10.3.2.1 tcp/7000 udp/8000 icmp --verify tcp/22
  nftknock -T ssh.example.org        what would be sent?`

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "nftknock [flags] HOST [ELEMENT...]",
		Short:         "knock at the ports of a host",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := encryptedFlags(cmd); err != nil {
				return err
			}
			r, err := o.request(cmd, args, stderr)
			if err != nil {
				return err
			}
			return o.knock(cmd, r, printer(o, stdout), stderr)
		},
		ValidArgsFunction: o.completeArgs,
	}
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	addFlags(cmd, &o)
	cmd.AddCommand(versionCommand())
	return cmd
}

func addFlags(cmd *cobra.Command, o *options) {
	o.hosts, o.rc = client.DefaultFiles()
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.host, "knock", "k", "", "the `HOST`, as the 2004 client spelt it")
	f.DurationVar(&o.delay, "delay", 0, "pause between two knocks, such as 500ms or 3s (overrides the file's)")
	f.StringVar(&o.verify, "verify", "", "wait until this `PORT` opens, such as tcp/22 (overrides the file's)")
	f.DurationVar(&o.verifyTimeout, "verify-timeout", 5*time.Second, "how long to wait for it")
	f.BoolVarP(&o.ip4, "ipv4", "4", false, "knock over IPv4")
	f.BoolVarP(&o.ip6, "ipv6", "6", false, "knock over IPv6")
	f.BoolVarP(&o.test, "test", "T", false, "print what would be sent and send nothing")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print warnings and errors only")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say where sequence and address come from")
	f.StringVar(&o.hosts.Path, "hosts", o.hosts.Path, "`FILE` of hosts (TOML)")
	f.StringVar(&o.rc.Path, "rc", o.rc.Path, "`FILE` of hosts in the 2004 client's form")

	f.BoolP("encrypt", "e", false, "")
	f.StringP("allow", "a", "", "")
	f.StringP("protocol", "P", "", "")
	f.StringP("port", "p", "", "")
	f.BoolP("rotate", "r", false, "")
	for _, name := range encrypted {
		f.Lookup(name).Hidden = true
	}
}

// encrypted are the 2004 client's flags for encrypted sequences.
var encrypted = []string{"encrypt", "allow", "protocol", "port", "rotate"}

func encryptedFlags(cmd *cobra.Command) error {
	for _, name := range encrypted {
		if f := cmd.Flags().Lookup(name); f.Changed {
			return &client.Error{
				Err:    fmt.Errorf("-%s belongs to encrypted sequences, which this version does not send", f.Shorthand),
				Hint:   "a shared sequence works without it: nftknock HOST",
				Config: true,
			}
		}
	}
	return nil
}

// request puts together what the command line asks for.
func (o *options) request(cmd *cobra.Command, args []string, stderr io.Writer) (client.Request, error) {
	r := client.Request{Host: o.host, Network: client.IP}
	switch {
	case o.ip4:
		r.Network = client.IP4
	case o.ip6:
		r.Network = client.IP6
	}
	if !cmd.Flags().Changed("knock") {
		if len(args) == 0 {
			return r, usageError{errors.New("no host to knock at: nftknock [flags] HOST [ELEMENT...]")}
		}
		r.Host, args = args[0], args[1:]
	}
	err := o.check()
	if err != nil {
		return r, usageError{err}
	}
	if r.Sequence, err = elements(args); err != nil {
		return r, usageError{err}
	}
	r.Hosts, err = o.loadHosts(cmd, stderr)
	return r, err
}

// check finds flags that contradict each other or cannot be meant.
func (o *options) check() error {
	switch {
	case o.ip4 && o.ip6:
		return errors.New("-4 and -6 exclude each other")
	case o.quiet && o.json:
		return errors.New("-q and --json exclude each other")
	case o.quiet && o.verbose:
		return errors.New("-q and -v exclude each other")
	case o.delay < 0:
		return fmt.Errorf("--delay %s: a pause cannot be negative", o.delay)
	case o.verifyTimeout <= 0:
		return fmt.Errorf("--verify-timeout %s: want more than 0s", o.verifyTimeout)
	}
	return nil
}

// elements reads the arguments behind the host, with or without the commas of
// a file's line.
func elements(args []string) ([]knock.Element, error) {
	var list []knock.Element
	for _, arg := range args {
		for field := range strings.SplitSeq(strings.Trim(arg, ", "), ",") {
			e, err := knock.ParseElement(strings.TrimSpace(field))
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
	}
	return list, nil
}

// loadHosts reads both files; one named on the command line must be there.
func (o *options) loadHosts(cmd *cobra.Command, stderr io.Writer) ([]client.Host, error) {
	o.hosts.Optional = !cmd.Flags().Changed("hosts")
	o.rc.Optional = !cmd.Flags().Changed("rc")
	var all []client.Host
	for _, f := range []client.File{o.hosts, o.rc} {
		hosts, warning, err := f.Load()
		if err != nil {
			return nil, err
		}
		if warning != "" {
			fmt.Fprintf(stderr, "nftknock: warning: %s\n", warning)
		}
		all = append(all, hosts...)
	}
	return all, nil
}

// completeArgs offers the names of the files.
func (o *options) completeArgs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || cmd.Flags().Changed("knock") {
		return []string{"tcp/", "udp/", "icmp"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	hosts, err := o.loadHosts(cmd, io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
