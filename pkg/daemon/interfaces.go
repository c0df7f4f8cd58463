package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"nftknock/pkg/links"
)

// Links tells of this host's interfaces. *links.Watcher does, and its package says
// what the methods promise.
type Links interface {
	Changes() <-chan struct{}
	List() ([]links.Link, error)
	Close() error
}

// outskirts works out which interfaces are not guarded, and follows changes. An
// interface that it does not know is guarded. Its methods may be called from
// several goroutines.
type outskirts struct {
	host Links // nil where interfaces cannot be listed: then all but lo are guarded
	log  *slog.Logger

	mu        sync.Mutex
	listed    []string // by the policy
	memory    links.Memory
	unguarded []string
	problems  []links.Problem
}

// newOutskirts opens the host's list of interfaces.
func newOutskirts(open func() (Links, error), log *slog.Logger) *outskirts {
	o := &outskirts{log: log}
	if open == nil {
		return o
	}
	host, err := open()
	if err != nil {
		log.Warn("cannot list interfaces, so all but lo are guarded: "+err.Error(), "event", "interfaces")
		return o
	}
	o.host = host
	return o
}

func (o *outskirts) close() {
	if o.host != nil {
		_ = o.host.Close() // nothing is lost with it
	}
}

// resolve gives the interfaces that are not guarded if the policy lists some.
func (o *outskirts) resolve(listed []string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.listed = listed
	o.update()
	return o.unguarded
}

// again is resolve for the same list, and reports whether anything changed.
func (o *outskirts) again() (unguarded []string, changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.unguarded
	o.update()
	return o.unguarded, !slices.Equal(before, o.unguarded)
}

// update lists the interfaces again. Without a list, what was not guarded stays so.
func (o *outskirts) update() {
	var now []links.Link
	if o.host != nil {
		var err error
		if now, err = o.host.List(); err != nil {
			o.log.Warn("cannot list interfaces: "+err.Error(), "event", "interfaces")
			return
		}
	}
	r := links.Resolve(o.listed, now, o.memory)
	for _, p := range r.Problems {
		if !slices.Contains(o.problems, p) {
			o.tell(p)
		}
	}
	o.memory, o.unguarded, o.problems = r.Memory, r.Unguarded, r.Problems
}

func (o *outskirts) tell(p links.Problem) {
	level := slog.LevelWarn
	if p.Harmless() {
		level = slog.LevelInfo
	}
	o.log.Log(context.Background(), level, p.String(), "event", "interfaces", "interface", p.Interface)
}

// calm is how long changes may come before the table follows: a container that
// starts makes several. What is new is guarded meanwhile.
const calm = 20 * time.Millisecond

// follow has the table follow the host's interfaces until ctx is done.
func (d *Daemon) follow(ctx context.Context) {
	if d.outskirts.host == nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.outskirts.host.Changes():
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(calm):
		}
		if unguarded, changed := d.outskirts.again(); changed {
			d.keeper.follow(unguarded)
		}
	}
}
