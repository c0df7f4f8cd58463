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
	var expect string
	cmd := &cobra.Command{
		Use:   "replay FILE",
		Short: "Run a capture through the policy: who would have been let in, and why not",
		Long: `replay reads a pcap or pcapng capture as if its packets arrived at the times in the
capture, and prints for every knock in it what the daemon would have decided. It needs
no root and changes nothing.

With --expect it is a test of a policy. Exit status 0: the capture has at least one
knock, and every knock in it has the verdict "granted" or "refused" that is expected; 1:
not so. "granted:ssh" looks at the knocks of access "ssh" alone, whatever becomes of
others; as a packet may belong to knocks of several accesses, that is what a policy with
several wants. The last line, on standard error with --json, says what was expected.`,
		Args: commands.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var want *expectation
			// An empty one, such as that of a variable that is not set, is an error.
			if cmd.Flags().Changed("expect") {
				var err error
				if want, err = parseExpectation(expect); err != nil {
					return err
				}
			}
			p, err := loadPlan(o.config, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := want.check(p); err != nil {
				return err
			}
			knocks, err := replayFile(cmd.OutOrStdout(), p, args[0], asJSON)
			if err != nil {
				return failed(err)
			}
			last := cmd.OutOrStdout()
			if asJSON {
				last = cmd.ErrOrStderr()
			}
			return want.judge(last, knocks)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per knock: time src access knock verdict reason os open timeout step")
	cmd.Flags().StringVar(&expect, "expect", "", "fail unless every knock has this `VERDICT`: granted or refused, of all accesses, or of one as in granted:ssh")
	return cmd
}

// counts has the number of granted and refused knocks, by access.
type counts map[string]*struct{ granted, refused int }

// count adds a knock.
func (c counts) count(o replay.Outcome) {
	n := c[o.Access]
	if n == nil {
		n = new(struct{ granted, refused int })
		c[o.Access] = n
	}
	if o.Verdict == replay.Granted {
		n.granted++
	} else {
		n.refused++
	}
}

// of are the numbers of an access, or of all if access is empty.
func (c counts) of(access string) (granted, refused int) {
	for name, n := range c {
		if access == "" || name == access {
			granted, refused = granted+n.granted, refused+n.refused
		}
	}
	return granted, refused
}

func replayFile(w io.Writer, p *plan.Plan, file string, asJSON bool) (counts, error) {
	capt, err := capture.Open(file)
	if err != nil {
		return nil, err
	}
	defer capt.Close()
	defer showProgress(capt.Progress)()

	knocks := make(counts)
	packets, err := replay.Run(p, capt, func(o replay.Outcome) error {
		knocks.count(o)
		if asJSON {
			return json.NewEncoder(w).Encode(o)
		}
		_, err := fmt.Fprintln(w, sentence(o))
		return err
	})
	if err != nil || asJSON {
		return knocks, err
	}
	granted, refused := knocks.of("")
	_, err = fmt.Fprintf(w, "%s: %s, %d to knock ports: %d granted, %d refused\n",
		file, wording.Count(capt.Packets(), "packet", "packets"), packets, granted, refused)
	return knocks, err
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
