package nflog

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func TestTenThousandPacketsWithoutLoss(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
	}{
		{"one by one", Config{BusyThreshold: 1}},
		{"adapting", Config{}},
		{"in batches", Config{QueueThreshold: 32}},
		{"in batches of whole packets", Config{QueueThreshold: 100, CopyRange: maxCopyRange}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := netnstest.New(t)
			logUDP(t, n, 1005, 5)
			tt.config.Groups = []uint16{5}
			r, conn := open(t, n, tt.config), dial(t, n, 1005)
			const packets = 10_000
			go func() {
				for i := range packets {
					if _, err := conn.Write(numbered(i, 64)); err != nil {
						t.Error(err)
					}
				}
			}()
			var rec Record
			for i := range packets {
				if err := r.Read(&rec); err != nil {
					t.Fatal(err)
				}
				if got := number(t, &rec); got != i {
					t.Fatalf("read packet %d, want %d", got, i)
				}
			}
			stats := r.Stats()
			t.Logf("%d datagrams", stats.Datagrams)
			stats.Datagrams = 0
			if diff := cmp.Diff(Stats{Packets: packets}, stats); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

// At each packet read, the packets read and those counted as lost add up to the packets
// sent before it.
func TestOverrunCountsEveryLostPacket(t *testing.T) {
	for _, tt := range []struct {
		name      string
		threshold uint32
	}{{"one by one", 1}, {"in batches", 8}} {
		t.Run(tt.name, func(t *testing.T) {
			n := netnstest.New(t)
			logUDP(t, n, 1005, 5)
			r := open(t, n, Config{Groups: []uint16{5}, ReceiveBuffer: 8 << 10,
				QueueThreshold: tt.threshold, BusyThreshold: tt.threshold})
			conn := dial(t, n, 1005)
			sent := 0
			for ; sent < 1000; sent++ {
				send(t, conn, numbered(sent, 64))
			}
			// After an overrun the kernel drops everything until the queue is
			// empty (netlink_rcv_wake clears NETLINK_S_CONGESTED). So a packet is
			// delivered only after the last queued one was read.
			came := make(chan struct{})
			go func() {
				for {
					select {
					case <-came:
						return
					default:
						conn.Write(numbered(sent, 64))
						sent++
					}
				}
			}()
			var rec Record
			for i := -1; i < 1000; {
				if err := r.Read(&rec); err != nil {
					t.Fatal(err)
				}
				i = number(t, &rec)
				if got := r.Stats(); got.Packets+got.Lost != uint64(i)+1 || uint64(rec.Seq) != uint64(i) {
					t.Fatalf("at packet %d, numbered %d: %+v", i, rec.Seq, got)
				}
			}
			close(came)
			got := r.Stats()
			if got.Lost == 0 || got.Overruns == 0 || got.Malformed != 0 {
				t.Errorf("stats: %+v", got)
			}
			t.Logf("%+v", got)
		})
	}
}

func TestFastPacketsAreDeliveredInBatches(t *testing.T) {
	n := netnstest.New(t)
	logUDP(t, n, 1005, 5)
	r, conn := open(t, n, Config{Groups: []uint16{5}}), dial(t, n, 1005)
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	flooding.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				conn.Write(numbered(0, 64))
			}
		}
	})
	// Each loop ends with the test's timeout if its condition is never met.
	var rec Record
	for batched := false; !batched; {
		before := r.Stats()
		for range 3200 {
			if err := r.Read(&rec); err != nil {
				t.Fatal(err)
			}
		}
		batched = r.Stats().Datagrams-before.Datagrams < 3200/16
	}
	close(stop)
	flooding.Wait()

	send(t, conn, numbered(1, 64))
	for rec.Payload[udpHeaders+7] != 1 {
		if err := r.Read(&rec); err != nil {
			t.Fatal(err)
		}
	}
	for r.pace.busy {
		send(t, conn, numbered(0, 64))
		read(t, r)
	}
	before := r.Stats()
	for range 2 {
		send(t, conn, numbered(0, 64))
	}
	for range 2 {
		read(t, r)
	}
	after := r.Stats()
	if got := after.Datagrams - before.Datagrams; got != 2 || after.Refused != 0 {
		t.Errorf("two packets after the flood came in %d datagrams, %+v", got, after)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	n := netnstest.New(t)
	logUDP(t, n, 1005, 5)
	r, conn := open(t, n, Config{Groups: []uint16{5}, BusyThreshold: 1}), dial(t, n, 1005)
	var rec Record
	data := numbered(1, 64)
	if got := testing.AllocsPerRun(1000, func() {
		conn.Write(data)
		if err := r.Read(&rec); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations per packet", got)
	}
}

func TestPacketsAreCutAtTheCopyRange(t *testing.T) {
	for _, tt := range []struct{ copyRange, data, want int }{
		{0, 1000, DefaultCopyRange},
		{100, 1000, 100},
		{100, 50, udpHeaders + 50},
		{maxCopyRange, 60_000, udpHeaders + 60_000},
		{maxCopyRange, 65_507, maxCopyRange},
	} {
		n := netnstest.New(t)
		logUDP(t, n, 1005, 5)
		r := open(t, n, Config{Groups: []uint16{5}, CopyRange: uint32(tt.copyRange)})
		send(t, dial(t, n, 1005), make([]byte, tt.data))
		if rec := read(t, r); len(rec.Payload) != tt.want {
			t.Errorf("copy range %d, data %d: payload of %d bytes, want %d", tt.copyRange, tt.data, len(rec.Payload), tt.want)
		}
	}
}

func TestReceiveBuffer(t *testing.T) {
	n := netnstest.New(t)
	// The kernel doubles what it is asked for, to have room for its own
	// bookkeeping.
	size := func(r *Reader) int {
		doubled, err := r.conn.ReadBuffer()
		if err != nil {
			t.Fatal(err)
		}
		return doubled / 2
	}
	if got := size(open(t, n, Config{Groups: []uint16{1}, ReceiveBuffer: 100_000})); got != 100_000 {
		t.Errorf("asked for 100000 bytes, got %d", got)
	}
	if got := size(open(t, n, Config{Groups: []uint16{2}, ReceiveBuffer: 1 << 30})); got <= 0 || got > 1<<30 {
		t.Errorf("asked for 1 GiB, got %d", got)
	}
}

func TestDatagramsOfOtherProcessesAreRefused(t *testing.T) {
	n := netnstest.New(t)
	logUDP(t, n, 1005, 5)
	r := open(t, n, Config{Groups: []uint16{5}})
	forged := appendPacket(nil, Record{Group: 5, Seq: 7, Payload: []byte("forged")})
	netnstest.Do(t, n, func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Sendto(fd, forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: r.conn.PID()})
	})
	send(t, dial(t, n, 1005), numbered(3, 8))
	rec := read(t, r)
	if got := number(t, &rec); got != 3 {
		t.Errorf("read packet %d, want 3", got)
	}
	if diff := cmp.Diff(Stats{Packets: 1, Datagrams: 1, Foreign: 1}, r.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestCloseFreesTheGroups(t *testing.T) {
	n := netnstest.New(t)
	for range 20 {
		r := open(t, n, Config{Groups: []uint16{5, 6}})
		result := make(chan error, 1)
		go func() {
			var rec Record
			result <- r.Read(&rec)
		}()
		waitBlocked("nflog.(*Reader).Read(")
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		// Opening again must succeed at once, before the goroutine in Read is
		// waited for.
		open(t, n, Config{Groups: []uint16{5, 6}}).Close()
		<-result
	}
}

// A failed Open unbinds the groups that it had bound.
func TestFailedOpenFreesTheGroups(t *testing.T) {
	n := netnstest.New(t)
	held := open(t, n, Config{Groups: []uint16{6}})
	if err := openError(t, n, 5, 6); !errors.Is(err, ErrGroupTaken) {
		t.Fatal(err)
	}
	held.Close()
	open(t, n, Config{Groups: []uint16{5, 6}})
}

// openError opens the groups inside n and returns the error.
func openError(t *testing.T, n *netns.NS, groups ...uint16) (err error) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		var r *Reader
		if r, err = Open(Config{Groups: groups}); err == nil {
			r.Close()
		}
		return nil
	})
	return err
}

func TestGroupTaken(t *testing.T) {
	for _, tt := range []struct {
		name string
		hold func(*testing.T, *netns.NS)
	}{
		{"by this process", func(t *testing.T, n *netns.NS) { open(t, n, Config{Groups: []uint16{5}}) }},
		{"by another process", func(t *testing.T, n *netns.NS) { startHolder(t, n, 5) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := netnstest.New(t)
			tt.hold(t, n)
			err := openError(t, n, 5)
			if !errors.Is(err, ErrGroupTaken) {
				t.Fatalf("open: %v, want ErrGroupTaken", err)
			}
			for _, part := range []string{"group 5", "ulogd2", "netlink port", "[nflog]", "/proc/net/netfilter/nfnetlink_log"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
			if err := openError(t, n, 4); err != nil {
				t.Errorf("a free group: %v", err)
			}
		})
	}
}

func TestGroupTakenByTheSameSocket(t *testing.T) {
	n := netnstest.New(t)
	r := open(t, n, Config{Groups: []uint16{5}})
	if err := r.ask(r.config.bindRequest(5)); !errors.Is(err, unix.EBUSY) {
		t.Errorf("second bind: %v, want EBUSY", err)
	}
	if err := r.bind(5); !errors.Is(err, ErrGroupTaken) {
		t.Errorf("second bind: %v, want ErrGroupTaken", err)
	}
}

func TestPermissionMissing(t *testing.T) {
	n := netnstest.New(t)
	open(t, n, Config{Groups: []uint16{5}})
	for _, group := range []uint16{4, 5} { // free, taken
		var err error
		withoutCapabilities(t, n, func() {
			var r *Reader
			if r, err = Open(Config{Groups: []uint16{group}}); err == nil {
				r.Close()
			}
		})
		if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), "AmbientCapabilities") {
			t.Errorf("group %d: %v, want ErrPermission", group, err)
		}
	}
}

// withoutCapabilities runs f inside n on a thread without effective
// capabilities.
func withoutCapabilities(t *testing.T, n *netns.NS, f func()) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var had [2]unix.CapUserData
		if err := unix.Capget(&hdr, &had[0]); err != nil {
			return os.NewSyscallError("capget", err)
		}
		none := had
		none[0].Effective, none[1].Effective = 0, 0
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			return os.NewSyscallError("capset", err)
		}
		f()
		return os.NewSyscallError("capset", unix.Capset(&hdr, &had[0]))
	})
}

func TestOpenSucceedsUnderFlood(t *testing.T) {
	n := netnstest.New(t)
	logUDP(t, n, 1005, 5, 6, 7)
	conn := dial(t, n, 1005)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				conn.Write(numbered(0, 64))
			}
		}
	})
	for range 100 {
		// The flood keeps the receive buffer full.
		r := open(t, n, Config{Groups: []uint16{5, 6, 7}, ReceiveBuffer: 4 << 10})
		seen := map[uint16]bool{}
		for len(seen) < 3 {
			seen[read(t, r).Group] = true
		}
		r.Close()
	}
	close(stop)
	wg.Wait()
}
