//go:build linux

package capture_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/capture"
	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }

// patience is a timeout for every wait, far longer than any takes.
const patience = 20 * time.Second

// last is the port of the last SYN that a test sends; seen stops at it.
const last = 9999

func live(t *testing.T, n *netns.NS, ifname string) *capture.LiveReader {
	t.Helper()
	var r *capture.LiveReader
	netnstest.Do(t, n, func() (err error) {
		r, err = capture.Live(ifname)
		return err
	})
	t.Cleanup(func() { r.Close() })
	return r
}

// seen reads up to the SYN to port last, and returns the addresses and ports that the
// SYNs before it went to.
func seen(t *testing.T, r *capture.LiveReader) []string {
	t.Helper()
	late := time.AfterFunc(patience, func() { r.Close() })
	defer late.Stop()
	var calls []string
	for {
		when, b, err := r.Next()
		if err != nil {
			t.Fatalf("after %v: %v", calls, err)
		}
		if age := time.Since(when); age < -time.Minute || age > time.Minute {
			t.Errorf("captured at %v, which is %v ago", when, age)
		}
		var p packet.Packet
		if err := packet.Decode(b, &p); err != nil {
			t.Fatalf("% x: %v", b, err)
		}
		if !p.PureSYN() {
			t.Errorf("no SYN: %+v", p)
		}
		if p.DstPort == last {
			return calls
		}
		calls = append(calls, netip.AddrPortFrom(p.Dst, p.DstPort).String())
	}
}

// call sends one SYN by connecting to a port without a listener.
func call(t *testing.T, n *netns.NS, addr string) {
	t.Helper()
	netnstest.Do(t, n, func() error {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err == nil {
			conn.Close()
			return fmt.Errorf("somebody listens to %s", addr)
		}
		if !errors.Is(err, unix.ECONNREFUSED) {
			return err
		}
		return nil
	})
}

// chat opens a TCP connection, sends data, closes it, and sends datagrams too.
func chat(t *testing.T, server, client *netns.NS, addr string) {
	t.Helper()
	var l net.Listener
	netnstest.Do(t, server, func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	defer l.Close()
	netnstest.Do(t, client, func() error {
		datagrams, err := net.Dial("udp", addr)
		if err != nil {
			return err
		}
		defer datagrams.Close()
		if _, err := datagrams.Write([]byte("hello")); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		other, err := l.Accept()
		if err != nil {
			return err
		}
		if _, err := io.WriteString(other, "hello"); err != nil {
			return err
		}
		other.Close()
		_, err = io.ReadAll(conn)
		return err
	})
}

func TestLiveGivesEachSYNOnceOnLoopback(t *testing.T) {
	host := netnstest.New(t)
	everywhere, loopback := live(t, host, ""), live(t, host, "lo")
	want := []string{"127.0.0.1:101", "[::1]:102", "127.0.0.1:103", "[::1]:104"}
	call(t, host, want[0])
	call(t, host, want[1])
	chat(t, host, host, want[2])
	chat(t, host, host, want[3])
	call(t, host, fmt.Sprint("127.0.0.1:", last))
	for name, r := range map[string]*capture.LiveReader{"everywhere": everywhere, "lo": loopback} {
		if got := seen(t, r); !slices.Equal(got, want) {
			t.Errorf("%s: seen %v, want %v", name, got, want)
		}
		if n := r.Lost(); n != 0 {
			t.Errorf("%s: %d lost", name, n)
		}
	}
}

func TestLiveGivesEachSYNOnceOnACable(t *testing.T) {
	server, client := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0",
		[]string{"10.3.2.1/24", "fd00::1/64"}, []string{"10.3.2.2/24", "fd00::2/64"})
	readers := map[string]*capture.LiveReader{
		"received":    live(t, server, ""),
		"received at": live(t, server, "eth0"),
		"sent":        live(t, client, ""),
		"sent at":     live(t, client, "eth0"),
	}
	elsewhere := live(t, server, "lo")
	want := []string{"10.3.2.1:101", "[fd00::1]:102", "10.3.2.1:103", "[fd00::1]:104"}
	call(t, client, want[0])
	call(t, client, want[1])
	chat(t, server, client, want[2])
	chat(t, server, client, want[3])
	call(t, client, fmt.Sprint("10.3.2.1:", last))
	for name, r := range readers {
		if got := seen(t, r); !slices.Equal(got, want) {
			t.Errorf("%s: seen %v, want %v", name, got, want)
		}
	}
	call(t, server, fmt.Sprint("127.0.0.1:", last))
	if got := seen(t, elsewhere); got != nil {
		t.Errorf("on another interface: %v", got)
	}
}

// The filter accepts and rejects forged packets.
func TestLiveFilter(t *testing.T) {
	const hop, routing, fragment, destination, tcp, udp = 0, 43, 44, 60, 6, 17
	syn := func(port uint16, flags byte) []byte {
		b := make([]byte, 20)
		binary.BigEndian.PutUint16(b[2:], port)
		b[12], b[13] = 5<<4, flags
		return b
	}
	four := func(fragment uint16, options, payload []byte) []byte {
		b := []byte{0x45, 0, 0, 0, 0, 7, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1}
		b[0] += byte(len(options) / 4)
		binary.BigEndian.PutUint16(b[6:], fragment)
		b = join(b, options, payload)
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		return b
	}
	datagram := func(b []byte) []byte { b[9] = udp; return b }
	six := func(next byte, payload ...[]byte) []byte {
		b := make([]byte, 40)
		b[0], b[6], b[7], b[23], b[39] = 0x60, next, 64, 1, 1
		b = join(append([][]byte{b}, payload...)...)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40))
		return b
	}
	padding := []byte{1, 4, 0, 0, 0, 0}
	extension := func(next byte) []byte { return join([]byte{next, 0}, padding) }
	long := func(next byte) []byte { return join([]byte{next, 1}, padding, []byte{1, 6, 0, 0, 0, 0, 0, 0}) }
	piece := func(next byte, offset uint16) []byte {
		return join([]byte{next, 0}, binary.BigEndian.AppendUint16(nil, offset), []byte{0, 0, 0, 9})
	}
	tests := []struct {
		name  string
		bytes []byte
		port  uint16
		seen  bool
	}{
		{"SYN", four(0, nil, syn(1, 0x02)), 1, true},
		{"SYN with ECN", four(0, nil, syn(2, 0xc2)), 2, true},
		{"SYN with URG and PSH", four(0, nil, syn(3, 0x2a)), 3, true},
		{"SYN with data", four(0, nil, join(syn(4, 0x02), []byte("data"))), 4, true},
		{"SYN behind IP options", four(0, []byte{148, 4, 0, 0}, syn(5, 0x02)), 5, true},
		{"SYN with DF", four(0x4000, nil, syn(6, 0x02)), 6, true},
		{"SYN, ACK", four(0, nil, syn(7, 0x12)), 7, false},
		{"SYN, FIN", four(0, nil, syn(8, 0x03)), 8, false},
		{"SYN, RST", four(0, nil, syn(9, 0x06)), 9, false},
		{"no flags", four(0, nil, syn(10, 0)), 10, false},
		{"first fragment", four(0x2000, nil, join(syn(11, 0x02), []byte("data"))), 11, false},
		{"later fragment", four(0x0003, nil, syn(12, 0x02)), 12, false},
		{"a datagram", datagram(four(0, nil, syn(14, 0x02))), 14, false},
		{"cut short", four(0, nil, syn(13, 0x02)[:12]), 13, false},

		{"SYN over IPv6", six(tcp, syn(21, 0x02)), 21, true},
		{"SYN behind hop-by-hop options", six(hop, extension(tcp), syn(22, 0x02)), 22, true},
		{"SYN behind destination options", six(destination, extension(tcp), syn(23, 0x02)), 23, true},
		{"SYN behind long options", six(destination, long(tcp), syn(24, 0x02)), 24, true},
		{"SYN as an atomic fragment", six(fragment, piece(tcp, 0), syn(25, 0x02)), 25, true},
		{"SYN behind a routing header", six(routing, extension(tcp), syn(34, 0x02)), 34, true},
		{"ACK over IPv6", six(tcp, syn(26, 0x10)), 26, false},
		{"ACK behind options", six(destination, extension(tcp), syn(27, 0x10)), 27, false},
		{"first fragment over IPv6", six(fragment, piece(tcp, 1), syn(28, 0x02)), 28, false},
		{"later fragment over IPv6", six(fragment, piece(tcp, 8), syn(29, 0x02)), 29, false},
		{"what looks like an extension", six(udp, extension(tcp), syn(30, 0x02)), 30, false},
		{"a datagram behind options", six(destination, extension(udp), syn(31, 0x02)), 31, false},
		{"two extensions", six(hop, extension(destination), extension(tcp), syn(32, 0x02)), 32, false},
		{"options cut short", six(destination, []byte{tcp}), 33, false},
	}
	host := netnstest.New(t)
	r := live(t, host, "")
	send := rawSender(t, host)
	var want []string
	for _, test := range tests {
		if err := send(test.bytes); err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		if addr := "127.0.0.1"; test.seen {
			if test.bytes[0]>>4 == 6 {
				addr = "[::1]"
			}
			want = append(want, fmt.Sprint(addr, ":", test.port))
		}
	}
	netnstest.Do(t, host, func() error { return sendExperimental(four(0, nil, syn(41, 0x02))) })
	call(t, host, fmt.Sprint("127.0.0.1:", last))
	if got := seen(t, r); !slices.Equal(got, want) {
		t.Errorf("seen %v\nwant %v", got, want)
	}
}

// rawSender returns a function that sends IP packets unchanged to the host's own
// loopback addresses.
func rawSender(t *testing.T, n *netns.NS) func([]byte) error {
	t.Helper()
	var fd4, fd6 int
	netnstest.Do(t, n, func() (err error) {
		if fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err == nil {
			fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		}
		return err
	})
	t.Cleanup(func() { unix.Close(fd4); unix.Close(fd6) })
	return func(b []byte) error {
		if b[0]>>4 == 6 {
			return unix.Sendto(fd6, b, 0, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16()})
		}
		return unix.Sendto(fd4, b, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
}

// sendExperimental sends bytes on the loopback interface with an EtherType that is not
// IP's: IEEE 802's for experiments.
func sendExperimental(b []byte) error {
	const etherType = 0x88b5
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType))
	return unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: lo.Index, Halen: 6})
}

func TestLiveCloseEndsNext(t *testing.T) {
	r := live(t, netnstest.New(t), "")
	ended := make(chan error)
	go func() {
		_, _, err := r.Next()
		ended <- err
	}()
	// Give Next time to block. If it has not, the test still passes but tests less.
	time.Sleep(50 * time.Millisecond)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, io.EOF) {
			t.Errorf("Next ends with %v, want EOF", err)
		}
	case <-time.After(patience):
		t.Fatal("Next did not end")
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next after Close: %v, want EOF", err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// Every SYN is either returned by Next or counted by Lost.
func TestLiveCountsLostSYNs(t *testing.T) {
	host := netnstest.New(t)
	r := live(t, host, "lo")
	send := rawSender(t, host)
	syn := make([]byte, 40)
	copy(syn, []byte{0x45, 0, 0, 40, 0, 7, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1})
	syn[23], syn[32], syn[33] = 1, 5<<4, 0x02
	sent, most := 0, 200_000
	for r.Lost() == 0 {
		if sent > most {
			t.Fatalf("nothing is lost of %d SYNs", sent)
		}
		for range 100 {
			if err := send(syn); err != nil {
				t.Fatal(err)
			}
		}
		sent += 100
	}
	const room = 100 // for the last SYN
	for range room {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	call(t, host, fmt.Sprint("127.0.0.1:", last))
	given := room + len(seen(t, r))
	lost := r.Lost()
	t.Logf("%d given and %d lost of %d", given, lost, sent)
	if uint64(given)+lost != uint64(sent) {
		t.Error("some are neither")
	}
	r.Close()
	if r.Lost() != lost {
		t.Errorf("%d lost after Close, %d before", r.Lost(), lost)
	}
}

func TestLiveNamesInterfaces(t *testing.T) {
	server, client := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0", []string{"10.3.2.1/24"}, []string{"10.3.2.2/24"})
	err := server.Do(func() error {
		_, err := capture.Live("eth7")
		return err
	})
	if want := `no interface "eth7": there are lo, eth0`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLiveEndsWithItsInterface(t *testing.T) {
	server, client := netnstest.New(t), netnstest.New(t)
	netnstest.Connect(t, server, client, "eth0", []string{"10.3.2.1/24"}, []string{"10.3.2.2/24"})
	r := live(t, server, "eth0")
	late := time.AfterFunc(patience, func() { r.Close() })
	defer late.Stop()
	netnstest.Do(t, client, func() error {
		cable, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(cable)
	})
	_, _, err := r.Next()
	if want := "live capture on eth0: the interface is down"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLiveSaysWhatItNeeds(t *testing.T) {
	host := netnstest.New(t)
	err := host.Do(func() error {
		return withoutCapability(unix.CAP_NET_RAW, func() error {
			_, err := capture.Live("lo")
			return err
		})
	})
	if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "live capture on lo: ") || !strings.Contains(err.Error(), "needs root or CAP_NET_RAW") {
		t.Errorf("without CAP_NET_RAW: %v", err)
	}
}

// withoutCapability runs f on a thread that lacks an effective capability.
func withoutCapability(capability int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var had [2]unix.CapUserData
	if err := unix.Capget(&header, &had[0]); err != nil {
		return err
	}
	lacks := had
	lacks[capability/32].Effective &^= 1 << (capability % 32)
	if err := unix.Capset(&header, &lacks[0]); err != nil {
		return err
	}
	return errors.Join(f(), unix.Capset(&header, &had[0]))
}
