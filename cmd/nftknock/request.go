package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/client"
	"nftknock/pkg/login"
	"nftknock/pkg/port"
	"nftknock/pkg/secret"
)

// request makes the request of the command line.
func (o *options) request(cmd *cobra.Command, args []string, stderr io.Writer) (client.Request, error) {
	r := client.Request{Host: o.host, Network: client.IP, Stanza: o.stanza, Login: login.Name()}
	switch {
	case o.ip4:
		r.Network = client.IP4
	case o.ip6:
		r.Network = client.IP6
	}
	if !cmd.Flags().Changed("knock") && len(args) > 0 {
		r.Host, args = args[0], args[1:]
	}
	if r.Host == "" && !cmd.Flags().Changed("knock") && o.stanza == "" {
		return r, commands.UsageError{Err: errors.New("no host to knock at: nftknock [flags] HOST [ELEMENT...]")}
	}
	for _, err := range []error{o.check(), o.chooseKind(args), o.chooseService(), o.takeKey(stderr)} {
		if err != nil {
			return r, commands.UsageError{Err: err}
		}
	}
	var err error
	if o.settings.Sequence, err = elements(args); err != nil {
		return r, commands.UsageError{Err: err}
	}
	r.Settings = o.settings
	r.Hosts, err = o.loadHosts(cmd, stderr)
	return r, err
}

// check refuses flags that contradict each other or make no sense.
func (o *options) check() error {
	switch {
	case o.ip4 && o.ip6:
		return errors.New("-4 and -6 exclude each other")
	case o.quiet && o.json:
		return errors.New("-q and --json exclude each other")
	case o.quiet && o.verbose:
		return errors.New("-q and -v exclude each other")
	case o.verifyTimeout <= 0:
		return fmt.Errorf("--verify-timeout %s: want more than 0s", o.verifyTimeout)
	}
	return nil
}

// kindLabels are how the command line asks for each kind.
var kindLabels = map[client.Kind]string{
	client.Shared: "a sequence", client.Encrypted: "-e", client.SPA: "--spa", client.TOTP: "--totp",
}

// chooseKind sets the kind of knock that flags and elements ask for, if they do.
func (o *options) chooseKind(elements []string) error {
	var kinds []client.Kind
	var labels []string
	for _, c := range []struct {
		given bool
		kind  client.Kind
		label string
	}{
		{o.encrypt, client.Encrypted, "-e"},
		{o.spa, client.SPA, "--spa"},
		{o.stanza != "" && !o.spa, client.SPA, "-n"},
		{o.totp, client.TOTP, "--totp"},
	} {
		if c.given {
			kinds, labels = append(kinds, c.kind), append(labels, c.label)
		}
	}
	switch {
	case len(kinds) > 1:
		return fmt.Errorf("%s exclude each other: each is another kind of knock", strings.Join(labels, " and "))
	case len(kinds) == 1 && len(elements) > 0:
		return fmt.Errorf("%s and the sequence %s exclude each other: to say what to open, use -p or --open",
			labels[0], strings.Join(elements, " "))
	case len(kinds) == 1:
		o.settings.Kind = kinds[0]
	}
	return nil
}

// chooseService makes the service to open of -P and -p.
func (o *options) chooseService() error {
	if o.protocol == "" && o.port == "" {
		return nil
	}
	flag := &settingFlag{settings: &o.settings, name: "open", label: "-p"}
	if o.port == "" {
		flag.label = "-P"
	}
	service := o.protocol
	switch {
	case o.settings.Open != nil:
		return fmt.Errorf("%s and --open exclude each other", flag.label)
	case o.protocol == "icmp" && o.port != "":
		return errors.New("-P icmp has no port: leave out -p")
	case !slices.Contains([]string{"", "tcp", "udp", "icmp"}, o.protocol):
		return fmt.Errorf("bad protocol %q: want tcp, udp or icmp", o.protocol)
	case o.protocol == "":
		service = "tcp/" + o.port
	case o.protocol != "icmp" && o.port == "":
		return fmt.Errorf("-P %s needs a port: -p PORT", o.protocol)
	case o.protocol != "icmp":
		service += "/" + o.port
	}
	o.flags = append(o.flags, flag)
	return flag.Set(service)
}

// takeKey takes the key from the command line. NB: a flag that parsed the key would
// show it in its errors.
func (o *options) takeKey(stderr io.Writer) error {
	if o.key == "" {
		return nil
	}
	fmt.Fprintln(stderr, "nftknock: warning: --key: other users see the key in the list of processes, and the shell keeps it in its history: "+
		"use --key-file, "+client.KeyVariable+" or the prompt instead")
	if o.settings.KeyFile != "" {
		return errors.New("--key and --key-file exclude each other")
	}
	var err error
	o.flags = append(o.flags, &settingFlag{name: "key", label: "--key", given: true})
	o.settings.Key, err = secret.Parse([]byte(o.key))
	return err
}

// fits refuses flags that have no effect on the kind of knock.
func (o *options) fits(kind client.Kind) error {
	for _, f := range o.flags {
		if !f.given {
			continue
		}
		if kinds := client.Of(f.name); !slices.Contains(kinds, kind) {
			var labels []string
			for _, k := range kinds {
				labels = append(labels, kindLabels[k])
			}
			return fmt.Errorf("%s has no effect on a knock of kind %s: it goes with %s", f.label, kind, strings.Join(labels, ", "))
		}
	}
	if o.code != "" && kind != client.TOTP {
		return fmt.Errorf("--code has no effect on a knock of kind %s: it goes with --totp", kind)
	}
	return nil
}

// elements reads the arguments after the host, with or without commas between
// elements.
func elements(args []string) ([]port.Range, error) {
	var list []port.Range
	for _, arg := range args {
		for field := range strings.SplitSeq(strings.Trim(arg, ", "), ",") {
			e, err := port.ParseKnock(strings.TrimSpace(field))
			if err != nil {
				return nil, err
			}
			list = append(list, e)
		}
	}
	return list, nil
}

// loadHosts reads both files. A file that the command line names must exist.
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
