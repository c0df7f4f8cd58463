package nflog

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// seen holds the fields of a packet that both readers must agree on.
type seen struct {
	payload  []byte
	inDevice uint32
	seq      uint32
}

// listen starts go-nflog's own loop on a group, which calls hook with every packet
// until the test ends.
func listen(t testing.TB, n *netns.NS, c gonflog.Config, hook gonflog.HookFunc) {
	t.Helper()
	c.Copymode, c.Flags = gonflog.CopyPacket, gonflog.FlagSeq
	ctx, cancel := context.WithCancel(context.Background())
	var oracle *gonflog.Nflog
	netnstest.Do(t, n, func() (err error) {
		oracle, err = gonflog.Open(&c)
		if err != nil {
			return err
		}
		// Its Config.Bufsize is the copy range.
		oracle.Con.SetReadBuffer(DefaultReceiveBuffer)
		return oracle.RegisterWithErrorFunc(ctx, hook, func(error) int {
			if ctx.Err() != nil {
				return 1
			}
			return 0
		})
	})
	t.Cleanup(func() {
		cancel()
		oracle.Close()
	})
}

// The same packets are logged to a group that a Reader reads and to one that go-nflog
// reads. They arrive on two interfaces, so that InDevice differs, in both versions of
// IP.
func TestReadsWhatGoNflogReads(t *testing.T) {
	host, peer := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, host, peer, "a0", []string{"10.1.0.1/24", "fd01::1/64"}, []string{"10.1.0.2/24", "fd01::2/64"})
	netnstest.Connect(t, host, peer, "b0", []string{"10.2.0.1/24", "fd02::1/64"}, []string{"10.2.0.2/24", "fd02::2/64"})
	const copyRange = 256
	want := make(chan seen, 10_000)
	var stamped atomic.Bool
	listen(t, host, gonflog.Config{Group: 5, QThresh: 1, Bufsize: copyRange}, func(a gonflog.Attribute) int {
		s := seen{payload: *a.Payload, seq: *a.Seq}
		if a.InDev != nil {
			s.inDevice = *a.InDev
		}
		stamped.Store(a.Timestamp != nil)
		want <- s
		return 0
	})
	r := open(t, host, Config{Groups: []uint16{6}, CopyRange: copyRange})
	addRule(t, host, nftables.ChainHookPrerouting, append(logTo([]uint16{5, 6}), &expr.Verdict{Kind: expr.VerdictAccept}))

	before := time.Now().Add(-time.Microsecond)
	talk(t, peer)
	// The kernel also sends packets of its own, such as router solicitations, at
	// any time. They are logged before or after this packet, in the same order in
	// both groups.
	last := []byte("the last packet")
	send(t, dialTo(t, peer, "10.1.0.1:9"), last)
	after := time.Now()

	devices := map[uint32]int{}
	for {
		rec := read(t, r)
		got := seen{rec.Payload, rec.InDevice, rec.Seq}
		if diff := cmp.Diff(<-want, got, cmp.AllowUnexported(seen{})); diff != "" {
			t.Fatalf("packet %d (-go-nflog +ours):\n%s", rec.Seq, diff)
		}
		if stamped.Load() && !bytes.HasSuffix(rec.Payload, last) && (rec.Time.Before(before) || rec.Time.After(after)) {
			t.Errorf("packet %d: time %v, logged between %v and %v", rec.Seq, rec.Time, before, after)
		}
		devices[rec.InDevice]++
		if bytes.HasSuffix(rec.Payload, last) {
			break
		}
	}
	t.Logf("packets by device: %v, with the kernel's time: %v", devices, stamped.Load())
	if len(devices) < 2 || devices[0] != 0 {
		t.Errorf("packets by device: %v", devices)
	}
}

// talk sends datagrams of many sizes and opens connections that are refused.
func talk(t *testing.T, peer *netns.NS) {
	t.Helper()
	for _, addr := range []string{"10.1.0.1", "fd01::1", "10.2.0.1", "fd02::1"} {
		udp := dialTo(t, peer, netip.AddrPortFrom(netip.MustParseAddr(addr), 7).String())
		for size := range 300 {
			// The ICMP error about one datagram is the error of the next send.
			udp.Write(binary.BigEndian.AppendUint32(make([]byte, size), uint32(size)))
		}
		for port := range 20 {
			netnstest.Do(t, peer, func() error {
				conn, err := net.Dial("tcp", net.JoinHostPort(addr, fmt.Sprint(40_000+port)))
				if err == nil {
					conn.Close()
				}
				return nil
			})
		}
	}
}
