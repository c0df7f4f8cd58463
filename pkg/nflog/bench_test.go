package nflog

import (
	"fmt"
	"net"
	"testing"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/google/nftables"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// BenchmarkParser measures the parsing of one packet in a batch of 32, without the
// socket.
func BenchmarkParser(b *testing.B) {
	const batch = 32
	// The attributes of a packet received on Ethernet. More than half of them are
	// skipped.
	var datagram []byte
	for i := range batch {
		datagram = append(datagram, packetMessage(5, attr(1, 8, 0, 1, 0), attr(10, 0), attr(attrInDevice, 0, 0, 0, 2),
			attr(8, make([]byte, 12)...), attr(15, 0, 1), attr(17, 0, 14), attr(16, make([]byte, 14)...),
			attr(attrTimestamp, make([]byte, 16)...), attr(attrSeq, 0, 0, 0, byte(i)), attr(attrPayload, make([]byte, 60)...))...)
	}
	datagram = append(datagram, done()...)
	var s stream
	s.init([]uint16{5})
	now := time.Now()
	var rec Record
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if !s.next(&rec) {
			s.groups[0].next = 0
			s.load(datagram, now)
			s.next(&rec)
		}
		n++
	}
	if got := s.Stats(); got.Malformed != 0 || got.Lost != 0 || got.Packets != uint64(n) {
		b.Fatalf("%+v after %d packets", got, n)
	}
}

// benchPackets packets are queued in the socket before the timer starts, so that the
// time of logging is not counted as time of reading.
const benchPackets = 2048

// BenchmarkKernel measures the reading of one packet from the kernel, by a Reader and
// by go-nflog's loop with the same packets, thresholds and attributes.
func BenchmarkKernel(b *testing.B) {
	for _, threshold := range []uint32{1, 32} {
		b.Run(fmt.Sprintf("threshold=%d", threshold), func(b *testing.B) {
			n := netnstest.New(b)
			logSent(b, n, 1005, 5)
			logSent(b, n, 1006, 6)
			ours, theirs := dial(b, n, 1005), dial(b, n, 1006)
			r := open(b, n, Config{Groups: []uint16{5}, QueueThreshold: threshold, BusyThreshold: threshold})
			gate, finished := make(chan struct{}), make(chan struct{})
			left := 0
			listen(b, n, gonflog.Config{Group: 6, QThresh: threshold, Timeout: 1, Bufsize: DefaultCopyRange}, func(gonflog.Attribute) int {
				if left == 0 {
					<-gate
					left = benchPackets
				}
				if left--; left == 0 {
					finished <- struct{}{}
				}
				return 0
			})
			var oursTook, theirsTook time.Duration
			packets := 0
			for b.Loop() {
				flood(b, ours)
				oursTook += took(func() {
					var rec Record
					for range benchPackets {
						if err := r.Read(&rec); err != nil {
							b.Fatal(err)
						}
					}
				})
				flood(b, theirs)
				theirsTook += took(func() {
					gate <- struct{}{}
					<-finished
				})
				packets += benchPackets
			}
			if got := r.Stats(); got.Packets != uint64(packets) || got.Lost != 0 {
				b.Fatalf("%+v of %d packets", got, packets)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(oursTook.Nanoseconds())/float64(packets), "ours-ns/packet")
			b.ReportMetric(float64(theirsTook.Nanoseconds())/float64(packets), "go-nflog-ns/packet")
			b.ReportMetric(float64(theirsTook)/float64(oursTook), "ratio")
		})
	}
}

// logSent logs packets in the output hook, so that logging is finished when send
// returns, and drops them in the input hook.
func logSent(b *testing.B, n *netns.NS, port, group uint16) {
	addRule(b, n, nftables.ChainHookOutput, append(toUDP(port), logTo([]uint16{group})...))
	logUDP(b, n, port)
}

// flood sends benchPackets packets, and waits until the timeout has made the kernel
// deliver the last batch, which may be incomplete.
func flood(b *testing.B, conn net.Conn) {
	data := numbered(0, 64)
	for range benchPackets {
		if _, err := conn.Write(data); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(3 * DefaultTimeout)
}

func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// BenchmarkReaderAllocations sends and reads packets, to show the number of
// allocations.
func BenchmarkReaderAllocations(b *testing.B) {
	n := netnstest.New(b)
	logUDP(b, n, 1005, 5)
	r, conn := open(b, n, Config{Groups: []uint16{5}, BusyThreshold: 1}), dial(b, n, 1005)
	data := numbered(0, 64)
	var rec Record
	b.ReportAllocs()
	for b.Loop() {
		conn.Write(data)
		if err := r.Read(&rec); err != nil {
			b.Fatal(err)
		}
	}
}
