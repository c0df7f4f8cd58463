package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/pkg/client"
)

// options are the flags.
type options struct {
	host               string
	encrypt, spa, totp bool
	stanza             string
	settings           client.Settings
	flags              []*settingFlag // of settings
	protocol, port     string         // to open, as the client of 2004 had it
	code, key          string
	verifyTimeout      time.Duration
	ip4, ip6           bool
	test               bool
	quiet              bool
	json               bool
	verbose            bool
	hosts, rc          client.File
}

// settingFlag is the flag of a setting. It knows only whether it was given; its
// value is in the settings.
type settingFlag struct {
	settings *client.Settings
	name     string // of the setting
	flag     string // its long name; empty for that of the setting, with dashes
	short    string // its one-letter name; empty for none
	label    string // how errors name it
	given    bool
}

func (f *settingFlag) Set(text string) error {
	f.given = true
	if f.name != "open" {
		return f.settings.Set(f.name, text)
	}
	for service := range strings.SplitSeq(text, ",") {
		if err := f.settings.Set(f.name, strings.TrimSpace(service)); err != nil {
			return err
		}
	}
	return nil
}

func (f *settingFlag) String() string { return "" }

// Type is bool for the flag that may stand without a value.
func (f *settingFlag) Type() string {
	if f.name == "rotate" {
		return "bool"
	}
	return "value"
}

// group is a group of flags in the help.
type group struct {
	title string
	*pflag.FlagSet
}

func newGroup(title string) group {
	f := pflag.NewFlagSet(title, pflag.ContinueOnError)
	f.SortFlags = false
	return group{title, f}
}

// setting adds the flag of a setting.
func (o *options) setting(g group, f settingFlag, usage string) {
	f.settings = &o.settings
	f.flag = cmp.Or(f.flag, strings.ReplaceAll(f.name, "_", "-"))
	f.label = "--" + f.flag
	if f.short != "" {
		f.label = "-" + f.short
	}
	o.flags = append(o.flags, &f)
	g.VarP(&f, f.flag, f.short, usage)
	if f.name == "rotate" {
		g.Lookup(f.flag).NoOptDefVal = "true"
	}
}

// addFlags adds all flags, in the groups of the help.
func (o *options) addFlags(cmd *cobra.Command) {
	o.hosts, o.rc = client.DefaultFiles()
	groups := []group{o.kindFlags(), o.requestFlags(), o.packetFlags(), o.keyFlags(), o.otherFlags()}
	cmd.Flags().SortFlags = false
	for _, g := range groups {
		cmd.Flags().AddFlagSet(g.FlagSet)
	}
	inherited := cmd.UsageFunc()
	cmd.SetUsageFunc(func(c *cobra.Command) error {
		if c != cmd {
			return inherited(c)
		}
		return usage(c, groups)
	})
}

func (o *options) kindFlags() group {
	g := newGroup("The kind of knock")
	g.BoolVarP(&o.encrypt, "encrypt", "e", false, "an encrypted knock")
	g.BoolVar(&o.spa, "spa", false, "single packet authorization, for nftknockd and fwknopd")
	g.BoolVar(&o.totp, "totp", false, "a one-time code")
	g.StringVarP(&o.stanza, "named-config", "n", "", "SPA as this `STANZA` of ~/.fwknoprc says; HOST may be left out")
	return g
}

func (o *options) requestFlags() group {
	g := newGroup("What encrypted knocks and SPA ask for")
	g.StringVarP(&o.port, "port", "p", "", "open this `PORT`")
	g.StringVarP(&o.protocol, "protocol", "P", "", "its `PROTOCOL`: tcp, udp or icmp (default tcp)")
	o.setting(g, settingFlag{name: "open"}, "or open these `SERVICES`: tcp/22 (SPA: tcp/22,udp/1194)")
	o.setting(g, settingFlag{name: "forward"}, "SPA: have the port lead to this `TARGET` behind the server: 10.0.0.5:22, or local:22")
	o.setting(g, settingFlag{name: "allow", short: "a"}, "let this `ADDRESS` in (default: the address the packets come from)")
	o.setting(g, settingFlag{name: "user"}, "knock as the user of this `NAME` (default: the login name)")
	o.setting(g, settingFlag{name: "timeout"}, "SPA: open for this `TIME`, such as 60s (default: the server decides)")
	return g
}

func (o *options) packetFlags() group {
	g := newGroup("How the packets are sent")
	o.setting(g, settingFlag{name: "encoding"}, "encrypted: the `NAME` of the encoding, siv, article or fwknop-1.9 (default siv)")
	o.setting(g, settingFlag{name: "port_base"}, "encrypted, totp: the first of the `PORT`s (default 48000 for siv, 61000 for the other encodings, 40000 for totp)")
	o.setting(g, settingFlag{name: "rotate", short: "r"}, "encrypted, totp: every other packet is UDP (default: all are TCP)")
	o.setting(g, settingFlag{name: "port", flag: "spa-port"}, "SPA: the UDP `PORT` (default 62201)")
	o.setting(g, settingFlag{name: "hmac"}, "SPA: the `HASH` of the HMAC, or none (default sha256)")
	o.setting(g, settingFlag{name: "digest"}, "SPA: the `HASH` of the message (default sha256)")
	o.setting(g, settingFlag{name: "cipher"}, "SPA: cbc or legacy, the `MODE` of encryption (default cbc)")
	o.setting(g, settingFlag{name: "algorithm"}, "totp: the `HASH` sha1 or sha256 (default sha1)")
	o.setting(g, settingFlag{name: "repeat"}, "send the knock this `NUMBER` of times, 1 to 10 (default 2 for siv and totp, else 1)")
	o.setting(g, settingFlag{name: "delay"}, "pause for this `TIME` between packets, such as 500ms (default 20ms for article and fwknop-1.9, else 0s)")
	g.BoolVarP(&o.ip4, "ipv4", "4", false, "knock over IPv4")
	g.BoolVarP(&o.ip6, "ipv6", "6", false, "knock over IPv6")
	return g
}

func (o *options) keyFlags() group {
	g := newGroup("Keys")
	o.setting(g, settingFlag{name: "key_file"}, "the `FILE` that holds the key, or the secret of one-time codes")
	o.setting(g, settingFlag{name: "hmac_key_file"}, "SPA: the `FILE` that holds the HMAC key")
	g.StringVar(&o.code, "code", "", "totp: this one-time `CODE`")
	g.StringVar(&o.key, "key", "", "the key as `TEXT`, which other users of this machine can see")
	return g
}

func (o *options) otherFlags() group {
	g := newGroup("Other flags")
	o.setting(g, settingFlag{name: "verify"}, "after the knock, wait until this `PORT` is open, such as tcp/22")
	g.DurationVar(&o.verifyTimeout, "verify-timeout", 5*time.Second, "wait for it at most this `TIME`")
	g.StringVarP(&o.host, "knock", "k", "", "same as `HOST`, for old scripts")
	g.BoolVarP(&o.test, "test", "T", false, "print what would be sent and send nothing")
	g.BoolVarP(&o.quiet, "quiet", "q", false, "print warnings and errors only")
	g.BoolVar(&o.json, "json", false, "print JSON, one object per line")
	g.BoolVarP(&o.verbose, "verbose", "v", false, "print where settings and address come from")
	g.StringVar(&o.hosts.Path, "hosts", o.hosts.Path, "the `FILE` of hosts in TOML")
	g.StringVar(&o.rc.Path, "rc", o.rc.Path, "the `FILE` of hosts in the formats of fwknop")
	return g
}

// usage prints the help with the flags in their groups.
func usage(c *cobra.Command, groups []group) error {
	w := c.OutOrStderr()
	fmt.Fprintf(w, "Usage:\n  %s\n  nftknock [command]\n\nExamples:\n%s\n", c.UseLine(), c.Example)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n%s", g.title, g.FlagUsagesWrapped(100))
	}
	fmt.Fprint(w, "\nCommands:\n")
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(w, "  %-*s %s\n", c.NamePadding(), sub.Name(), sub.Short)
		}
	}
	_, err := io.WriteString(w, "\nnftknock COMMAND -h explains a command.\n")
	return err
}
