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
	// DefaultCopyRange is enough for all headers: 60 bytes of IPv4 and 60 of
	// TCP, or 40 of IPv6, 60 of TCP and 156 of extension headers. Callers that
	// need the payload of datagrams must set more.
	DefaultCopyRange = 256
	// DefaultReceiveBuffer is enough for about 20,000 small packets that are
	// delivered one by one: the kernel doubles the size (__sock_set_rcvbuf in
	// net/core/sock.c), and charges at least 832 bytes per datagram.
	DefaultReceiveBuffer = 8 << 20
	// DefaultQueueThreshold delivers each packet at once.
	DefaultQueueThreshold = 1
	// DefaultBusyThreshold: 32 packets in one datagram take a tenth of the time
	// to read, and less than half of the time to log, of 32 datagrams.
	DefaultBusyThreshold = 32
	// DefaultTimeout is the shortest timeout that is not zero.
	DefaultTimeout = timeoutUnit
)

// timeoutUnit is the unit of NFULA_CFG_TIMEOUT: nfulnl_log_packet
// (net/netfilter/nfnetlink_log.c) sets its timer to flushtimeout*HZ/100.
const timeoutUnit = 10 * time.Millisecond

// maxCopyRange is NFULNL_COPY_RANGE_MAX (net/netfilter/nfnetlink_log.c).
const maxCopyRange = 0xffff - 4

// maxTimeout is the largest timeout that Config accepts. The kernel has no limit; a
// longer timeout is probably a mistake.
const maxTimeout = time.Minute

// Config is the configuration of a Reader. Fields other than Groups that are zero
// have the defaults above.
type Config struct {
	// Groups are the numbers of the log groups: one or more, without duplicates.
	Groups []uint16
	// CopyRange is how many bytes of each packet the kernel copies, counted
	// from the network header, at most 65531. A rule's snaplen can lower it.
	CopyRange uint32
	// ReceiveBuffer is the size of the socket's receive buffer in bytes, at most
	// 1 GiB. Without CAP_NET_ADMIN in the initial user namespace, the sysctl
	// net.core.rmem_max limits it; Reader.ReceiveBuffer returns the size granted.
	ReceiveBuffer int
	// QueueThreshold is how many packets the kernel collects before it
	// delivers them in one datagram. A rule's queue-threshold can lower it.
	QueueThreshold uint32
	// BusyThreshold is used instead of QueueThreshold while packets arrive
	// faster than 10,000 per second. Equal values turn this off.
	BusyThreshold uint32
	// Timeout is the longest time that the kernel keeps a packet to collect
	// others. It is rounded up to a multiple of 10 ms, and at most 1 min.
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

// timeout returns Timeout in units of 10 ms.
func (c Config) timeout() uint32 {
	return uint32((c.Timeout + timeoutUnit - 1) / timeoutUnit)
}

const (
	// messageOverhead is the number of bytes that nfulnl_log_packet reserves for
	// a packet besides its payload, on Ethernet and without a log prefix.
	messageOverhead = 192
	// maxBufferSize is the largest NFULA_CFG_NLBUFSIZ (nfulnl_set_nlbufsiz).
	maxBufferSize = 128 << 10
)

// bufferSize returns NFULA_CFG_NLBUFSIZ for a threshold: the number of bytes that the
// kernel allocates for one datagram. A batch ends when that is full, even below the
// threshold; the kernel's default (just under a page) is full after 8 packets of the
// default copy range. The kernel allocates more for a single packet that needs more.
//
// For a threshold of 1 it is the smallest size that the kernel accepts. A larger one
// would be allocated for every packet: with 16 KiB logging takes a third longer.
//
// It is computed for packets of at most the default copy range, because most packets
// are SYNs even if CopyRange is larger. A batch of larger packets ends earlier.
func (c Config) bufferSize(threshold uint32) uint32 {
	// nfulnl_set_nlbufsiz refuses a size below NLMSG_GOODSIZE, which is just under the
	// smaller of a page and 8 KiB. nfulnl_recv_config ignores that error, so the
	// kernel would keep the previous size.
	least := uint64(min(os.Getpagesize(), 8<<10))
	want := uint64(threshold) * uint64(min(c.CopyRange, DefaultCopyRange)+messageOverhead)
	return uint32(min(max(want, least), maxBufferSize))
}

// readSize is the size of a buffer that any datagram of the kernel fits into, in bytes.
// A datagram can be larger than NFULA_CFG_NLBUFSIZ: the kernel's allocator rounds the
// size up to a power of two, and nfulnl_log_packet uses all of it (skb_tailroom).
// Pages of the buffer that are never written use no memory.
const readSize = 2 * maxBufferSize
