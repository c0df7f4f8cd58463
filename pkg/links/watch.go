package links

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	vnl "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Watcher lists the interfaces of one network namespace and tells when they
// change. All methods may be called at the same time.
//
// It does not use the subscription of the library that lists: that one ends
// at the first ENOBUFS, and hangs when it is closed while nobody takes its
// updates.
type Watcher struct {
	mu   sync.Mutex
	list *vnl.Handle // nil when closed

	events  *netlink.Conn
	changes chan struct{}
	closed  chan struct{}
	done    chan struct{} // closed when run has returned
}

// Open begins to watch the network namespace of the calling thread. What
// changes after it has returned is signalled; what was there before is not.
// No privilege is needed.
func Open() (*Watcher, error) {
	w, err := open()
	if err != nil {
		return nil, err
	}
	go w.run()
	return w, nil
}

// open is Open without the goroutine.
func open() (*Watcher, error) {
	events, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("watch interfaces: %w", err)
	}
	if err := events.JoinGroup(unix.RTNLGRP_LINK); err != nil {
		return nil, errors.Join(fmt.Errorf("watch interfaces: %w", err), events.Close())
	}
	handle, err := newHandle()
	if err != nil {
		return nil, errors.Join(err, events.Close())
	}
	return &Watcher{
		list:    handle,
		events:  events,
		changes: make(chan struct{}, 1),
		closed:  make(chan struct{}),
		done:    make(chan struct{}),
	}, nil
}

// Changes signals that interfaces may have changed. One signal stands for all
// changes since the last; a List that follows it shows them. There are signals
// without a change. The channel is never closed.
//
// The kernel does not tell when an interface that is down gets or loses an
// alternative name (netdev_state_change in net/core/dev.c); it does when the
// interface comes up, before which no packet comes in.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// List is the function List in the namespace of the Watcher. After Close it
// returns os.ErrClosed.
func (w *Watcher) List() ([]Link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		return nil, os.ErrClosed
	}
	return list(w.list)
}

// Close ends the watch and waits for a List that is running. Afterwards there
// is at most a signal that nobody has taken. A second Close returns
// os.ErrClosed.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		return os.ErrClosed
	}
	// NB: with its sockets closed, the library would open others, in whatever
	// namespace the thread is.
	w.list.Close()
	w.list = nil
	close(w.closed)
	err := w.events.Close()
	<-w.done
	return err
}

// pollInterval is how often a change is supposed when the event socket is lost.
const pollInterval = time.Second

// run signals whatever comes in until the Watcher is closed. What a message
// says does not matter: the list is the truth.
func (w *Watcher) run() {
	defer close(w.done)
	for {
		_, err := w.events.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !w.wait() {
			return
		}
		// ENOBUFS means that changes were lost: a list shows them too.
		select {
		case w.changes <- struct{}{}:
		default:
		}
	}
}

// wait waits for pollInterval and reports false if the Watcher was closed.
func (w *Watcher) wait() bool {
	select {
	case <-w.closed:
		return false
	case <-time.After(pollInterval):
		return true
	}
}
