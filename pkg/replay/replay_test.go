package replay

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nftknock/pkg/capture"
	"nftknock/pkg/plan"
	"nftknock/pkg/totp"
)

const accesses = `[[access]]
name = "shared"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/22"]
[[access]]
name = "code"
knock = "totp"
key = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
open = ["udp/53", "tcp/8000-8010"]
timeout = "90s"
`

var at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// sent is a datagram of a capture.
type sent struct {
	after time.Duration
	from  string
	port  uint16
}

func pcap(t *testing.T, packets []sent) []byte {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for i, p := range packets {
		ip := &layers.IPv4{Version: 4, TTL: 64, Id: uint16(i + 1), Protocol: layers.IPProtocolUDP,
			SrcIP: netip.MustParseAddr(p.from).AsSlice(), DstIP: []byte{192, 0, 2, 1}}
		udp := &layers.UDP{SrcPort: 40000, DstPort: layers.UDPPort(p.port)}
		if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
			t.Fatal(err)
		}
		b := gopacket.NewSerializeBuffer()
		if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, udp); err != nil {
			t.Fatal(err)
		}
		info := gopacket.CaptureInfo{Timestamp: at.Add(p.after), CaptureLength: len(b.Bytes()), Length: len(b.Bytes())}
		if err := w.WritePacket(info, b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

// code sends the one-time code of the moment at.
func code(t *testing.T, from string, after time.Duration) []sent {
	t.Helper()
	secret, err := totp.ParseSecret([]byte("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), totp.SHA1)
	if err != nil {
		t.Fatal(err)
	}
	var list []sent
	for i, port := range totp.Ports(totp.DefaultBase, secret.Code(totp.Step(at))) {
		list = append(list, sent{after + time.Duration(i)*time.Millisecond, from, port})
	}
	return list
}

// A knock is granted or refused as the daemon would do it, a token once, and what is
// half-done at the end is refused.
func TestRun(t *testing.T) {
	packets := []sent{{0, "192.0.2.10", 7300}, {time.Second, "192.0.2.10", 7100}, {2 * time.Second, "192.0.2.10", 7200}}
	packets = append(packets, code(t, "192.0.2.11", 3*time.Second)...)
	packets = append(packets, code(t, "192.0.2.12", 4*time.Second)...)
	packets = append(packets, sent{5 * time.Second, "192.0.2.13", 7300}, sent{6 * time.Second, "192.0.2.13", 7100}, sent{6 * time.Second, "192.0.2.13", 443})

	path := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(path, []byte(accesses), 0o600); err != nil {
		t.Fatal(err)
	}
	p, diags := plan.Load(path)
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	capt, err := capture.NewReader("x.pcap", bytes.NewReader(pcap(t, packets)))
	if err != nil {
		t.Fatal(err)
	}
	var got []Outcome
	knocks, err := Run(p, capt, func(o Outcome) error {
		o.Time = time.Time{}
		got = append(got, o)
		return nil
	})
	if want := uint64(len(packets) - 1); err != nil || knocks != want {
		t.Errorf("%d packets to knock ports, %v; want %d", knocks, err, want)
	}
	want := []Outcome{
		{Source: "192.0.2.10", Access: "shared", Knock: "shared", Verdict: Granted, Open: "tcp/22", Timeout: "30s", Step: 3},
		{Source: "192.0.2.11", Access: "code", Knock: "totp", Verdict: Granted, Open: "udp/53,tcp/8000-8010", Timeout: "1m30s", Step: 4},
		{Source: "192.0.2.12", Access: "code", Knock: "totp", Verdict: Refused, Reason: "already used", Open: "udp/53,tcp/8000-8010", Timeout: "1m30s", Step: 4},
		{Source: "192.0.2.13", Access: "shared", Knock: "shared", Verdict: Refused, Reason: "sequence not completed", Open: "tcp/22", Timeout: "30s", Step: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}
