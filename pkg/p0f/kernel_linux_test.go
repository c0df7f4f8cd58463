package p0f

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
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

// buffersFile has the SYNs of Linux 6.18 under all settings of kernelSettings.
// TestRunningKernelIsInItsLabel writes it.
const buffersFile = "testdata/linux-6.18-buffers.pcap"

// release is a version of Linux, such as 6.18.
type release struct{ major, minor int }

func (r release) before(s release) bool {
	return r.major < s.major || r.major == s.major && r.minor < s.minor
}

var (
	inParentheses = regexp.MustCompile(` *\([^)]*\)`)
	versionRange  = regexp.MustCompile(`(\d+)\.(\d+)(?:\.\d+)?(?: (to) (\d+)\.(\d+)| (or newer))?`)
)

// admits reports whether a label of Linux includes a release. A label without versions
// includes all, and so does "or newer with a small buffer" all from the version before it.
func admits(flavour string, r release) bool {
	text := inParentheses.ReplaceAllString(flavour, "")
	ranges := versionRange.FindAllStringSubmatch(text, -1)
	for _, m := range ranges {
		number := func(i int) int { n, _ := strconv.Atoi(m[i]); return n }
		first := release{number(1), number(2)}
		last := first
		if m[3] != "" {
			last = release{number(4), number(5)}
		}
		open := m[6] != "" || strings.Contains(text, ", or newer")
		if !r.before(first) && (open || !last.before(r)) {
			return true
		}
	}
	return len(ranges) == 0
}

func TestAdmits(t *testing.T) {
	for _, test := range []struct {
		flavour string
		release release
		want    bool
	}{
		{"", release{6, 18}, true},
		{"(Android or tuned)", release{6, 18}, true},
		{"4.19 or newer (64 KiB buffer), or illumos", release{6, 18}, true},
		{"4.19 or newer", release{4, 18}, false},
		{"3.10 to 4.19", release{6, 18}, false},
		{"3.10 to 4.19", release{4, 9}, true},
		{"3.10 to 4.19, or newer with a small buffer", release{6, 18}, true},
		{"3.10 to 4.19, or newer with a small buffer", release{3, 9}, false},
		{"6.6 to 6.9", release{6, 18}, false},
		{"6.6 to 6.9, or 4.19 or newer with a small buffer", release{5, 15}, true},
		{"2.6", release{6, 18}, false},
		{"2.6.32 to 3.10", release{3, 2}, true},
	} {
		if got := admits(test.flavour, test.release); got != test.want {
			t.Errorf("admits(%q, %v) = %v", test.flavour, test.release, got)
		}
	}
}

// checkAdmits checks the answer to a SYN of Linux: an exact or generic one must name
// Linux, and no label may leave out the kernel that sent the SYN.
func checkAdmits(t *testing.T, p *packet.Packet, r release) string {
	t.Helper()
	db := Builtin()
	m := db.Match(p)
	label, s := db.Label(m.Label), seen(p)
	if m.Confidence > Low && label.Family != "linux" {
		t.Errorf("%v, of Linux, is called %s", s, answer(db, p))
	}
	if label.Family == "linux" && !admits(label.Flavour, r) {
		t.Errorf("%v, of Linux %d.%d, is called %s", s, r.major, r.minor, answer(db, p))
	}
	return answer(db, p)
}

// A label includes the kernel that sent the SYN, whatever set the window.
func TestLinuxIsInItsLabel(t *testing.T) {
	count := map[string]int{}
	for _, name := range []string{"testdata/linux-6.18.pcap", buffersFile} {
		for _, p := range decodePcap(t, name) {
			count[checkAdmits(t, &p, release{6, 18})]++
		}
	}
	logCounts(t, count)
}

// kernelSetting is something that changes the window of a SYN. Zero fields change
// nothing.
type kernelSetting struct {
	rmem     string // net.ipv4.tcp_rmem
	rcvbuf   int    // SO_RCVBUF
	clamp    int    // TCP_WINDOW_CLAMP
	initrwnd int    // of the route
	window   int    // of the route
	mtu      int
}

// kernelSettings are what programs, distributions and tuning guides set.
func kernelSettings() []kernelSetting {
	var all []kernelSetting
	for _, n := range []int{2048, 4096, 8192, 12000, 16384, 29200, 32768, 43800, 65535, 65536, 87380, 131072, 262144, 1 << 20} {
		all = append(all, kernelSetting{rcvbuf: n})
	}
	for _, first := range []int{8192, 11680, 12288, 16384, 29200, 32768, 58400, 65536, 87380, 131072, 262144} {
		for _, most := range []int{262144, 4 << 20, 6 << 20, 16 << 20, 32 << 20, 128 << 20} {
			all = append(all, kernelSetting{rmem: fmt.Sprint(4096, first, most)})
		}
	}
	for _, n := range []int{2, 3, 4, 5, 10, 11, 20, 22, 60} {
		all = append(all, kernelSetting{initrwnd: n}, kernelSetting{initrwnd: n, rmem: "4096 131072 6291456"})
	}
	for _, n := range []int{4096, 5840, 14600, 16384, 29200, 32767, 32768, 64240, 65535, 1 << 20} {
		all = append(all, kernelSetting{window: n}, kernelSetting{clamp: min(n, 65535)})
	}
	for _, mtu := range []int{1280, 1400, 1420, 1492, 4096, 9000, 9001} {
		all = append(all, kernelSetting{mtu: mtu}, kernelSetting{mtu: mtu, rcvbuf: 16384}, kernelSetting{mtu: mtu, rcvbuf: 87380},
			kernelSetting{mtu: mtu, rmem: "4096 65536 6291456"}, kernelSetting{mtu: mtu, rmem: "4096 87380 6291456"},
			kernelSetting{mtu: mtu, initrwnd: 3, rmem: "4096 131072 6291456"})
	}
	return all
}

// kernelLab is a host whose SYNs are captured, and one that refuses all connections.
type kernelLab struct {
	host   *netns.NS
	reader *capture.LiveReader
}

const (
	labDevice = "eth0"
	labPeer4  = "192.0.2.2"
	labPeer6  = "2001:db8::2"
	labRmem   = "4096 131072 33554432" // the default of 6.18 with 4 GB or more
	labMTU    = 1500
)

func newKernelLab(t *testing.T) *kernelLab {
	l := &kernelLab{host: netnstest.New(t)}
	peer := netnstest.New(t)
	netnstest.Connect(t, l.host, peer, labDevice, []string{"192.0.2.1/24", "2001:db8::1/64"}, []string{labPeer4 + "/24", labPeer6 + "/64"})
	netnstest.Do(t, peer, func() error { return setMTU(9001) })
	netnstest.Do(t, l.host, func() (err error) {
		l.reader, err = capture.Live(labDevice)
		return err
	})
	t.Cleanup(func() { l.reader.Close() })
	return l
}

func setMTU(mtu int) error {
	link, err := netlink.LinkByName(labDevice)
	if err != nil {
		return err
	}
	return netlink.LinkSetMTU(link, mtu)
}

// apply makes the settings that are not the socket's.
func (l *kernelLab) apply(t *testing.T, s kernelSetting) {
	t.Helper()
	if s.rmem == "" {
		s.rmem = labRmem
	}
	if s.mtu == 0 {
		s.mtu = labMTU
	}
	if err := l.host.Sysctl("net/ipv4/tcp_rmem", s.rmem); err != nil {
		t.Fatal(err)
	}
	netnstest.Do(t, l.host, func() error {
		if err := setMTU(s.mtu); err != nil {
			return err
		}
		link, err := netlink.LinkByName(labDevice)
		if err != nil {
			return err
		}
		for _, peer := range []string{labPeer4 + "/32", labPeer6 + "/128"} {
			_, dst, _ := net.ParseCIDR(peer)
			route := netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, InitRwnd: s.initrwnd, Window: s.window}
			if err := netlink.RouteReplace(&route); err != nil {
				return fmt.Errorf("route %+v: %w", route, err)
			}
		}
		return nil
	})
}

// syn connects to the peer and returns the SYN.
func (l *kernelLab) syn(t *testing.T, s kernelSetting, peer string) []byte {
	t.Helper()
	const patience = 20 * time.Second // far longer than a SYN takes
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return cmpErr(c.Control(func(fd uintptr) {
			if s.rcvbuf != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, s.rcvbuf)
			}
			if s.clamp != 0 {
				err = cmpErr(err, unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, s.clamp))
			}
		}), err)
	}}
	netnstest.Do(t, l.host, func() error {
		conn, err := dialer.Dial("tcp", net.JoinHostPort(peer, "4711"))
		if err == nil {
			conn.Close()
			return fmt.Errorf("%s accepts connections", peer)
		}
		if !strings.Contains(err.Error(), "refused") {
			return err
		}
		return nil
	})
	late := time.AfterFunc(patience, func() { l.reader.Close() })
	defer late.Stop()
	_, b, err := l.reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

// cmpErr returns the first error.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// runningRelease returns the release of the kernel that the test runs on.
func runningRelease(t *testing.T) release {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var r release
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &r.major, &r.minor); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLinuxIsInItsLabel for the kernel that the test runs on. With -update on Linux 6.18
// it writes the SYNs for TestLinuxIsInItsLabel.
//
// With timestamps and scaling off, IPv6 is left out: Linux then looks like the last of
// Windows' unanswered SYNs, and the table says Windows (docs/fingerprints.md).
func TestRunningKernelIsInItsLabel(t *testing.T) {
	l, r := newKernelLab(t), runningRelease(t)
	count := map[string]int{}
	var syns [][]byte
	for _, off := range []string{"", "tcp_timestamps", "tcp_sack", "tcp_window_scaling", "tcp_sack tcp_timestamps", "tcp_timestamps tcp_window_scaling"} {
		for _, name := range strings.Fields("tcp_timestamps tcp_sack tcp_window_scaling") {
			value := "1"
			if strings.Contains(off, name) {
				value = "0"
			}
			if err := l.host.Sysctl("net/ipv4/"+name, value); err != nil {
				t.Fatal(err)
			}
		}
		peers := []string{labPeer4, labPeer6}
		if off == "tcp_timestamps tcp_window_scaling" {
			peers = peers[:1]
		}
		for _, s := range kernelSettings() {
			l.apply(t, s)
			for _, peer := range peers {
				b := l.syn(t, s, peer)
				var p packet.Packet
				if err := packet.Decode(b, &p); err != nil || p.Dst.String() != peer {
					t.Fatalf("% x: %v", b, err)
				}
				syns = append(syns, b)
				count[checkAdmits(t, &p, r)]++
			}
		}
	}
	logCounts(t, count)
	if *update && r == (release{6, 18}) {
		if err := os.WriteFile(buffersFile, rawPcap(syns), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rawPcap returns a capture of the distinct kinds of packets among all, each from the IP
// header on. Packets of one kind differ in nothing that a match depends on.
func rawPcap(all [][]byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4) // version 2.4
	for _, field := range []uint32{0, 0, 1 << 16, 101} {
		b = le.AppendUint32(b, field) // time zone, accuracy, snapshot length, raw IP
	}
	known := map[Signature]bool{}
	for _, raw := range all {
		var p packet.Packet
		if err := packet.Decode(raw, &p); err != nil || known[seen(&p)] {
			continue
		}
		known[seen(&p)] = true
		for _, field := range []uint32{0, 0, uint32(len(raw)), uint32(len(raw))} {
			b = le.AppendUint32(b, field) // seconds, microseconds, lengths
		}
		b = append(b, raw...)
	}
	return b
}
