package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/links"
)

// Links lists the host's interfaces and reports changes. *links.Watcher implements it;
// the doc comments of its methods hold for every implementation.
type Links interface {
	Changes() <-chan struct{}
	List() ([]links.Link, error)
	Close() error
}

// interfaces decides which interfaces are not guarded, and keeps the table up to date
// when the host's interfaces change. An interface that it does not know is guarded. Its
// methods may be called from several goroutines.
type interfaces struct {
	host   Links // nil where interfaces cannot be listed: then all but lo are guarded
	events *event.Dispatcher
	wrong  *conditions // of the daemon
	// failure is the error of the last refresh, empty if it succeeded. Only the
	// goroutine that runs followInterfaces uses it, once that has started.
	failure string

	// mu is held until the table is written. Otherwise a reload could resolve the
	// interfaces first and write them last, over the newer result of a refresh.
	mu sync.Mutex
	// unlisted says that the interfaces could not be listed since the start.
	unlisted bool
	// The state that the table was written for.
	listed    []string // the interfaces that the policy names
	memory    links.Memory
	unguarded []string
	problems  []links.Problem
}

// newInterfaces opens the host's list of interfaces. If that fails, it says so and all
// interfaces but lo are guarded.
func newInterfaces(open func() (Links, error), events *event.Dispatcher) *interfaces {
	o := &interfaces{events: events, wrong: new(conditions)}
	if open == nil {
		return o
	}
	host, err := open()
	if err != nil {
		events.Emit(event.InterfacesUnlisted{Err: err})
		return o
	}
	o.host = host
	return o
}

func (o *interfaces) close() {
	if o.host != nil {
		_ = o.host.Close() // a socket that was only read from: an error loses nothing
	}
}

// start is change for the start of the daemon, when services must be hidden in any case:
// if the interfaces cannot be listed, all but lo are guarded until they can.
func (o *interfaces) start(listed []string, apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(listed)
	if err != nil {
		o.events.Emit(event.InterfacesUnlisted{Err: err, Retried: true})
		// followInterfaces retries while failure is set.
		o.listed, o.failure, o.unlisted = listed, err.Error(), true
		o.wrong.set(conditionInterfaces, "all interfaces but lo are guarded, because the host's cannot be listed: "+o.failure)
		return apply(nil)
	}
	return o.applyAndRemember(listed, r, apply)
}

// change decides which interfaces are not guarded if the policy names the listed ones,
// and passes them to apply. If apply fails, or the interfaces cannot be listed, the old
// state stays. But if they could not be listed since the start, that is no reason to fail
// for a policy that names the same interfaces: all but lo are guarded already.
func (o *interfaces) change(listed []string, apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(listed)
	switch {
	case err != nil && o.unlisted && slices.Equal(listed, o.listed):
		return apply(nil)
	case err != nil:
		return err
	}
	return o.applyAndRemember(listed, r, apply)
}

// refresh is change with the interfaces that the policy named before. It calls apply
// only if other interfaces are to be left unguarded.
func (o *interfaces) refresh(apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(o.listed)
	if err != nil {
		return err
	}
	if slices.Equal(r.Unguarded, o.unguarded) {
		apply = func([]string) error { return nil } // the table is right already
	}
	return o.applyAndRemember(o.listed, r, apply)
}

// resolve lists the host's interfaces and decides which are not guarded.
func (o *interfaces) resolve(listed []string) (links.Resolution, error) {
	var now []links.Link
	if o.host != nil {
		var err error
		if now, err = o.host.List(); err != nil {
			return links.Resolution{}, err
		}
	}
	return links.Resolve(listed, now, o.memory), nil
}

// applyAndRemember calls apply. If it succeeds, applyAndRemember reports the problems that
// are new and keeps the state that the table now has.
func (o *interfaces) applyAndRemember(listed []string, r links.Resolution, apply func(unguarded []string) error) error {
	if err := apply(r.Unguarded); err != nil {
		return err
	}
	for _, p := range r.Problems {
		if !slices.Contains(o.problems, p) {
			o.events.Emit(event.InterfaceProblem{Interface: p.Interface, Text: p.String(), Harmless: p.Harmless()})
		}
	}
	o.unlisted = false
	o.noteProblems(r.Problems)
	o.listed, o.memory, o.unguarded, o.problems = listed, r.Memory, r.Unguarded, r.Problems
	return nil
}

// noteProblems sets the condition to those problems that leave more or less guarded than the
// policy says.
func (o *interfaces) noteProblems(problems []links.Problem) {
	var texts []string
	for _, p := range problems {
		if !p.Harmless() {
			texts = append(texts, p.String())
		}
	}
	if len(texts) == 0 {
		o.wrong.clear(conditionInterfaces)
		return
	}
	o.wrong.set(conditionInterfaces, strings.Join(texts, "; "))
}

// debounce is the time between a change of the interfaces and the update of the table:
// the start of one container makes several changes. New interfaces are guarded in the
// meantime.
const debounce = 20 * time.Millisecond

// refreshPause is the time between a failed update and the next attempt.
const refreshPause = time.Second

// followInterfaces updates the table when the host's interfaces change, until ctx is
// done or the keeper has ended. It retries an update that failed.
func (d *Daemon) followInterfaces(ctx context.Context) {
	o := d.interfaces
	if o.host == nil {
		return
	}
	for {
		changes, wait := o.host.Changes(), debounce
		if o.failure != "" {
			changes, wait = alwaysReady, refreshPause // retry without another change
		}
		select {
		case <-ctx.Done():
			return
		case <-changes:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if o.refreshAndReport(func(unguarded []string) error { return d.keeper.ask(applyInterfaces{unguarded}) }) != nil {
			return
		}
	}
}

// refreshAndReport is refresh, and emits an event for its error unless it is that of the
// last call. It returns errStopping and no other error.
func (o *interfaces) refreshAndReport(apply func(unguarded []string) error) error {
	err := o.refresh(apply)
	switch {
	case err == nil:
		o.failure = ""
	case errors.Is(err, errStopping):
		return err
	case err.Error() != o.failure:
		o.failure = err.Error()
		o.wrong.set(conditionInterfaces, "the table cannot follow the host's interfaces: "+o.failure)
		o.events.Emit(event.InterfacesFailed{Err: err})
	}
	return nil
}
