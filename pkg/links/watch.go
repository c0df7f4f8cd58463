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

// A Watcher lists the interfaces of one network namespace and signals changes. Its
// methods may be called from several goroutines.
//
// It does not use LinkSubscribe of vishvananda/netlink, which ends at the first ENOBUFS,
// and blocks when it is closed while no goroutine receives its updates.
type Watcher struct {
	mu   sync.Mutex
	list *vnl.Handle // nil when closed

	events  *netlink.Conn
	changes chan struct{}
	closed  chan struct{}
	done    chan struct{} // closed when run has returned
}

// Open begins to watch the network namespace of the calling thread. Changes after it has
// returned are signalled; interfaces that existed before are not. No privilege is
// needed.
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

// Changes signals that interfaces may have changed. One signal stands for all changes
// since the previous one; List after it shows them. There may be signals without a
// change. The channel is never closed.
//
// The kernel sends no message when an interface that is down gets or loses an
// alternative name (netdev_state_change in net/core/dev.c), but it does when the
// interface goes up, before it receives packets.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// List is the function List for the namespace of the Watcher. After Close it returns
// os.ErrClosed.
func (w *Watcher) List() ([]Link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		return nil, os.ErrClosed
	}
	return list(w.list)
}

// Close ends the watch and waits for a List that is running. No new signals come after
// it. A second Close returns os.ErrClosed.
func (w *Watcher) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.list == nil {
		return os.ErrClosed
	}
	// NB: a Handle without sockets opens new ones for each request, in the namespace
	// of the calling thread. So w.list must not be used after this.
	w.list.Close()
	w.list = nil
	close(w.closed)
	err := w.events.Close()
	<-w.done
	return err
}

// pollInterval is the time between two signals when the event socket fails, in which
// case changes are not reported any more.
const pollInterval = time.Second

// run sends a signal per message until the Watcher is closed. It ignores what the
// message says: receivers of the signal call List.
func (w *Watcher) run() {
	defer close(w.done)
	for {
		_, err := w.events.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !w.wait() {
			return
		}
		// After ENOBUFS messages were lost, but List shows the changes.
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
