package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/capture"
	"nftknock/pkg/plan"
	"nftknock/pkg/replay"
	"nftknock/pkg/wording"
)

func newReplay(o *options) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a capture through the policy: who would have been let in, and why not",
		Long: `replay reads a pcap or pcapng capture as if its packets arrived at the times in the
capture, and prints for every knock in it what the daemon would have decided. It needs
no root and changes nothing.`,
		Args: commands.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadPlan(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return failed(replayFile(cmd.OutOrStdout(), p, args[0], asJSON))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per knock: time src access knock verdict reason os open timeout step")
	return cmd
}

func replayFile(w io.Writer, p *plan.Plan, file string, asJSON bool) error {
	capt, err := capture.Open(file)
	if err != nil {
		return err
	}
	defer capt.Close()
	defer showProgress(capt.Progress)()

	granted, refused := 0, 0
	packets, err := replay.Run(p, capt, func(o replay.Outcome) error {
		if o.Verdict == replay.Granted {
			granted++
		} else {
			refused++
		}
		if asJSON {
			return json.NewEncoder(w).Encode(o)
		}
		_, err := fmt.Fprintln(w, sentence(o))
		return err
	})
	if err != nil || asJSON {
		return err
	}
	_, err = fmt.Fprintf(w, "%s: %s, %d to knock ports: %d granted, %d refused\n",
		file, wording.Count(capt.Packets(), "packet", "packets"), packets, granted, refused)
	return err
}

func sentence(o replay.Outcome) string {
	s := wording.Time(o.Time) + " " + o.Source + " " + o.Access + ": "
	if o.Verdict == replay.Granted {
		s += "granted " + o.Open + " for " + o.Timeout
	} else {
		s += fmt.Sprintf("refused after %s: %s", wording.Count(o.Step, "element", "elements"), o.Reason)
	}
	if o.OS != "" {
		s += " (OS guess: " + o.OS + ")"
	}
	return s
}
