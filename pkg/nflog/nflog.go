// Package nflog receives the packets that netfilter's log statement sends to user
// space ("log group N" in nft). Fake replaces the kernel in tests.
//
// A Reader binds one or several log groups to one netlink socket. It reads without
// locks and without allocations, counts the packets that the kernel dropped, and lets
// the kernel deliver packets in batches while they arrive fast. Only one socket per
// network namespace can bind a group.
//
// Two kinds of packets are not counted as lost: those logged while no Reader was
// open, and those for which the kernel had no memory, since it drops them before it
// numbers them (alloc_failure in net/netfilter/nfnetlink_log.c).
package nflog

import "time"

// Source is a source of packets: a Reader or a Fake.
type Source interface {
	// Read fills rec with the next packet. It blocks until there is one, or
	// until Close. After Close it returns os.ErrClosed, even if packets are left.
	// One goroutine at a time may call it.
	Read(rec *Record) error
	// Stats returns the counts since Open. Any goroutine may call it at any time.
	Stats() Stats
	// Close interrupts a Read that blocks, and returns when other sockets can bind
	// the groups. Any goroutine may call it, also more than once.
	Close() error
}

// Record is one logged packet.
type Record struct {
	Group uint16
	// InDevice is the index of the interface on which the packet arrived; 0 for
	// packets that this host sends.
	InDevice uint32
	// Seq is the number of the packet in its group, counted from 0 at Open.
	Seq uint32
	// Time is the kernel's timestamp of the packet, in microseconds, if the
	// message has one; else the time when the batch was read. It has a monotonic
	// clock reading, so that the difference of two is right even if the wall clock
	// is set in between.
	Time time.Time
	// Payload begins at the network header and ends with the packet, or where
	// Config.CopyRange or the rule's snaplen cut it. It is empty if the rule has
	// snaplen 0. It is valid until the next Read, which reuses the memory.
	Payload []byte
}

// Stats holds counts since Open.
type Stats struct {
	Packets   uint64 // records that Read returned
	Datagrams uint64 // datagrams read from the socket, of one or more packets each
	// Lost is the number of packets of the bound groups that the kernel dropped
	// because the receive buffer was full: the gaps in Record.Seq. A gap is
	// counted when the next packet of its group is read. Packets that were logged
	// before Open had bound the last group are counted too.
	Lost uint64
	// Overruns is how often the kernel reported dropped packets (ENOBUFS). One
	// report stands for one or more packets.
	Overruns uint64
	// Malformed is the number of messages that could not be parsed. If the length
	// of one was wrong, the rest of its datagram was not read. Packets in such
	// messages are counted in Lost too.
	Malformed uint64
	Foreign   uint64 // datagrams dropped because another process sent them
	Refused   uint64 // changes of the threshold that could not be made
}
