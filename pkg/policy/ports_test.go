package policy

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// socketLine writes a line of /proc/net/tcp as this host's kernel would.
func socketLine(local, state string) string {
	ap := netip.MustParseAddrPort(local)
	b := ap.Addr().AsSlice()
	var words strings.Builder
	for i := 0; i < len(b); i += 4 {
		fmt.Fprintf(&words, "%08X", binary.NativeEndian.Uint32(b[i:]))
	}
	peer := strings.Repeat("0", words.Len()) + ":0000"
	return fmt.Sprintf("   0: %s:%04X %s %s 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0\n",
		words.String(), ap.Port(), peer, state)
}

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestPortsInUse(t *testing.T) {
	proc := fstest.MapFS{
		"tcp": {Data: []byte(heading +
			socketLine("0.0.0.0:22", "0A") +
			socketLine("192.0.2.1:8080", "0A") +
			socketLine("127.0.0.1:631", "0A") +
			socketLine("127.1.2.3:632", "0A") +
			socketLine("192.0.2.1:50000", "01") + // established
			socketLine("192.0.2.1:50001", "06"))}, // TIME_WAIT
		"tcp6": {Data: []byte(heading +
			socketLine("[::]:22", "0A") +
			socketLine("[::1]:6010", "0A") +
			socketLine("[::ffff:127.0.0.1]:6011", "0A") +
			socketLine("[2001:db8::1]:443", "0A"))},
		"udp": {Data: []byte(heading +
			socketLine("0.0.0.0:68", "07") +
			socketLine("192.0.2.1:40000", "01") + // a client's
			socketLine("127.0.0.53:53", "07"))},
		// No udp6, as on a host without IPv6.
	}
	got, err := PortsInUse(proc)
	if err != nil {
		t.Fatal(err)
	}
	want := map[port.Range]bool{
		port.Single(packet.TCP, 22):   true,
		port.Single(packet.TCP, 443):  true,
		port.Single(packet.TCP, 8080): true,
		port.Single(packet.UDP, 68):   true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
}

func TestPortsInUseReportsWhatItCannotRead(t *testing.T) {
	for _, line := range []string{
		"0: 0100007F 0:0 0A",
		"0: 0100007F:XX 0:0 0A",
		"0: 0100007:0016 0:0 0A",
		"0: 01007F:0016 0:0 0A",
		strings.Repeat("x", 1<<17),
	} {
		got, err := PortsInUse(fstest.MapFS{"tcp": {Data: []byte(heading + line + "\n")}})
		if err == nil || got != nil {
			t.Errorf("%.40q: %v, %v", line, got, err)
		}
	}
	if _, err := PortsInUse(fstest.MapFS{"tcp": {Mode: fs.ModeDir}}); err == nil {
		t.Error("no error for a directory")
	}
}

func TestPortsInUseOfWhatIsNotThereAreUnknown(t *testing.T) {
	if got, err := PortsInUse(fstest.MapFS{}); got != nil || err != nil {
		t.Errorf("%v, %v; want nothing, and not an empty host", got, err)
	}
	if got, err := PortsInUse(fstest.MapFS{"udp": {Data: []byte(heading)}}); got == nil || len(got) > 0 || err != nil {
		t.Errorf("%v, %v; want a host on which nothing listens", got, err)
	}
}

func FuzzPortsInUse(f *testing.F) {
	f.Add(heading + socketLine("0.0.0.0:22", "0A") + socketLine("[::1]:80", "0A"))
	f.Add("0: 0100007F:0016 x 0A")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := PortsInUse(fstest.MapFS{"tcp6": {Data: []byte(text)}, "udp": {Data: []byte(text)}})
		if err != nil && got != nil {
			t.Errorf("an error and ports: %v, %v", got, err)
		}
		for el := range got {
			if el.First == 0 {
				t.Errorf("port 0 is in use")
			}
		}
	})
}
