package main

import (
	"io"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/client"
	"nftknock/pkg/keygen"
)

const long = `nftknock knocks at HOST, so that nftknockd there opens a service to this machine for
a limited time. There are four kinds of knock:

  shared     a sequence of packets that both sides know: ELEMENTs in their order,
             each tcp/PORT, udp/PORT or icmp
  encrypted  a message sealed with a key, one byte per packet (-e)
  spa        one packet of fwknop 2.x (--spa, or -n for its ~/.fwknoprc)
  totp       a one-time code as a phone computes it (--totp)

What the command line does not say is taken from the entry for HOST, or for its
address, in the files --hosts and --rc:

  ["ssh.example.org"]                       ["vpn.example.org"]
  sequence = ["tcp/7000", "udp/8000"]       knock = "encrypted"
  verify = "tcp/22"                         key_file = "vpn.key"
                                            open = "udp/51820"

Keys come from --key-file, else from the entry, else from the environment
(` + client.KeyVariable + `, ` + client.HMACKeyVariable + `), else nftknock asks for them. nftknock keygen makes keys.

Exit codes: 0 success, 1 failure, 2 usage or configuration, 3 the port to
verify stayed closed.`

const example = `  nftknock ssh.example.org                       as the files say
  nftknock 10.3.2.1 tcp/7000 udp/8000 icmp --verify tcp/22
  nftknock -e -p 22 --key-file ssh.key ssh.example.org
  nftknock --spa --open tcp/22,udp/1194 10.3.2.1
  nftknock --totp ssh.example.org                asks for the code
  nftknock -n office                             a stanza of ~/.fwknoprc
  nftknock -T ssh.example.org                    prints it and sends nothing`

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "nftknock [flags] HOST [ELEMENT...]",
		Short:         "Knock at the ports of a host",
		Long:          long,
		Example:       example,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := o.request(cmd, args, stderr)
			if err != nil {
				return err
			}
			return o.run(cmd, r, printer(o, stdout), stderr)
		},
		ValidArgsFunction: o.completeArgs,
	}
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return commands.UsageError{Err: err} })
	o.addFlags(cmd)
	o.addCompletions(cmd)
	cmd.AddCommand(commands.Keygen(keygen.Client), commands.Version("nftknock"))
	return cmd
}
