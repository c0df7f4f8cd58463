package fingerprint_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nftknock/pkg/capture"
	"nftknock/pkg/fingerprint"
	"nftknock/pkg/kernlog"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

const (
	// SYNs of Linux 6.18 over both IP versions, from 192.0.2.7 and 2001:db8::7.
	linux4 = "4510003cd6c740004006" + "0000" + "c0000207c0000201" +
		"853fc385499602d200000000a002faf000000000" + "020405b40402080a03c93cf30000000001030307"
	linux6 = "60055555002806402001" + "0db80000000000000000000000072001" + "0db8000000000000000000000001" +
		"853fc385499602d200000000a002fd2000000000" + "020405a00402080a03c93cf30000000001030307"
	// All that can be odd about a SYN, and a sixth byte of an option of four.
	odd = "46000040000000008006" + "0000" + "c0000207c0000201" + "01010101" +
		"853fc38500000000000000098162040000000007" + "0204" + "05b4" + "1e0400012200030300" + "0001060001"
)

func decode(t testing.TB, text string) *packet.Packet {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	var p packet.Packet
	if err := packet.Decode(b, &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

func TestAnswer(t *testing.T) {
	own, err := p0f.Parse("own", strings.NewReader("4:64:0:40:.:.:Toaster:1\n"))
	if err != nil {
		t.Fatal(err)
	}
	linux := fingerprint.Answer{
		Src: netip.MustParseAddr("192.0.2.7"), Dst: netip.MustParseAddr("192.0.2.1"), Sport: 34111, Dport: 50053, Version: 4,
		Label: "Linux 4.19 or newer", Family: "linux", Flavour: "4.19 or newer", Class: "os", Confidence: "exact",
		Signature: "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
	}
	unknown := linux
	unknown.Label, unknown.Family, unknown.Flavour, unknown.Confidence = "", "", "", "none"
	pf := linux
	pf.Signature = "S44:64:1:60:M*,S,T,N,W7"
	six := linux
	six.Src, six.Dst, six.Version = netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("2001:db8::1"), 6
	six.Signature = "6:64+0:0:1440:mss*45,7:mss,sok,ts,nop,ws:flow:0"
	for _, test := range []struct {
		name    string
		db      *p0f.Database
		packet  string
		grammar fingerprint.Grammar
		want    fingerprint.Answer
		line    string
		rule    string
	}{
		{"known", p0f.Builtin(), linux4, fingerprint.P0F3, linux,
			"192.0.2.7:34111 > 192.0.2.1:50053: Linux 4.19 or newer (exact, 0 hops away); 4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
			"label = s:other:NAME:VERSION\nsig   = 4:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"},
		{"unknown", own, linux4, fingerprint.P0F3, unknown,
			"192.0.2.7:34111 > 192.0.2.1:50053: unknown (0 hops away); 4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
			"label = s:other:NAME:VERSION\nsig   = 4:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"},
		{"in pf.os's words", p0f.Builtin(), linux4, fingerprint.PF, pf,
			"192.0.2.7:34111 > 192.0.2.1:50053: Linux 4.19 or newer (exact, 0 hops away); S44:64:1:60:M*,S,T,N,W7",
			"S44:64:1:60:M*,S,T,N,W7:NAME:VERSION::NAME VERSION"},
		{"IPv6, for which those have none", p0f.Builtin(), linux6, fingerprint.PF, six,
			"[2001:db8::7]:34111 > [2001:db8::1]:50053: Linux 4.19 or newer (exact, 0 hops away); 6:64+0:0:1440:mss*45,7:mss,sok,ts,nop,ws:flow:0",
			"# 6:64:0:*:mss*45,7:mss,sok,ts,nop,ws:flow:0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := decode(t, test.packet)
			got := fingerprint.NewAnswer(test.db, p, test.grammar)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.String() != test.line {
				t.Errorf("said:\n%s\nwant:\n%s", got, test.line)
			}
			if rule := fingerprint.Rule(p, test.grammar); rule != test.rule {
				t.Errorf("rule:\n%s\nwant:\n%s", rule, test.rule)
			}
		})
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct {
		name, packet string
		want         []string
	}{
		{"IPv4", linux4, []string{
			"IPv4: 60 bytes in all, TTL 64 (64 when sent, 0 hops away), type of service 0x10, ID 54983, don't fragment",
			"TCP: SYN, window 64240 (44 segments), sequence number 1234567890",
			"option maximum segment size: 1460 bytes",
			"option selective acknowledgements permitted",
			"option timestamps: own 63519987, echoed 0",
			"option no operation",
			"option window scale: 7 (windows count times 128)",
			"quirk df: it must not be fragmented",
			"quirk id+: and yet its ID is not zero",
		}},
		{"IPv6", linux6, []string{
			"IPv6: 80 bytes in all, hop limit 64 (64 when sent, 0 hops away), flow label 0x55555",
			"TCP: SYN, window 64800 (45 segments), sequence number 1234567890",
			"option maximum segment size: 1440 bytes",
			"option selective acknowledgements permitted",
			"option timestamps: own 63519987, echoed 0",
			"option no operation",
			"option window scale: 7 (windows count times 128)",
			"quirk flow: it has a flow label",
		}},
		{"odd", odd, []string{
			"IPv4: 64 bytes in all, TTL 128 (128 when sent, 0 hops away), ID 0, may be fragmented, options 01 01 01 01",
			"TCP: SYN AE ECE URG, window 1024, sequence number 0, acknowledgement number 9, urgent pointer 7, 6 bytes of data",
			"option maximum segment size: 1460 bytes",
			"option Multipath TCP: 00 01",
			"option 34 runs past the end of the header or is malformed: 22 00 03 03",
			"quirk id-: it may be fragmented, and yet its ID is zero",
			"quirk ecn: it asks for explicit congestion notification",
			"quirk seq-: its sequence number is zero",
			"quirk ack+: it acknowledges nothing, and yet there is a number",
			"quirk urgf+: URG is set",
			"quirk bad: its options are malformed",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, fingerprint.Words(decode(t, test.packet), true)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, line := range fingerprint.Words(decode(t, linux4), false) {
		if strings.Contains(line, "sequence number") {
			t.Errorf("said %q of what is not known", line)
		}
	}
}

// given is a list of packets as a capture gives them.
type given struct {
	packets [][]byte
	errs    []error
}

func (g *given) Next() (time.Time, []byte, error) {
	if len(g.packets) == 0 {
		return time.Time{}, nil, io.EOF
	}
	b, err := g.packets[0], g.errs[0]
	g.packets, g.errs = g.packets[1:], g.errs[1:]
	return time.Unix(1, 0), b, err
}

func TestFromPacketsGivesTheSYNs(t *testing.T) {
	syn, _ := hex.DecodeString(linux4)
	synAck := bytes.Clone(syn)
	synAck[20+13] |= 0x10
	src := fingerprint.FromPackets(&given{
		packets: [][]byte{nil, synAck, syn[:30], syn, {0x99}},
		errs:    []error{capture.ErrNotIP, nil, nil, nil, nil},
	})
	at, p, err := src.Next()
	if err != nil || !p.PureSYN() || at.Unix() != 1 {
		t.Fatalf("got %v, %v, %v", at, p, err)
	}
	if _, _, err := src.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last one: %v", err)
	}
	s := src.Skipped()
	if s.Others != 3 || s.Broken != 1 || s.NoOptions != 0 || s.Why == nil || !strings.Contains(s.Why.Error(), "packet 3: ") {
		t.Errorf("skipped %+v", s)
	}

	broken := fingerprint.FromPackets(&given{packets: [][]byte{nil}, errs: []error{io.ErrUnexpectedEOF}})
	if _, _, err := broken.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func TestFromLogGivesTheSYNs(t *testing.T) {
	const line = "kernel: IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 LEN=60 TOS=0x10 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=1 DPT=2 WINDOW=5840 RES=0x00 SYN URGP=0"
	log := strings.Join([]string{
		"nothing", line, strings.ReplaceAll(line, "TTL=64", "TTL=x"),
		line + " OPT (020405B40402080A03C93CF30000000001030300)",
		strings.ReplaceAll(line, "SYN", "ACK SYN"),
	}, "\n")
	src := fingerprint.FromLog("kern.log", strings.NewReader(log))
	at, p, err := src.Next()
	if err != nil || !p.PureSYN() || !at.IsZero() {
		t.Fatalf("got %v, %v, %v", at, p, err)
	}
	if _, _, err := src.Next(); !errors.Is(err, io.EOF) {
		t.Fatalf("after the last one: %v", err)
	}
	s := src.Skipped()
	if s.Others != 2 || s.Broken != 1 || s.NoOptions != 1 || !strings.Contains(s.Why.Error(), "line 3: kernlog: TTL") {
		t.Errorf("skipped %+v", s)
	}

	long := fingerprint.FromLog("kern.log", strings.NewReader("short\n"+strings.Repeat("x", 2<<20)))
	if _, _, err := long.Next(); err == nil || !strings.Contains(err.Error(), "kern.log: line 2: ") {
		t.Errorf("a line of 2 MiB: %v", err)
	}
}

func TestNotes(t *testing.T) {
	for _, test := range []struct {
		name    string
		skipped fingerprint.Skipped
		n       int
		want    []string
	}{
		{"nothing to say", fingerprint.Skipped{Others: 7}, 1, nil},
		{"no SYN", fingerprint.Skipped{Others: 1}, 0, []string{"found no SYN among 1 packet or line"}},
		{"lost", fingerprint.Skipped{Lost: 2}, 1, []string{"2 SYNs are missing: packets came faster than they were read"}},
		{"broken", fingerprint.Skipped{Broken: 2, Why: errors.New("line 1: torn")}, 1,
			[]string{"could not read 2 of its packets or lines, the first: line 1: torn"}},
		{"no options", fingerprint.Skipped{NoOptions: 1}, 1, []string{"passed over 1 SYN: " + kernlog.ErrNoOptions.Error()}},
	} {
		if diff := cmp.Diff(test.want, test.skipped.Notes(test.n)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// fullDisk fails every write.
type fullDisk struct{}

var errFull = errors.New("full")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestReport(t *testing.T) {
	syn, _ := hex.DecodeString(linux4)
	for _, test := range []struct {
		name   string
		report fingerprint.Report
		n      int
		want   []string // in the output, in this order
	}{
		{"lines", fingerprint.Report{}, 2, []string{"1970-01-01T00:00:01.000Z 192.0.2.7:34111 > ", "1970-01-01T00:00:01.000Z "}},
		{"the first", fingerprint.Report{Count: 1}, 1, []string{"1970-01-01T00:00:01.000Z "}},
		{"details", fingerprint.Report{Format: fingerprint.Details, Count: 1}, 1, []string{"\n    IPv4: ", "sequence number 1234567890", "\n    quirk "}},
		{"JSON", fingerprint.Report{Format: fingerprint.JSON}, 2, []string{`{"src":"192.0.2.7",`, "}\n", `{"src":"192.0.2.7",`}},
		{"summary", fingerprint.Report{Summary: true}, 2, []string{"SYNs", "      2  100.0%"}},
		{"summary in JSON", fingerprint.Report{Summary: true, Format: fingerprint.JSON}, 2, []string{`"count":2}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.report.Grammar = fingerprint.P0F3
			// The source fails after two: what came before is reported.
			src := func() fingerprint.Source {
				return fingerprint.FromPackets(&given{packets: [][]byte{syn, syn, nil}, errs: []error{nil, nil, io.ErrUnexpectedEOF}})
			}
			var out bytes.Buffer
			n, err := test.report.Write(&out, p0f.Builtin(), src())
			if n != test.n || errors.Is(err, io.ErrUnexpectedEOF) != (test.report.Count == 0) {
				t.Errorf("%d SYNs, %v", n, err)
			}
			rest := out.String()
			for _, want := range test.want {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("no %q in\n%s", want, &out)
				}
				rest = after
			}
			if _, err := test.report.Write(fullDisk{}, p0f.Builtin(), src()); !errors.Is(err, errFull) {
				t.Errorf("a full disk: %v", err)
			}
		})
	}
}

// Whatever is in a capture: everything that can be said of a SYN is said without a
// panic, and the rule for it knows it.
func FuzzCapture(f *testing.F) {
	for _, text := range []string{linux4, linux6, odd} {
		b, _ := hex.DecodeString(text)
		f.Add(pcap(f, b))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := capture.NewReader("fuzz", bytes.NewReader(file))
		if err != nil {
			return
		}
		src := fingerprint.FromPackets(r)
		for range 100 {
			_, p, err := src.Next()
			if err != nil {
				return
			}
			fingerprint.Words(p, true)
			for _, g := range fingerprint.Grammars {
				a := fingerprint.NewAnswer(p0f.Builtin(), p, g)
				if a.Signature == "" || a.Known() != (a.Label != "") || a.String() == "" {
					t.Fatalf("%+v", a)
				}
				rule := fingerprint.Rule(p, g)
				if strings.HasPrefix(rule, "# ") {
					continue
				}
				db, err := p0f.Parse("rule", strings.NewReader(fingerprint.Header(g)+rule+"\n"))
				if err != nil {
					t.Fatalf("%s: %v", rule, err)
				}
				m, want := db.Match(p), p0f.Exact
				if m.Distance > p0f.MaxDistance {
					want = p0f.Low
				}
				if g == fingerprint.P0F3 && m.Confidence != want {
					t.Fatalf("%v does not fit its rule %s", a.Signature, rule)
				}
			}
		}
	})
}

func pcap(t testing.TB, packets ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, layers.LinkTypeRaw); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(p), Length: len(p)}, p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}
