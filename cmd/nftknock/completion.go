package main

import (
	"io"

	"github.com/spf13/cobra"

	"nftknock/pkg/client"
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// addCompletions offers the values of flags that have few.
func (o *options) addCompletions(cmd *cobra.Command) {
	hashes := []string{"sha256", "sha384", "sha512", "sha3-256", "sha3-512", "sha1", "md5"}
	for flag, words := range map[string][]string{
		"encoding":  {string(client.SIV), string(client.Article), string(client.Fwknop19)},
		"protocol":  {"tcp", "udp", "icmp"},
		"allow":     {"source"},
		"hmac":      append(hashes, "none"),
		"digest":    hashes,
		"cipher":    {"cbc", "legacy"},
		"algorithm": {"sha1", "sha256"},
		"verify":    {"tcp/22"},
		"open":      {"tcp/22"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, noFiles))
	}
	for _, flag := range []string{"port", "port-base", "spa-port", "user", "forward", "timeout", "repeat", "delay", "code", "key", "verify-timeout"} {
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions)
	}
	names := func(stanza bool) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return o.names(cmd, stanza), noFiles
		}
	}
	_ = cmd.RegisterFlagCompletionFunc("named-config", names(true))
	_ = cmd.RegisterFlagCompletionFunc("knock", names(false))
}

// names are the hosts that the files name.
func (o *options) names(cmd *cobra.Command, stanzasOnly bool) []string {
	hosts, err := o.loadHosts(cmd, io.Discard)
	if err != nil {
		return nil
	}
	var names []string
	for _, h := range hosts {
		if h.Stanza || !stanzasOnly {
			names = append(names, h.Name)
		}
	}
	return names
}

// completeArgs offers the hosts, and then the elements of a sequence.
func (o *options) completeArgs(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch {
	case len(args) == 0 && !cmd.Flags().Changed("knock"):
		return o.names(cmd, false), noFiles
	case o.encrypt || o.spa || o.totp || o.stanza != "":
		return nil, noFiles
	}
	return []string{"tcp/", "udp/", "icmp"}, noFiles | cobra.ShellCompDirectiveNoSpace
}
