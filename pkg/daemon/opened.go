package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/links"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// tellOpened reports what the policy in force lets everyone reach, and the policy before it
// hid. left are the interfaces that were not guarded before. It returns the sentences.
func (d *Daemon) tellOpened(before *policy.Policy, left []string) []string {
	o := plan.OpenedBy(before, d.plan.Policy)
	o.Interfaces = d.interfaces.opened(o.Interfaces, left)
	return d.tellNotes(o.Notes())
}

// settleLastRun ends what the last policy that worked began: it removes its table, if that had
// another name, and is tellOpened for a start. It waits for the disk as long as for a store;
// without that policy it does nothing.
func (d *Daemon) settleLastRun(ctx context.Context) {
	if d.config.FindLast == nil || d.last != nil {
		return
	}
	found := make(chan *lastpolicy.Copy, 1)
	go func() {
		last, err := d.config.FindLast()
		if err != nil {
			last = nil // there is none, or none that can be read: the next one replaces it
		}
		found <- last
	}()
	select {
	case last := <-found:
		if last != nil {
			o := plan.OpenedBy(last.Policy, d.plan.Policy)
			if o.Table != "" {
				d.removeOldTable(o.Table)
				o.Table = ""
			}
			d.tellNotes(o.Notes())
		}
	case <-time.After(openTimeout):
	case <-ctx.Done():
	}
}

// removeOldTable removes a table of the policy before, which would drop what grants in the table
// of now let in. A table that is not of nftknock, or that a process owns, stays.
func (d *Daemon) removeOldTable(name string) {
	there := false
	g, err := d.config.OpenGate(gate.Config{Table: name})
	if err == nil {
		if there, err = g.Exists(); err == nil && there {
			err = g.Remove()
		}
		err = errors.Join(err, g.Close())
	}
	switch {
	case err != nil:
		d.events.Emit(event.OldTableStays{Table: name, Err: err})
	case there:
		d.events.Emit(event.OldTableRemoved{Table: name})
	}
}

// tellNotes reports sentences, and returns those that it has reported.
func (d *Daemon) tellNotes(notes []string) []string {
	if more := len(notes) - maxWarnings; more > 0 {
		notes = append(notes[:maxWarnings:maxWarnings], fmt.Sprintf("and %d more services and interfaces are no longer hidden", more))
	}
	for _, n := range notes {
		d.events.Emit(event.NoLongerHidden{Text: n})
	}
	return notes
}

// opened returns the interfaces that are no longer guarded: those whose packets pass now and
// did not before, and those of the names that the policy lists no longer which are not there.
// (A name that is there may be another one of an interface that stays guarded.)
func (o *interfaces) opened(unlisted, left []string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var now []links.Link
	if o.host != nil {
		now, _ = o.host.List() // without a list, every name counts
	}
	var opened []string
	for _, name := range o.unguarded {
		if !slices.Contains(left, name) && name != "lo" {
			opened = append(opened, name)
		}
	}
	for _, name := range unlisted {
		there := slices.ContainsFunc(now, func(l links.Link) bool { return l.Name == name || slices.Contains(l.AltNames, name) })
		if !there && !slices.Contains(opened, name) {
			opened = append(opened, name)
		}
	}
	return opened
}
