package commands

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nftknock/pkg/keygen"
	"nftknock/pkg/login"
	"nftknock/pkg/totp"
)

const keygenLong = `keygen makes a random key and prints it on standard output, or writes it into a new
file that only you can read (-o FILE). It never overwrites a file. On standard error
it prints what to put into the server's policy and into the client's hosts file.

A key has 256 bits unless --bits says otherwise. That is enough for every kind of
knock, and the most that SPA takes. --hmac also makes the HMAC key of SPA.

--totp makes a secret for one-time codes. On a terminal it is also shown as a QR code
for the authenticator app of a phone.`

// Keygen is the command that makes keys. What it prints is for the side whose
// program has the command. Its errors are a UsageError or say what failed.
func Keygen(side keygen.Side) *cobra.Command {
	o := keygen.Options{Side: side}
	algorithm := totp.SHA1.String()
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "Make a key, or a secret for one-time codes",
		Long:  keygenLong,
		Example: fmt.Sprintf(`  %[1]s keygen -o ssh.key               the key in ssh.key
  %[1]s keygen --hmac -o spa.key        two keys, in spa.key and spa.key.hmac
  %[1]s keygen --totp -o phone.key      a secret, and its QR code`, side.Program()),
		Args: Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Algorithm, err = totp.ParseAlgorithm(algorithm); err != nil {
				return UsageError{err}
			}
			if err := checkKeygen(&o, cmd.Flags()); err != nil {
				return UsageError{err}
			}
			return keygen.Run(o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	addKeygenFlags(cmd.Flags(), &o, &algorithm)
	for flag, words := range map[string][]string{
		"bits": {"256", "512"}, "algorithm": {totp.SHA1.String(), totp.SHA256.String()},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

func addKeygenFlags(f *pflag.FlagSet, o *keygen.Options, algorithm *string) {
	host, _ := os.Hostname() // "" if it fails
	f.SortFlags = false
	f.StringVarP(&o.Output, "output", "o", "", "write the key into this new `FILE` (mode 0600)")
	f.IntVar(&o.Bits, "bits", keygen.DefaultBits, "the `NUMBER` of bits of the key, 256 or 512")
	f.BoolVar(&o.HMAC, "hmac", false, "also make an HMAC key, for SPA, and write it into FILE.hmac")
	f.BoolVar(&o.TOTP, "totp", false, "make a secret for one-time codes")
	f.StringVar(algorithm, "algorithm", *algorithm, "totp: the `HASH` of the codes, sha1 or sha256; some authenticator apps know only sha1")
	f.StringVar(&o.Issuer, "issuer", cmp.Or(host, "nftknock"), "totp: the `NAME` of the server, which the phone shows first")
	f.StringVar(&o.Account, "account", cmp.Or(login.Name(), "me"), "totp: the `NAME` of the user, which the phone shows second")
}

// checkKeygen finds flags that contradict each other or have no effect.
func checkKeygen(o *keygen.Options, f *pflag.FlagSet) error {
	if o.TOTP && f.Changed("bits") {
		return errors.New("--bits does not go with --totp: the algorithm decides how many bits the secret has")
	}
	for _, name := range []string{"algorithm", "issuer", "account"} {
		if !o.TOTP && f.Changed(name) {
			return fmt.Errorf("--%s is for one-time codes: add --totp", name)
		}
	}
	switch {
	case o.TOTP && o.HMAC:
		return errors.New("--totp and --hmac exclude each other: one-time codes have one secret and no HMAC key")
	case o.HMAC && o.Output == "":
		return errors.New("--hmac makes two keys: name a file for the first with -o FILE, the second is written into FILE.hmac")
	case o.HMAC && o.Bits > keygen.DefaultBits:
		return fmt.Errorf("--hmac makes keys for SPA, and those have at most %d bits: leave out --bits %d", keygen.DefaultBits, o.Bits)
	case o.Bits != 256 && o.Bits != 512:
		return fmt.Errorf("bad --bits %d: want 256 or 512", o.Bits)
	case o.Issuer == "" || o.Account == "":
		return errors.New("--issuer and --account cannot be empty: the phone shows them")
	}
	return nil
}
