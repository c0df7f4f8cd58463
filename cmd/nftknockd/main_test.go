package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/rogpeppe/go-internal/testscript"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

func TestMain(m *testing.M) {
	// Policies that others can write are refused, and scripts write theirs with
	// whatever mode the umask leaves.
	syscall.Umask(0o022)
	testscript.Main(m, map[string]func(){"nftknockd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// Else a program with the race detector sleeps for a second at its end.
			env.Setenv("GORACE", "atexit_sleep_ms=10")
			text, err := os.ReadFile("../../deploy/nftknockd.toml")
			if err != nil {
				return err
			}
			sample := filepath.Join(env.WorkDir, "sample.toml")
			env.Setenv("SAMPLE", sample)
			return os.WriteFile(sample, text, 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"capture":   writeCapture,
			"status":    status,
			"truncated": truncated,
		},
	})
}

// status runs a program and wants an exit status: status 2 nftknockd check.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status CODE PROGRAM [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

// truncated copies a file without its last bytes: truncated FROM TO.
func truncated(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: truncated FROM TO")
	}
	b := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(b[:len(b)-5]), 0o600))
}

// writeCapture writes a pcap of packets from a Linux host at 192.0.2.10 to
// 203.0.113.1: capture FILE TIME ELEMENT [TIME ELEMENT...].
func writeCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args)%2 == 0 {
		ts.Fatalf("usage: capture FILE [TIME ELEMENT]...")
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := pcapgo.NewWriter(f)
	ts.Check(w.WriteFileHeader(65535, layers.LinkTypeRaw))
	epoch := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for args := args[1:]; len(args) > 0; args = args[2:] {
		after, err := time.ParseDuration(args[0])
		ts.Check(err)
		el, err := port.ParseKnock(args[1])
		ts.Check(err)
		b := wire(ts, el, uint16(len(args)))
		ts.Check(w.WritePacket(gopacket.CaptureInfo{Timestamp: epoch.Add(after), CaptureLength: len(b), Length: len(b)}, b))
	}
}

// wire is an element as a Linux host sends it, with a number that its repetitions have.
func wire(ts *testscript.TestScript, el port.Range, n uint16) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Id: n, Flags: layers.IPv4DontFragment,
		SrcIP: []byte{192, 0, 2, 10}, DstIP: []byte{203, 0, 113, 1}}
	var transport gopacket.SerializableLayer
	switch el.Protocol {
	case packet.TCP:
		ip.Protocol = layers.IPProtocolTCP
		tcp := &layers.TCP{SrcPort: 40000, DstPort: layers.TCPPort(el.First), Seq: uint32(n), SYN: true, Window: 64240,
			Options: []layers.TCPOption{
				{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 180}},
				{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2},
				{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 1, 0, 0, 0, 0}},
				{OptionType: layers.TCPOptionKindNop},
				{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{7}},
			}}
		ts.Check(tcp.SetNetworkLayerForChecksum(ip))
		transport = tcp
	case packet.UDP:
		ip.Protocol = layers.IPProtocolUDP
		udp := &layers.UDP{SrcPort: 40000, DstPort: layers.UDPPort(el.First)}
		ts.Check(udp.SetNetworkLayerForChecksum(ip))
		transport = udp
	default:
		ip.Protocol = layers.IPProtocolICMPv4
		transport = &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}
	}
	b := gopacket.NewSerializeBuffer()
	ts.Check(gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, transport))
	return b.Bytes()
}
