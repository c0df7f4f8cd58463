package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nftknock/cmd/internal/commands"
	"nftknock/pkg/control"
	"nftknock/pkg/wording"
)

func newStatus(o *options) *cobra.Command {
	var asJSON, ready bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is wrong, what is hidden, and who is in",
		Long: `status asks the running daemon for its state: what is wrong now, which services are
hidden on which interfaces, who is in and for how long, what was lost, and which
policy is in force. With --ready it prints nothing but problems: exit status 0 if
knocks are heard and nothing prevents grants, 1 otherwise, or if no daemon answers.`,
		Args: commands.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := controlClient(cmd, o)
			if err != nil {
				return err
			}
			s, err := client.Status(cmd.Context(), control.StatusQuery{Brief: ready})
			if err != nil {
				return failed(err)
			}
			switch w := cmd.OutOrStdout(); {
			case asJSON:
				err = json.NewEncoder(w).Encode(s)
			case ready:
				printProblems(w, s)
			default:
				printStatus(w, s, time.Now())
			}
			if err == nil && ready && !s.Ready {
				err = errors.New("not ready: some knocks open nothing")
			}
			return failed(err)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: ready problems since packets lost grants accesses owner mode and more")
	cmd.Flags().BoolVar(&ready, "ready", false, "exit with status 1 unless knocks are heard and nothing prevents grants")
	return socketFlag(cmd, o)
}

// width is how many columns the status takes. labelWidth is that of the names on the left.
const (
	width      = 80
	labelWidth = 12
)

// printStatus writes a status for people, what is wrong first.
func printStatus(w io.Writer, s control.Status, now time.Time) {
	printProblems(w, s)
	state := "ready: knocks are heard"
	if !s.Ready {
		state = "NOT READY: some knocks open nothing"
	}
	field(w, "state", state+", since "+wording.Time(s.Since))
	field(w, "policy", policyText(s, now))
	field(w, "hidden", hiddenText(s))
	field(w, "interfaces", guardedText(s))
	owner := "other processes can change it; it is watched and repaired"
	if s.Owner == "on" {
		owner = "owned: no other process can change it"
	}
	field(w, "table", "inet "+s.Table+", "+owner)
	field(w, "packets", fmt.Sprintf("%d for knocks, %d lost, %d knocks not tried with every key", s.Packets, s.Lost, s.Untried))
	field(w, "store", s.Store)
	field(w, "grants", grantsText(s))
	for _, g := range s.In {
		fmt.Fprintln(w, cutTo(width, "  "+grantLine(g)))
	}
	if more := s.Grants - len(s.In); more > 0 {
		fmt.Fprintf(w, "  and %d more: nftknockd grants lists them\n", more)
	}
}

func printProblems(w io.Writer, s control.Status) {
	for _, p := range s.Problems {
		wrap(w, "PROBLEM ", p.Name+", since "+wording.Time(p.Since)+": "+p.Text, 8)
	}
}

func policyText(s control.Status, now time.Time) string {
	which := "that of the files"
	if s.Policy != "current" {
		which = "AN EARLIER ONE, not that of the files"
	}
	return fmt.Sprintf("%s, in force for %s, %s enabled", which, span(now.Sub(s.PolicySince)), wording.Count(s.Accesses, "access", "accesses"))
}

func hiddenText(s control.Status) string {
	if s.Mode != "gate" {
		return "left to the host's own firewall: mode is " + s.Mode
	}
	return strings.Join(s.Hidden, ", ") + " (" + s.Hide + ")"
}

func guardedText(s control.Status) string {
	text := strings.Join(s.Interfaces, ", ")
	if len(s.Interfaces) == 0 {
		text = "all but lo"
	}
	if open := without(s.Unguarded, "lo"); len(open) > 0 {
		text += "; not guarded: " + strings.Join(open, ", ")
	}
	return text
}

func without(list []string, name string) (rest []string) {
	for _, s := range list {
		if s != name {
			rest = append(rest, s)
		}
	}
	return rest
}

func grantsText(s control.Status) string {
	if s.Grants == 0 {
		return "nobody is let in now"
	}
	return wording.Count(s.Grants, "grant", "grants") + " running"
}

// grantLine is a grant in one line.
func grantLine(g control.Grant) string {
	from := g.Src
	if g.Prefix != "" {
		from = g.Prefix
	}
	through := "by another program"
	if g.Access != "" {
		through = strings.TrimSpace(g.Access + " " + g.Knock)
	}
	left := time.Duration(g.Remaining * float64(time.Second))
	return fmt.Sprintf("%-18s  %-13s  %7s  %s", from, g.Open, span(left), through)
}

// span is a time without parts of a second.
func span(d time.Duration) string { return wording.Duration(max(0, d.Round(time.Second))) }

// field writes a name and its text, within width columns.
func field(w io.Writer, name, text string) {
	wrap(w, fmt.Sprintf("%-*s", labelWidth, name), text, labelWidth)
}

// wrap writes text behind a first column in lines of width columns, broken at blanks.
func wrap(w io.Writer, first, text string, indent int) {
	line := first
	filled := false
	for word := range strings.FieldsSeq(text) {
		if filled && len([]rune(line))+1+len([]rune(word)) > width {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line, filled = strings.Repeat(" ", indent), false
		}
		if filled {
			line += " "
		}
		line, filled = line+word, true
	}
	fmt.Fprintln(w, line)
}

// cutTo cuts what is longer than n columns.
func cutTo(n int, s string) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return s
}
