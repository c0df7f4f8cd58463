//go:build interop

package spa

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }

// patience bounds every run of a program; they take a tenth of a second.
const patience = 30 * time.Second

// run runs a program of fwknop's inside a host and returns all it says. Whether it
// failed is not of interest: the client does after it has made a packet that its own
// library cannot read.
func run(t *testing.T, host *netns.NS, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := host.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); ctx.Err() != nil {
		t.Fatalf("%s: %v\n%s", name, err, out.String())
	}
	return out.String()
}

// said finds what fwknop and fwknopd print of a packet's field, "" if there is
// no such line. A field that is not in the packet is "<NULL>".
func said(out, field string) string {
	for line := range strings.Lines(out) {
		if name, value, ok := strings.Cut(line, ": "); ok && strings.TrimSpace(name) == field {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// saidOf are the fields of a message as fwknop and fwknopd print them.
func saidOf(m *Message) map[string]string {
	orNull := func(s string) string {
		if s == "" {
			return "<NULL>"
		}
		return s
	}
	return map[string]string{
		"Random Value":   m.Random,
		"Username":       m.User,
		"Timestamp":      strconv.FormatInt(m.Time.Unix(), 10),
		"FKO Version":    m.Version,
		"Message String": string(m.request()),
		"Nat Access":     orNull(m.NAT),
		"Server Auth":    orNull(m.ServerAuth),
		"Client Timeout": strconv.FormatInt(int64(m.Timeout/time.Second), 10),
		"Encoded Data":   string(m.text()),
	}
}

// checkSaid compares a message with what was printed of it.
func checkSaid(t *testing.T, m *Message, out string) {
	t.Helper()
	want := saidOf(m)
	got := map[string]string{}
	for field := range want {
		got[field] = said(out, field)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ours (-), fwknop's (+):\n%s\n%s", diff, out)
	}
	if kind := fmt.Sprintf("%d ", m.Type); !strings.HasPrefix(said(out, "Message Type"), kind) {
		t.Errorf("type %d, fwknop's %q", m.Type, said(out, "Message Type"))
	}
	if digest := fmt.Sprintf("%d ", m.Digest); !strings.HasPrefix(said(out, "Digest Type"), digest) {
		t.Errorf("digest %v, fwknop's %q", m.Digest, said(out, "Digest Type"))
	}
}

// options are those of fwknop for the secrets of a configuration.
func options(c Config) []string {
	args := []string{"--key-base64-rijndael", padded(c.Key), "-M", c.Cipher.String()}
	if c.HMACKey != nil {
		args = append(args, "--use-hmac", "--key-base64-hmac", padded(c.HMACKey), "--hmac-digest-type", fwknopName(c.HMAC))
	}
	return args
}

// padded is base64 as in fwknop's options and files.
func padded(b []byte) string {
	s := b64.EncodeToString(b)
	return s + strings.Repeat("=", -len(s)&3)
}

// fwknopName is the name of a hash for fwknop's options and files.
func fwknopName(h Hash) string { return strings.ReplaceAll(h.String(), "-", "_") }

// checkFwknop has fwknop make a packet, opens it and returns the message.
func checkFwknop(t *testing.T, host *netns.NS, c Config, args ...string) Message {
	t.Helper()
	args = append([]string{"-T", "--no-rc-file", "--no-save-args", "-D", "127.0.0.1", "-U", "mbr"}, args...)
	out := run(t, host, "fwknop", append(args, options(c)...)...)
	m, _, err := newKey(t, c).Open([]byte(said(out, "Final SPA Data")))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkSaid(t, &m, out)
	if age := time.Since(m.Time); age < 0 || age > patience {
		t.Errorf("made %v ago", age)
	}
	return m
}

func TestInteropFwknopsHashesAndKeys(t *testing.T) {
	host := netnstest.New(t)
	for _, h := range hashesAll {
		m := checkFwknop(t, host, keyed(h), "-A", "tcp/22", "-a", "192.0.2.77")
		if m.Digest != SHA256 {
			t.Errorf("digest %v, want fwknop's default", m.Digest)
		}
		for _, c := range []Config{without(keyed(h)), keyed(h)} {
			m := checkFwknop(t, host, c, "-A", "tcp/22", "-s", "-m", fwknopName(h))
			if m.Digest != h || m.Address.IsValid() {
				t.Errorf("digest %v, address %v, want %v and none", m.Digest, m.Address, h)
			}
		}
		// HMAC keys shorter and longer than a block.
		for _, n := range []int{1, 63, 64, 65, 72, 73, 127, 128} {
			c := keyed(h)
			c.HMACKey = append(c.HMACKey, c.HMACKey...)[:n]
			checkFwknop(t, host, c, "-A", "tcp/22", "-s")
		}
	}
	for _, cipher := range []Cipher{CBC, Legacy} {
		for _, n := range []int{1, 15, 16, 17, 31, 32} {
			c := keyed(SHA256)
			c.Key, c.Cipher = c.Key[:n], cipher
			checkFwknop(t, host, without(c), "-A", "tcp/22", "-s")
			if cipher == CBC { // fwknop has no HMAC with the other
				checkFwknop(t, host, c, "-A", "tcp/22", "-s")
			}
		}
	}
}

// many are n services with ports of five digits.
func many(n int) []port.Range {
	services := make([]port.Range, n)
	for i := range services {
		services[i] = port.Single(packet.UDP, uint16(10000+i))
	}
	return services
}

func TestInteropFwknopsMessages(t *testing.T) {
	host := netnstest.New(t)
	var ports []string
	for _, s := range many(24) {
		ports = append(ports, s.String())
	}
	for _, tt := range []struct {
		kind Type
		args []string
	}{
		{Access, []string{"-A", "tcp/22,udp/53,tcp/65535"}},
		{Access, []string{"-A", strings.Join(ports, ",")}},
		{Access, []string{"-A", "tcp/22", "-f", "0"}},
		{AccessTimeout, []string{"-A", "tcp/22", "-f", "1"}},
		{AccessTimeout, []string{"-A", "tcp/22", "-f", "131072"}},
		{NATAccess, []string{"-A", "tcp/22", "-N", "10.0.0.5,55000"}},
		{NATAccess, []string{"-A", "tcp/22", "-N", "host.example:55000"}},
		{NATAccessTimeout, []string{"-A", "tcp/22", "-N", "10.0.0.5:55000", "-f", "30"}},
		{LocalNAT, []string{"-A", "tcp/22", "--nat-local"}},
		{LocalNATTimeout, []string{"-A", "tcp/22", "--nat-local", "--nat-port", "40022", "-f", "45"}},
		{LocalNAT, []string{"-A", "tcp/22", "--nat-local", "--nat-rand-port"}},
		{Command, []string{"-C", "/bin/echo a:b,c é"}},
	} {
		t.Run(strings.Join(tt.args[2:], " "), func(t *testing.T) {
			m := checkFwknop(t, host, keyed(SHA256), append(tt.args, "-a", "192.0.2.77")...)
			if m.Type != tt.kind || m.Address != netip.MustParseAddr("192.0.2.77") {
				t.Errorf("type %v, address %v, want %v", m.Type, m.Address, tt.kind)
			}
		})
	}
}

// fwknopd runs it, in its mode that touches no firewall, over a capture of one
// packet that holds the payload, and returns what it says.
func fwknopd(t *testing.T, host *netns.NS, c Config, payload []byte) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	access := fmt.Sprintf("SOURCE ANY\nENABLE_CMD_EXEC Y\nENCRYPTION_MODE %v\nKEY_BASE64 %s\n", c.Cipher, padded(c.Key))
	if c.HMACKey != nil {
		access += fmt.Sprintf("HMAC_KEY_BASE64 %s\nHMAC_DIGEST_TYPE %s\n", padded(c.HMACKey), fwknopName(c.HMAC))
	}
	return run(t, host, "fwknopd", "--foreground", "--test", "--verbose", "--verbose",
		"--pcap-file", write("pcap", capture(t, payload)), "--packet-limit", "1",
		"--access-file", write("access.conf", access),
		"--config", write("fwknopd.conf", "PCAP_INTF lo;\nENABLE_SPA_PACKET_AGING Y;\n"+
			"ENABLE_IPT_FORWARDING Y;\nENABLE_IPT_LOCAL_NAT Y;\n"),
		"--run-dir", dir, "--pid-file", filepath.Join(dir, "pid"), "--digest-file", write("digest.cache", ""))
}

// capture is a pcap file of one datagram to fwknopd's port.
func capture(t *testing.T, payload []byte) string {
	t.Helper()
	eth := layers.Ethernet{
		SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv4,
	}
	ip := layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(192, 0, 2, 9), DstIP: net.IPv4(127, 0, 0, 1),
	}
	udp := layers.UDP{SrcPort: 40000, DstPort: 62201}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	packet := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(packet, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		&eth, &ip, &udp, gopacket.Payload(payload))
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	n := len(packet.Bytes())
	info := gopacket.CaptureInfo{Timestamp: time.Now(), CaptureLength: n, Length: n}
	if err := w.WritePacket(info, packet.Bytes()); err != nil {
		t.Fatal(err)
	}
	return file.String()
}

// wouldAct is what fwknopd says, in that mode, of a packet that it accepts.
const wouldAct = "--test mode enabled, skipping"

// now is a message of the type with all that it can have.
func now(kind Type) Message {
	m := Message{
		User: "mbr", Time: time.Now(), Type: kind, Address: netip.MustParseAddr("192.0.2.77"),
		Services: []port.Range{port.Single(packet.TCP, 22)}, Digest: SHA256,
	}
	if kind == Command {
		m.Services, m.Command = nil, "/bin/true a:b"
	}
	if kind.NAT() {
		m.NAT = "127.0.0.1,22"
	}
	if kind.timed() {
		m.Timeout = 45 * time.Second
	}
	return m
}

// checkFwknopd has fwknopd read a message that we seal.
func checkFwknopd(t *testing.T, host *netns.NS, c Config, m Message) {
	t.Helper()
	k := newKey(t, c)
	payload, err := k.Seal(m, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if m, _, err = k.Open(payload); err != nil {
		t.Fatal(err)
	}
	out := fwknopd(t, host, c, payload)
	if !strings.Contains(out, wouldAct) {
		t.Errorf("HMAC %v, digest %v: not accepted:\n%s", c.HMAC, m.Digest, out)
		return
	}
	checkSaid(t, &m, out)
}

func TestInteropFwknopdAcceptsOurs(t *testing.T) {
	host := netnstest.New(t)
	t.Run("hashes", func(t *testing.T) {
		for _, h := range hashesAll {
			m := now(Access)
			m.Digest = h
			checkFwknopd(t, host, keyed(h), m)
			checkFwknopd(t, host, without(keyed(h)), m)
		}
	})
	t.Run("keys", func(t *testing.T) {
		for _, cipher := range []Cipher{CBC, Legacy} {
			for _, n := range []int{1, 15, 16, 17, 32} {
				c := keyed(SHA256)
				c.Key, c.Cipher = c.Key[:n], cipher
				checkFwknopd(t, host, c, now(Access))
				checkFwknopd(t, host, without(c), now(Access))
			}
		}
	})
	t.Run("types", func(t *testing.T) {
		for kind := Command; kind <= LocalNATTimeout; kind++ {
			checkFwknopd(t, host, keyed(SHA256), now(kind))
		}
	})
	t.Run("fields", func(t *testing.T) {
		m := now(Access)
		m.Random, m.Address, m.Services = strings.Repeat("0", randomLen), netip.Addr{}, many(12)
		checkFwknopd(t, host, keyed(SHA512), m)
		m.User, m.Services = strings.Repeat("u", maxUser), many(1)
		checkFwknopd(t, host, keyed(SHA256), m)
		m.User, m.ServerAuth = "a b@c.d-e_f$!#%&'()^`{}~", "crypt,x"
		checkFwknopd(t, host, keyed(SHA256), m)
		m.Type, m.Timeout = AccessTimeout, 65536*time.Second
		checkFwknopd(t, host, keyed(SHA256), m)
	})
}

// The test above can fail; and what Message and Seal say of fwknopd's limits.
func TestInteropFwknopdRefuses(t *testing.T) {
	host := netnstest.New(t)
	for name, tt := range map[string]struct {
		change func(m *Message)
		says   string
	}{
		"HMAC":    {nil, "HMAC_COMPAREFAIL"},
		"IPv6":    {func(m *Message) { m.Address = netip.MustParseAddr("2001:db8::1") }, "Error creating fko context"},
		"long":    {func(m *Message) { m.Services = many(14) }, "ENCRYPT_TYPE_UNKNOWN"},
		"timeout": {func(m *Message) { m.Type, m.Timeout = AccessTimeout, 65537*time.Second }, "TIMEOUT_DECODEFAIL"},
	} {
		t.Run(name, func(t *testing.T) {
			c, m := keyed(SHA256), now(Access)
			if tt.change != nil {
				tt.change(&m)
			}
			payload, err := newKey(t, c).Seal(m, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if tt.change == nil {
				c.HMACKey[0] ^= 1
			}
			out := fwknopd(t, host, c, payload)
			if strings.Contains(out, wouldAct) || !strings.Contains(out, tt.says) {
				t.Errorf("want a refusal with %q:\n%s", tt.says, out)
			}
		})
	}
}
