package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watcher receives events of the changes that other processes make to a table.
type watcher struct {
	conn    *netlink.Conn
	table   tableName
	ours    uint32 // the netlink port that our own changes come from
	joined  bool
	changes chan struct{}
	// elements: grants were added or deleted, or may have been. rules: the same
	// of sets that belong to the rules.
	elements, rules atomic.Bool
	// targets are sets of other tables to watch, too; theirs: one of them was changed.
	targets atomic.Pointer[[]SetName]
	theirs  atomic.Bool
	closed  chan struct{}
}

// watchBuffer holds the events of a firewall of some thousand rules when it is
// loaded anew; of more than that the socket reports ENOBUFS.
const watchBuffer = 1 << 20

// newWatcher opens the watcher's socket in the network namespace of the
// calling thread. It receives nothing until join.
func newWatcher(table tableName, ours uint32) (*watcher, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	w := &watcher{conn: conn, table: table, ours: ours, changes: make(chan struct{}, 1), closed: make(chan struct{})}
	if err := conn.SetReadBuffer(watchBuffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// join begins to receive. No change after it has returned is missed.
func (w *watcher) join() error {
	if w.joined {
		return nil
	}
	if err := w.conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return fmt.Errorf("watch the table: %w", err)
	}
	w.joined = true
	go w.run()
	return nil
}

// pollInterval is how often to check the table when the event socket is lost.
const pollInterval = time.Second

// run ends when the watcher is closed.
func (w *watcher) run() {
	for {
		messages, err := w.conn.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			w.elements.Store(true)
			w.rules.Store(true)
			w.theirs.Store(true)
			// The kernel dropped events, which may have been about the table.
			w.signal()
		case err != nil:
			select {
			case <-w.closed:
				return
			case <-time.After(pollInterval):
				w.signal()
			}
		}
		for _, m := range messages {
			if touches(m, w.table, w.ours) {
				w.note(m)
				w.signal()
			}
			if w.touchesTarget(m) {
				w.theirs.Store(true)
				w.signal()
			}
		}
	}
}

func (w *watcher) signal() { signal(w.changes) }

// signal makes one of all changes since the channel was last read: it holds one.
func signal(changes chan<- struct{}) {
	select {
	case changes <- struct{}{}:
	default:
	}
}

func (w *watcher) close() error {
	close(w.closed)
	return w.conn.Close()
}

// note records whether a message about the table is about elements of a set,
// which the snapshot of the table does not have.
func (w *watcher) note(m netlink.Message) {
	switch uint16(m.Header.Type) & 0xff {
	case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
		if isGrantSet(attribute(m, unix.NFTA_SET_ELEM_LIST_SET)) {
			w.elements.Store(true)
		} else {
			w.rules.Store(true)
		}
	}
}

// touches reports whether a message tells of a change to the table that did
// not come from the netlink port ours: an event carries the port of the socket that
// caused it. The name of the table is attribute 1 of all kinds of objects
// (linux/netfilter/nf_tables.h); what they say beside it may change with the
// kernel, and the table itself is where the truth is.
func touches(m netlink.Message, table tableName, ours uint32) bool {
	return m.Header.Type>>8 == unix.NFNL_SUBSYS_NFTABLES && m.Header.PID != ours &&
		len(m.Data) > 0 && m.Data[0] == byte(table.family.number) &&
		attribute(m, unix.NFTA_TABLE_NAME) == table.name
}

// touchesTarget reports whether a message tells of a change to one of the targets, or to
// the table that one is in, which did not come from us.
func (w *watcher) touchesTarget(m netlink.Message) bool {
	targets := w.targets.Load()
	return targets != nil && slices.ContainsFunc(*targets, func(n SetName) bool {
		if !touches(m, n.table(), w.ours) {
			return false
		}
		switch uint16(m.Header.Type) & 0xff {
		case unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_DELTABLE:
			return true
		case unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
			return attribute(m, unix.NFTA_SET_NAME) == n.Name
		case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
			return attribute(m, unix.NFTA_SET_ELEM_LIST_SET) == n.Name
		}
		return false
	})
}

// attribute returns an attribute of an event that is text, or nothing.
func attribute(m netlink.Message, kind uint16) string {
	const header = 4 // struct nfgenmsg: family, version, res_id
	if len(m.Data) < header {
		return ""
	}
	attrs, err := netlink.NewAttributeDecoder(m.Data[header:])
	if err != nil {
		return ""
	}
	attrs.ByteOrder = binary.BigEndian
	for attrs.Next() {
		if attrs.Type() == kind {
			return attrs.String()
		}
	}
	return ""
}
