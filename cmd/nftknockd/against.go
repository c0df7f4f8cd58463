package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// against is what check says of a running daemon, as --json prints it.
type against struct {
	// Running is plan.NeedsNothing, plan.Reload or plan.Restart, or notRunning.
	Running      string   `json:"against_running"`
	Changed      []string `json:"changed"`
	NoLonger     []string `json:"no_longer_hidden"` // sentences
	GrantsEnding []ending `json:"grants_ending"`
	NotCompared  []string `json:"not_compared"` // accesses whose keys could not be read
}

// ending is a grant that the policy would end, or leave less than it has.
type ending struct {
	Src    string `json:"src"`
	Open   string `json:"open"`
	Access string `json:"access"`
	Reason string `json:"reason"`
}

const notRunning = "not running"

// checkAgainst compares a policy with the one that a daemon runs, and prints the difference.
func checkAgainst(cmd *cobra.Command, o *options, p *policy.Policy, asJSON bool) error {
	next, err := plan.Outline(p)
	if err != nil {
		return exitError{code: exitUsage, err: err, hint: "the running daemon would keep its policy"}
	}
	client, err := controlClient(cmd, o)
	if err != nil {
		return err
	}
	a, err := compare(cmd, client, next)
	if err != nil && !errors.Is(err, control.ErrNotRunning) {
		return failed(err)
	}
	if asJSON {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(a); err != nil {
			return failed(err)
		}
	} else {
		a.print(cmd)
	}
	return failed(err)
}

func compare(cmd *cobra.Command, client *control.Client, next *plan.Plan) (against, error) {
	a := against{Running: notRunning, Changed: []string{}, NoLonger: []string{}, GrantsEnding: []ending{}, NotCompared: []string{}}
	running, err := client.Running(cmd.Context())
	if err != nil {
		return a, err
	}
	var print plan.Print
	if err := json.Unmarshal(running.Print, &print); err != nil {
		return a, err
	}
	d := print.Compare(next)
	a.Running = d.Needs
	a.Changed = append(a.Changed, d.Changed...)
	a.NoLonger = append(a.NoLonger, d.Opened.Notes()...)
	a.NotCompared = append(a.NotCompared, d.Unread...)
	if d.Needs == plan.NeedsNothing {
		return a, nil
	}
	list, err := client.Grants(cmd.Context(), control.GrantQuery{})
	if err != nil {
		return a, err
	}
	for _, g := range list.Grants {
		if reason := endsBy(g, next); reason != "" {
			a.GrantsEnding = append(a.GrantsEnding, ending{g.Src, g.Open, g.Access, reason})
		}
	}
	return a, nil
}

// endsBy says why a plan would end or narrow a grant, "" if it would not.
func endsBy(g control.Grant, next *plan.Plan) string {
	source, err := control.ParseSource(g.Src)
	if g.Prefix != "" && err == nil {
		source, err = netip.ParsePrefix(g.Prefix)
	}
	service, bad := port.ParseService(g.Open)
	var to port.Target
	if g.Forward != "" && bad == nil {
		to, bad = port.ParseTarget(g.Forward)
	}
	if err != nil || bad != nil {
		return "" // of a newer daemon
	}
	left := time.Duration(g.Remaining * float64(time.Second))
	return next.CheckGrant(gate.Grant{
		Source: source, Service: service, Once: g.SingleUse, Remaining: left, Access: g.Access, Method: g.Knock,
		Forward: to, Masquerade: g.Masquerade,
	}, time.Now(), "by the reload").Reason
}

func (a against) print(cmd *cobra.Command) {
	w := cmd.OutOrStdout()
	for _, s := range a.NoLonger {
		fmt.Fprintln(w, "warning:", s)
	}
	for _, e := range a.GrantsEnding {
		fmt.Fprintf(w, "warning: the grant of %s to %s would end or shrink: %s\n", e.Src, e.Open, e.Reason)
	}
	for _, s := range a.NotCompared {
		fmt.Fprintf(w, "the key of access %q was not compared: it cannot be read here, or the daemon lacks it\n", s)
	}
	for _, s := range a.Changed {
		fmt.Fprintln(w, "changed:", s)
	}
	fmt.Fprintln(w, "against the running daemon:", a.Running)
}
