package keygen

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/pkg/totp"
)

const long = `keygen makes a random key and prints it on standard output, or writes it into a
new file (-o) that nobody else can read; it never overwrites one. On standard
error it says what to put into the server's policy and into the client's file.

256 bits are the default because they are enough and serve all: encrypted knocks
and SPA, which takes no longer ones. --hmac also makes the second key of SPA.

--totp makes a secret for one-time codes and draws it on the terminal as a QR code
for the authenticator of a phone.`

// NewCommand makes the command keygen of a program, which is the server's or the
// client's. Its errors are a UsageError or say what failed.
func NewCommand(program string, side Side) *cobra.Command {
	var o Options
	algorithm := totp.SHA1.String()
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key, or a secret for one-time codes",
		Long:  long,
		Example: fmt.Sprintf(`  %[1]s keygen -o ssh.key
  %[1]s keygen --hmac -o spa.key        also spa.key.hmac
  %[1]s keygen --totp -o phone.key`, program),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unexpected argument %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Algorithm, err = totp.ParseAlgorithm(algorithm); err != nil {
				return UsageError{err}
			}
			if err := o.checkFlags(cmd.Flags()); err != nil {
				return err
			}
			return o.run(program, side, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.addFlags(cmd.Flags(), &algorithm)
	for flag, words := range map[string][]string{
		"bits": {"256", "512"}, "algorithm": {totp.SHA1.String(), totp.SHA256.String()},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func (o *Options) addFlags(f *pflag.FlagSet, algorithm *string) {
	f.SortFlags = false
	f.StringVarP(&o.Output, "output", "o", "", "write the key into this new `FILE` (mode 0600)")
	f.IntVar(&o.Bits, "bits", 256, "the `NUMBER` of bits of the key, 256 or 512")
	f.BoolVar(&o.HMAC, "hmac", false, "also make an HMAC key, for SPA, and write it into FILE.hmac")
	f.BoolVar(&o.TOTP, "totp", false, "make a secret for one-time codes")
	f.StringVar(algorithm, "algorithm", *algorithm, "of one-time codes, the `HASH` sha1 or sha256; not all authenticators know the second")
	f.StringVar(&o.Issuer, "issuer", hostName(), "what the phone shows first, the `NAME` of the server")
	f.StringVar(&o.Account, "account", loginName(), "what the phone shows second, the `NAME` of the user")
}

// checkFlags refuses flags that say nothing about what is to be made.
func (o *Options) checkFlags(f *pflag.FlagSet) error {
	if o.TOTP && f.Changed("bits") {
		return usage("--bits does not go with --totp: the algorithm says how many bits the secret has")
	}
	for _, name := range []string{"algorithm", "issuer", "account"} {
		if !o.TOTP && f.Changed(name) {
			return usage("--%s is for one-time codes: add --totp", name)
		}
	}
	return o.check()
}

// run makes the keys and hands them out.
func (o *Options) run(program string, side Side, stdout, stderr io.Writer) error {
	m, err := o.make()
	if err != nil {
		return err
	}
	if o.Output == "" {
		if mode, readable := readable(stdout); readable {
			fmt.Fprintf(stderr, "%s: warning: others can read the file that the key goes to (mode %#o): chmod 600 it, or use -o FILE\n", program, mode)
		}
		if _, err := fmt.Fprintln(stdout, m.key); err != nil {
			return err
		}
	} else if err := o.write(m); err != nil {
		return err
	}
	if err := o.show(m, stdout, stderr); err != nil {
		return err
	}
	return o.explain(side, stderr)
}
