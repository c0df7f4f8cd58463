package daemon

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/links"
)

// Links tells of this host's interfaces. *links.Watcher does, and its package says
// what the methods promise.
type Links interface {
	Changes() <-chan struct{}
	List() ([]links.Link, error)
	Close() error
}

// interfaces works out which interfaces are not guarded, and follows changes. An
// interface that it does not know is guarded. Its methods may be called from
// several goroutines.
type interfaces struct {
	host   Links // nil where interfaces cannot be listed: then all but lo are guarded
	events *event.Dispatcher
	// failure is why the table could not follow the last time, or empty. It belongs
	// to the goroutine that follows, once that runs.
	failure string

	// The lock is held until the table is changed, so that of a reload and a change
	// of the host's interfaces the later one has the last word.
	mu sync.Mutex
	// What the table follows.
	listed    []string // by the policy
	memory    links.Memory
	unguarded []string
	problems  []links.Problem
}

// newInterfaces opens the host's list of interfaces.
func newInterfaces(open func() (Links, error), events *event.Dispatcher) *interfaces {
	o := &interfaces{events: events}
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
		_ = o.host.Close() // nothing is lost with it
	}
}

// begin is adopt at the start, when services must be hidden whatever happens: where
// the interfaces cannot be listed, all but lo are guarded until they can.
func (o *interfaces) begin(listed []string, apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(listed)
	if err != nil {
		o.events.Emit(event.InterfacesUnlisted{Err: err, Retried: true})
		o.listed, o.failure = listed, err.Error()
		return apply(nil)
	}
	if err := apply(r.Unguarded); err != nil {
		return err
	}
	o.take(listed, r)
	return nil
}

// adopt works out what is not guarded if the policy lists some interfaces, and
// passes it to apply. If that fails, or the interfaces cannot be listed, nothing
// has changed.
func (o *interfaces) adopt(listed []string, apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(listed)
	if err != nil {
		return err
	}
	if err := apply(r.Unguarded); err != nil {
		return err
	}
	o.take(listed, r)
	return nil
}

// again is adopt for the same list. It calls apply only if something changed.
func (o *interfaces) again(apply func(unguarded []string) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	r, err := o.resolve(o.listed)
	if err != nil {
		return err
	}
	if !slices.Equal(r.Unguarded, o.unguarded) {
		if err := apply(r.Unguarded); err != nil {
			return err
		}
	}
	o.take(o.listed, r)
	return nil
}

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

// take says what is new and remembers what the table follows from now on.
func (o *interfaces) take(listed []string, r links.Resolution) {
	for _, p := range r.Problems {
		if !slices.Contains(o.problems, p) {
			o.events.Emit(event.InterfaceProblem{Interface: p.Interface, Text: p.String(), Harmless: p.Harmless()})
		}
	}
	o.listed, o.memory, o.unguarded, o.problems = listed, r.Memory, r.Unguarded, r.Problems
}

// calm is how long changes may come before the table follows: a container that
// starts makes several. What is new is guarded meanwhile.
const calm = 20 * time.Millisecond

// retryInterfaces is how long after a failure to follow another attempt is made.
const retryInterfaces = time.Second

// follow has the table follow the host's interfaces until ctx is done. What fails
// is tried again.
func (d *Daemon) follow(ctx context.Context) {
	o := d.interfaces
	if o.host == nil {
		return
	}
	for {
		changes, wait := o.host.Changes(), calm
		if o.failure != "" {
			changes, wait = always, retryInterfaces
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
		if o.follow(func(unguarded []string) error { return d.keeper.ask(applyInterfaces{unguarded}) }) != nil {
			return
		}
	}
}

// follow is again, and says once why it fails. It returns errStopping alone.
func (o *interfaces) follow(apply func(unguarded []string) error) error {
	err := o.again(apply)
	switch {
	case err == nil:
		o.failure = ""
	case errors.Is(err, errStopping):
		return err
	case err.Error() != o.failure:
		o.failure = err.Error()
		o.events.Emit(event.InterfacesFailed{Err: err})
	}
	return nil
}
