package daemon

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/nflog"
)

// The pause before an NFLOG group that cannot be opened or read is opened again: it begins at
// minOpenPause, doubles up to maxOpenPause, and begins anew once the group was read for the
// time steady.
const (
	minOpenPause = time.Second
	maxOpenPause = 4 * time.Second
	steady       = time.Minute
)

// groupSource is the NFLOG group of a worker, which may be closed for some time: another
// program may have taken it, or the socket may fail. Its methods may be called from several
// goroutines.
type groupSource struct {
	connect func() (nflog.Source, error)
	report  func(error) // called with each failure, and with nil when the group is open again

	mu      sync.Mutex
	source  nflog.Source  // nil while the group is closed
	before  nflog.Stats   // of earlier sources
	ended   chan struct{} // closed by close
	endOnce sync.Once
}

func newGroupSource(connect func() (nflog.Source, error), report func(error)) *groupSource {
	return &groupSource{connect: connect, report: report, ended: make(chan struct{})}
}

// current returns the source to read from, nil if the group is closed.
func (g *groupSource) current() nflog.Source {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.source
}

// open opens the group and reports whether that worked. It does nothing after close.
func (g *groupSource) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isEnded() || g.source != nil {
		return
	}
	source, err := g.connect()
	if err == nil {
		g.source = source
	}
	g.report(err)
}

// fail closes a group that cannot be read, and reports why. It returns false after close,
// whose doing the error is then.
func (g *groupSource) fail(err error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isEnded() {
		return false
	}
	g.before = sum(g.before, g.source.Stats())
	// The kernel unbinds the group in any case, and the first error says more.
	_ = g.source.Close()
	g.source = nil
	if errors.Is(err, os.ErrClosed) {
		err = errors.New("its socket was closed")
	}
	g.report(fmt.Errorf("read nflog group: %w", err))
	return true
}

// wait waits for a time. It returns false, at once, when the source is closed for good.
func (g *groupSource) wait(pause time.Duration) bool {
	select {
	case <-time.After(pause):
		return true
	case <-g.ended:
		return false
	}
}

// Stats returns the counts since the start.
func (g *groupSource) Stats() nflog.Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.source == nil {
		return g.before
	}
	return sum(g.before, g.source.Stats())
}

func sum(a, b nflog.Stats) nflog.Stats {
	return nflog.Stats{
		Packets: a.Packets + b.Packets, Datagrams: a.Datagrams + b.Datagrams, Lost: a.Lost + b.Lost,
		Overruns: a.Overruns + b.Overruns, Malformed: a.Malformed + b.Malformed,
		Foreign: a.Foreign + b.Foreign, Refused: a.Refused + b.Refused,
	}
}

// close closes the group for good, and interrupts whoever reads from it or waits.
func (g *groupSource) close() error {
	g.endOnce.Do(func() { close(g.ended) })
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.source == nil {
		return nil
	}
	return g.source.Close()
}

func (g *groupSource) isEnded() bool {
	select {
	case <-g.ended:
		return true
	default:
		return false
	}
}

// unread are the NFLOG groups that cannot be read at the moment, and why. Its methods may be
// called from several goroutines.
type unread struct {
	mu     sync.Mutex
	groups map[uint16]error
}

// set sets the state of a group, and returns the state before.
func (u *unread) set(group uint16, err error) (before error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before = u.groups[group]
	if u.groups == nil {
		u.groups = make(map[uint16]error)
	}
	if err == nil {
		delete(u.groups, group)
	} else {
		u.groups[group] = err
	}
	return before
}

// text says what is wrong, for a number of groups in all. It is empty if nothing is.
func (u *unread) text(all int, hides event.Hides) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var reasons []string
	for _, err := range u.groups {
		if !slices.Contains(reasons, err.Error()) {
			reasons = append(reasons, err.Error())
		}
	}
	slices.Sort(reasons)
	hidden := "services hidden, "
	if hides.Elsewhere {
		hidden = ""
	}
	switch n := len(u.groups); {
	case n == 0:
		return ""
	case n < all:
		return hidden + "some knocks cannot be heard: " + strings.Join(reasons, "; ")
	default:
		return hidden + "no knock can be heard: " + strings.Join(reasons, "; ")
	}
}

// groupChanged reports that a group cannot be used, or is open. An error is told once, until
// the group works again.
func (d *Daemon) groupChanged(group uint16, err error) {
	before, hides := d.unread.set(group, err), hidesBy(d.keeper.plan().Policy)
	switch {
	case err != nil && before == nil:
		d.events.Emit(event.NFLogUnavailable{Group: group, Hides: hides, Err: err})
	case err == nil && before != nil:
		d.events.Emit(event.NFLogRecovered{Group: group})
	case err == nil:
		return // open at once
	}
	d.setCondition(conditionNFLog, d.unread.text(d.config.Policy.NFLog.Workers, hides))
}
