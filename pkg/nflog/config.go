package nflog

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Defaults of the fields of Config.
const (
	// DefaultCopyRange holds every header that decides anything: 60 bytes of
	// IPv4 and 60 of TCP, or 40 of IPv6, 60 of TCP and 156 of extension
	// headers. It is for those who read headers: who wants the payload of
	// datagrams must ask for more.
	DefaultCopyRange = 256
	// DefaultReceiveBuffer holds about 20,000 small packets that come one by
	// one: the kernel doubles it, and charges 832 bytes and more for each.
	DefaultReceiveBuffer = 8 << 20
	// DefaultQueueThreshold delivers each packet at once.
	DefaultQueueThreshold = 1
	// DefaultBusyThreshold: 32 packets together cost a tenth to read of what
	// they cost singly, and less than half to log.
	DefaultBusyThreshold = 32
	// DefaultTimeout is the shortest time but zero.
	DefaultTimeout = timeoutUnit
)

// timeoutUnit is the kernel's unit of NFULA_CFG_TIMEOUT.
const timeoutUnit = 10 * time.Millisecond

// maxCopyRange is NFULNL_COPY_RANGE_MAX (net/netfilter/nfnetlink_log.c).
const maxCopyRange = 0xffff - 4

// maxTimeout is no limit of the kernel's: a packet that waits longer than
// this was meant to wait for something else.
const maxTimeout = time.Minute

// Config says what a Reader listens to and how. Zero fields other than Groups
// take the defaults above.
type Config struct {
	// Groups are the numbers of the log groups, one or more, each once.
	Groups []uint16
	// CopyRange is how many bytes of each packet the kernel copies, counted
	// from the network header, at most 65531. A rule's snaplen lowers it.
	CopyRange uint32
	// ReceiveBuffer is what the socket may hold, in bytes. Without privileges
	// in the first user namespace, the sysctl net.core.rmem_max caps it;
	// Reader.ReceiveBuffer tells what was got.
	ReceiveBuffer int
	// QueueThreshold is how many packets the kernel collects before it
	// delivers them together. A rule's queue-threshold lowers it.
	QueueThreshold uint32
	// BusyThreshold takes the place of QueueThreshold while packets come
	// faster than 10,000 a second. Set it to QueueThreshold to keep to that.
	BusyThreshold uint32
	// Timeout is how long a packet waits for others at most, in steps of
	// 10 ms, rounded up, at most 1 min.
	Timeout time.Duration
}

// complete checks c and fills in the defaults.
func (c Config) complete() (Config, error) {
	if len(c.Groups) == 0 {
		return c, errors.New("nflog: no group to listen to")
	}
	c.Groups = slices.Clone(c.Groups)
	slices.Sort(c.Groups)
	for i, g := range c.Groups[1:] {
		if g == c.Groups[i] {
			return c, fmt.Errorf("nflog: group %d is listed twice", g)
		}
	}
	switch {
	case c.CopyRange > maxCopyRange:
		return c, fmt.Errorf("nflog: copy range %d: want at most %d bytes", c.CopyRange, maxCopyRange)
	case c.ReceiveBuffer < 0 || c.ReceiveBuffer > 1<<30:
		return c, fmt.Errorf("nflog: receive buffer %d: want 0 to %d bytes", c.ReceiveBuffer, 1<<30)
	case c.Timeout < 0 || c.Timeout > maxTimeout:
		return c, fmt.Errorf("nflog: timeout %v: want 0 to %v", c.Timeout, maxTimeout)
	}
	setDefault(&c.CopyRange, DefaultCopyRange)
	setDefault(&c.ReceiveBuffer, DefaultReceiveBuffer)
	setDefault(&c.QueueThreshold, DefaultQueueThreshold)
	setDefault(&c.BusyThreshold, max(DefaultBusyThreshold, c.QueueThreshold))
	setDefault(&c.Timeout, DefaultTimeout)
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// timeout is Timeout in the kernel's unit.
func (c Config) timeout() uint32 {
	return uint32((c.Timeout + timeoutUnit - 1) / timeoutUnit)
}

const (
	// messageOverhead is what nfulnl_log_packet reserves for a packet besides
	// its payload, on Ethernet and without a log prefix.
	messageOverhead = 192
	// maxBufferSize is the largest NFULA_CFG_NLBUFSIZ.
	maxBufferSize = 128 << 10
)

// bufferSize is NFULA_CFG_NLBUFSIZ for a threshold: the kernel's allocation
// for one datagram, and so the end of a batch, whatever its threshold: left
// alone (somewhat under a page) it ends batches after 8 packets of the
// default copy range. One packet alone always gets the room it needs.
//
// With a threshold of 1 it is the least the kernel takes. It refuses less than
// NLMSG_GOODSIZE, which is just under a page or 8 KiB, without saying so, and
// keeps what it had. More costs each single packet an allocation of that
// size: 16 KiB make the kernel's part a third dearer.
//
// It is the size for packets of the default copy range: most are SYNs, whoever
// wants payload too. Larger ones end a batch sooner.
func (c Config) bufferSize(threshold uint32) uint32 {
	least := uint64(min(os.Getpagesize(), 8<<10))
	want := uint64(threshold) * uint64(min(c.CopyRange, DefaultCopyRange)+messageOverhead)
	return uint32(min(max(want, least), maxBufferSize))
}

// readSize is the size of a buffer that takes any datagram of the kernel.
// Datagrams outgrow NFULA_CFG_NLBUFSIZ, since the kernel fills what its
// allocator rounded up to: the next power of two. The pages that are never
// written to cost nothing.
const readSize = 2 * maxBufferSize
