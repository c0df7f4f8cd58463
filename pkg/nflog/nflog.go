// Package nflog receives the packets that netfilter's log statement hands to
// user space ("log group N" in nft), and has a fake of the kernel for tests.
//
// A Reader listens to one or several groups on one netlink socket. It reads
// without locking and without allocating, counts exactly what the kernel had
// to drop, and takes packets in batches while many come. A group has one
// listener in a network namespace: whoever else wants it is refused.
//
// What this package cannot see: packets logged while no Reader was open, and
// the rare packet for which the kernel found no memory, which it does not
// even number.
package nflog

import "time"

// Source gives packets. A Reader is one, and so is a Fake.
type Source interface {
	// Read fills rec with the next packet. It blocks until there is one, or
	// until Close, after which it returns os.ErrClosed, packets or no packets
	// being left. One goroutine at a time may call it.
	Read(rec *Record) error
	// Stats may be called at any time from any goroutine.
	Stats() Stats
	// Close ends a Read that blocks, and returns when the groups are free
	// for others. It may be called from any goroutine, and more than once.
	Close() error
}

// Record is one logged packet.
type Record struct {
	Group uint16
	// InDevice is the index of the interface the packet came in by; 0 for
	// packets of this host's own making.
	InDevice uint32
	// Seq numbers the packets of one group, from 0 at Open.
	Seq uint32
	// Time is when the packet was logged, to the microsecond, where the
	// kernel tells; else when it was read, which is one time for a whole
	// batch. It has a monotonic clock reading, so that intervals between
	// records hold even if the wall clock is set meanwhile.
	Time time.Time
	// Payload begins at the network header and ends with the packet, or where
	// Config.CopyRange or the rule's snaplen cut it. It is valid until the
	// next Read: the reader's buffer is behind it. It is empty where the
	// rule has snaplen 0.
	Payload []byte
}

// Stats counts since Open.
type Stats struct {
	Packets   uint64 // records that Read returned
	Datagrams uint64 // reads from the socket that brought any; one holds 1 to many packets
	// Lost is the number of packets of our groups that the kernel dropped
	// because the receive buffer was full: the gaps in Record.Seq. A gap
	// shows with the first packet after it. Packets that were logged before
	// Open had bound the last group are among them.
	Lost uint64
	// Overruns is how often the kernel said that it dropped packets (ENOBUFS),
	// however many.
	Overruns uint64
	// Malformed counts messages that made no sense. If one had no end, what
	// stood behind it in its datagram was not read. Packets that went that
	// way are in Lost as well.
	Malformed uint64
	Foreign   uint64 // datagrams refused because another process sent them
	Refused   uint64 // changes of batching that the kernel refused
}
