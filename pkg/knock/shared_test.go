package knock_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/knock"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

func TestSharedSequence(t *testing.T) {
	const article = "tcp/50053, udp/6020, icmp, icmp, tcp/24034, udp/9680"
	abc := access(t, "tcp/1000, udp/2000, tcp/3000")
	with := func(change func(*knock.Access)) knock.Access {
		a := abc
		change(&a)
		return a
	}
	withShared := func(change func(*knock.Shared)) knock.Access {
		return with(func(a *knock.Access) { alter(a, change) })
	}
	timed := withShared(func(a *knock.Shared) {
		a.MinInterval, a.MaxInterval, a.Within = 3*time.Second, 6*time.Second, 10*time.Second
	})
	for _, c := range []struct {
		name   string
		access knock.Access
		trace  string
		want   string
	}{
		{"ok in order", abc, "0s tcp/1000, 1s udp/2000, 2s tcp/3000", "granted"},
		{"ok all at once", abc, "0s tcp/1000, 0s udp/2000, 0s tcp/3000", "granted"},
		{"ok the article's", access(t, article),
			"0s tcp/50053, 1s udp/6020, 2s icmp, 3s icmp, 4s tcp/24034, 5s udp/9680", "granted"},
		{"ok twice in a row", abc,
			"0s tcp/1000, 1s udp/2000, 2s tcp/3000, 7001ms tcp/1000, 8s udp/2000, 9s tcp/3000", "granted, granted"},
		{"ok among other ports", abc,
			"0s tcp/1000, 1s tcp/80, 1s udp/53, 2s udp/2000, 2s icmp, 3s tcp/3000", "granted"},
		{"bad two of three", abc, "0s tcp/1000, 1s udp/2000", ""},
		{"bad other protocol", abc, "0s tcp/1000, 1s tcp/2000, 2s tcp/3000, 3s udp/3000", ""},

		{"ok every packet twice", abc,
			"0s tcp/1000, 1ms tcp/1000, 1s udp/2000, 1001ms udp/2000, 2s tcp/3000, 2001ms tcp/3000", "granted"},
		{"ok retransmitted SYN between", abc, "0s tcp/1000, 900ms udp/2000, 1s tcp/1000, 2s tcp/3000", "granted"},
		{"ok late copy of a datagram", abc, "0s tcp/1000, 1s udp/2000, 1900ms udp/2000, 2s tcp/3000", "granted"},
		{"ok neighbours swapped", abc, "0s udp/2000, 50ms tcp/1000, 60ms tcp/3000", "granted"},
		{"ok last two swapped", abc, "0s tcp/1000, 1s tcp/3000, 1100ms udp/2000", "granted"},
		{"ok swapped and doubled", abc,
			"0s tcp/1000, 1s tcp/3000, 1s tcp/3000, 1050ms udp/2000, 1060ms udp/2000", "granted"},
		{"ok the article's, neighbours swapped", access(t, article),
			"0s udp/6020, 10ms tcp/50053, 20ms icmp, 30ms tcp/24034, 40ms icmp, 50ms udp/9680", "granted"},
		{"bad swapped beyond reorder", abc, "0s tcp/1000, 1s tcp/3000, 1101ms udp/2000", "2: sequence out of order"},
		{"bad order reversed", abc, "0s tcp/3000, 1s udp/2000, 2s tcp/1000", "1: sequence out of order"},
		{"bad wrong order then the missing one", abc,
			"0s tcp/1000, 1s tcp/3000, 2s udp/2000, 3s tcp/3000", "2: sequence out of order"},
		{"ok begun anew after wrong order", abc,
			"0s tcp/1000, 1s tcp/3000, 2s tcp/1000, 3s udp/2000, 4s tcp/3000", "2: sequence out of order, granted"},

		{"ok begun anew half way", abc,
			"0s tcp/1000, 1s udp/2000, 30s tcp/1000, 31s udp/2000, 32s tcp/3000", "granted"},
		{"ok begun anew just before time is up", abc,
			"0s tcp/1000, 58s tcp/1000, 59s udp/2000, 61s tcp/3000", "granted"},
		{"ok within a minute", abc, "0s tcp/1000, 30s udp/2000, 60s tcp/3000", "granted"},
		{"bad beyond a minute", abc, "0s tcp/1000, 30s udp/2000, 60001ms tcp/3000", "2: packets too far apart"},
		{"ok old beginning, new knock", abc,
			"0s tcp/1000, 90s tcp/1000, 91s udp/2000, 92s tcp/3000", "1: sequence not completed, granted"},

		{"ok timed", timed, "0s tcp/1000, 3s udp/2000, 7s tcp/3000", "granted"},
		{"ok timed, with retransmissions", timed,
			"0s tcp/1000, 1s tcp/1000, 3s tcp/1000, 3100ms udp/2000, 3200ms udp/2000, 6200ms tcp/3000", "granted"},
		{"bad too fast", timed, "0s tcp/1000, 2999ms udp/2000, 6s tcp/3000", "1: packets too close together"},
		{"bad too slow", timed, "0s tcp/1000, 6001ms udp/2000", "1: packets too far apart"},
		{"bad too long in all", withShared(func(a *knock.Shared) { a.Within = 5 * time.Second }),
			"0s tcp/1000, 3s udp/2000, 6s tcp/3000", "2: packets too far apart"},
		{"bad swapped where intervals are kept", timed, "0s tcp/1000, 4s tcp/3000, 4050ms udp/2000", "2: packets too close together"},
		{"ok begun anew after too slow", timed,
			"0s tcp/1000, 7s tcp/1000, 11s udp/2000, 15s tcp/3000", "granted"},
		{"ok doubled echo under an interval",
			withShared(func(a *knock.Shared) {
				a.Sequence, a.MinInterval = sequence(t, "icmp, icmp, tcp/1000"), 3*time.Second
			}),
			"0s icmp, 1ms icmp, 3s icmp, 6s tcp/1000", "granted"},

		{"ok an element again later", access(t, "tcp/1000, tcp/2000, tcp/1000"),
			"0s tcp/1000, 1s tcp/2000, 2s tcp/1000", "granted"},
		{"ok an element again later, first one retransmitted", access(t, "tcp/1000, tcp/2000, tcp/1000"),
			"0s tcp/1000, 1s tcp/1000, 1500ms tcp/2000, 2500ms tcp/1000", "granted"},

		{"bad tripwire", abc, "0s tcp/1000, 1s udp/2000, 2s tcp/666, 3s tcp/3000", "2: sent a packet to a tripwire port"},
		{"bad knock right after a tripwire", abc,
			"0s tcp/666, 1s tcp/1000, 1500ms udp/2000, 2s tcp/3000", "3: looks like a port scan"},
		{"ok knock some time after a tripwire", abc,
			"0s tcp/666, 8s tcp/1000, 8500ms udp/2000, 9s tcp/3000", "granted"},

		{"bad expired", with(func(a *knock.Access) { a.Expires = epoch.Add(time.Second) }),
			"0s tcp/1000, 1s udp/2000, 2s tcp/3000", "3: access has expired"},
		{"ok not yet expired", with(func(a *knock.Access) { a.Expires = epoch.Add(2 * time.Second) }),
			"0s tcp/1000, 1s udp/2000, 2s tcp/3000", "granted"},
	} {
		for _, src := range []netip.Addr{alice, bob} {
			t.Run(fmt.Sprintf("%s/v%d", c.name, src.BitLen()), func(t *testing.T) {
				e := engine(t, knock.Config{
					Accesses:  []knock.Access{c.access},
					Tripwires: []port.Range{port.Single(packet.TCP, 666)},
				})
				if diff := cmp.Diff(c.want, play(t, e, src, c.trace)); diff != "" {
					t.Errorf("verdicts (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestSharedTwoAccessesAtOnce(t *testing.T) {
	one, two := access(t, "tcp/1000, tcp/2000"), access(t, "tcp/1000, tcp/3000")
	two.Name = "two"
	e := engine(t, knock.Config{Accesses: []knock.Access{one, two}})
	// Two people behind one NAT.
	if got := play(t, e, alice, "0s tcp/1000, 1s tcp/3000, 2s tcp/2000"); got != "granted, granted" {
		t.Errorf("%q, want both granted", got)
	}
}

// The options of the SYNs below.
var (
	linuxOptions   = []byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}
	windowsOptions = []byte{2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2}
)

func synOf(src netip.Addr, n uint16, ttl uint8, options []byte) *packet.Packet {
	p := touch(src, port.Single(packet.TCP, n))
	p.TTL, p.ID, p.DontFragment = ttl, 4711, true
	p.TCP.Seq, p.TCP.Window, p.TCP.Options = 1, 64240, options
	return p
}

func TestSharedEverySYNMustComeFromTheRequiredSystem(t *testing.T) {
	a := access(t, "tcp/1000, icmp, tcp/2000")
	a.RequireOS = regexp.MustCompile("(?i)linux")
	linux := func(n uint16) *packet.Packet { return synOf(alice, n, 64, linuxOptions) }
	windows := func(n uint16) *packet.Packet { return synOf(alice, n, 128, windowsOptions) }
	farAway := func(n uint16) *packet.Packet { return synOf(alice, n, 20, linuxOptions) }
	withoutDF := func(n uint16) *packet.Packet {
		p := linux(n)
		p.DontFragment = false
		return p
	}
	bare := func(n uint16) *packet.Packet {
		return touch(alice, port.Single(packet.TCP, n))
	}
	for _, c := range []struct {
		name          string
		first, second *packet.Packet
		confidence    p0f.Confidence
		want          string
	}{
		{"ok both", linux(1000), linux(2000), p0f.None, "granted"},
		{"bad first", windows(1000), linux(2000), p0f.None, "3: operating system does not match"},
		{"bad last", linux(1000), windows(2000), p0f.None, "3: operating system does not match"},
		{"bad unknown", linux(1000), bare(2000), p0f.None, "3: operating system does not match"},
		{"ok another TTL", linux(1000), farAway(2000), p0f.None, "granted"},
		{"bad low confidence", linux(1000), withoutDF(2000), p0f.None, "3: operating system does not match"},
		{"ok low confidence asked for", linux(1000), withoutDF(2000), p0f.Low, "granted"},
		{"bad no options, low confidence asked for", linux(1000), bare(2000), p0f.Low, "3: operating system does not match"},
		{"bad exact asked for", linux(1000), farAway(2000), p0f.Exact, "3: operating system does not match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.OSConfidence = c.confidence
			e := engine(t, knock.Config{Accesses: []knock.Access{a}, Fingerprints: p0f.Builtin()})
			e.Handle(epoch, c.first)
			e.Handle(epoch, touch(alice, port.Echo))
			verdicts := e.Handle(epoch, c.second)
			if len(verdicts) != 1 || say(verdicts[0]) != c.want {
				t.Errorf("%v, want %q", verdicts, c.want)
			}
		})
	}
}
