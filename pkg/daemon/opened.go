package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"nftknock/pkg/event"
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

// tellOpenedSinceLastRun is tellOpened for a start, with the last policy that worked as the
// one before. It waits for the disk as long as for a store; without that policy it tells
// nothing.
func (d *Daemon) tellOpenedSinceLastRun(ctx context.Context) {
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
			d.tellNotes(plan.OpenedBy(last.Policy, d.plan.Policy).Notes())
		}
	case <-time.After(openTimeout):
	case <-ctx.Done():
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
