package main

import (
	"github.com/spf13/cobra"

	"nftknock/pkg/keygen"
)

func keygenCommand() *cobra.Command { return keygen.NewCommand("nftknock", keygen.Client) }
