package capture_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"nftknock/pkg/capture"
)

var (
	at  = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	ip4 = []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
)

// frames holds one IPv4 packet in a frame of each supported link layer.
var frames = map[string]struct {
	link  layers.LinkType
	frame []byte
}{
	"ethernet": {layers.LinkTypeEthernet, join(make([]byte, 12), []byte{8, 0}, ip4)},
	"vlan":     {layers.LinkTypeEthernet, join(make([]byte, 12), []byte{0x81, 0, 0, 7, 8, 0}, ip4)},
	"qinq":     {layers.LinkTypeEthernet, join(make([]byte, 12), []byte{0x88, 0xa8, 0, 7, 0x81, 0, 0, 7, 8, 0}, ip4)},
	"raw":      {layers.LinkTypeRaw, ip4},
	"raw bsd":  {12, ip4},
	"sll":      {layers.LinkTypeLinuxSLL, join(make([]byte, 14), []byte{8, 0}, ip4)},
	"sll2":     {276, join([]byte{8, 0}, make([]byte, 18), ip4)},
	"null":     {layers.LinkTypeNull, join([]byte{2, 0, 0, 0}, ip4)},
	"loop":     {layers.LinkTypeLoop, join([]byte{0, 0, 0, 2}, ip4)},
	"nflog":    {239, join([]byte{2, 0, 0, 5}, []byte{8, 0, 1, 0, 0, 0, 0, 0}, []byte{24, 0, 9, 0}, ip4)},
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func pcap(t testing.TB, link layers.LinkType, packets ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, link); err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		ci := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(ci, p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pcapng(t testing.TB, link layers.LinkType, packets ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, link)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		ci := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}
		if err := w.WritePacket(ci, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestNextFindsTheIPHeader(t *testing.T) {
	for name, c := range frames {
		for format, write := range map[string]func(testing.TB, layers.LinkType, ...[]byte) []byte{"pcap": pcap, "pcapng": pcapng} {
			t.Run(name+" "+format, func(t *testing.T) {
				r, err := capture.NewReader("test", bytes.NewReader(write(t, c.link, c.frame)))
				if err != nil {
					t.Fatal(err)
				}
				when, got, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, ip4) {
					t.Errorf("got % x, want % x", got, ip4)
				}
				if !when.Equal(at) {
					t.Errorf("captured at %v, want %v", when, at)
				}
				if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("after the last packet: %v, want EOF", err)
				}
			})
		}
	}
}

func TestNextReportsFramesThatAreNotIP(t *testing.T) {
	arp := join(make([]byte, 12), []byte{8, 6}, make([]byte, 28))
	r, err := capture.NewReader("test", bytes.NewReader(pcap(t, layers.LinkTypeEthernet, arp, frames["ethernet"].frame)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Next(); !errors.Is(err, capture.ErrNotIP) {
		t.Fatalf("ARP: %v, want ErrNotIP", err)
	}
	if _, ip, err := r.Next(); err != nil || netip.AddrFrom4([4]byte(ip[12:16])).String() != "192.0.2.1" {
		t.Fatalf("after ARP: % x, %v", ip, err)
	}
	if r.Packets() != 2 {
		t.Errorf("read %d packets, want 2", r.Packets())
	}
}

func TestBadCaptures(t *testing.T) {
	whole := pcap(t, layers.LinkTypeRaw, ip4)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":             {nil, "shorter than a file header"},
		"text":              {[]byte("Nov 23 23:36:01 host kernel: IN=eth0"), "not a pcap or pcapng capture"},
		"cut in a packet":   {whole[:len(whole)-3], "after packet 0"},
		"cut before it":     {whole[:24+16], "after packet 0: unexpected EOF"},
		"cut in a header":   {whole[:24+7], "after packet 0: unexpected EOF"},
		"unknown link type": {pcap(t, 147, ip4), "link type 147"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := capture.NewReader("x.pcap", bytes.NewReader(c.file))
			if err == nil {
				_, _, err = r.Next()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "x.pcap: ") {
				t.Errorf("error %v, want one that begins with the file and contains %q", err, c.want)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range frames {
		f.Add(pcap(f, c.link, c.frame))
		f.Add(pcapng(f, c.link, c.frame))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := capture.NewReader("fuzz", bytes.NewReader(file))
		if err != nil {
			return
		}
		for range 1000 {
			_, ip, err := r.Next()
			if err != nil && ip != nil {
				t.Fatal("a packet beside an error")
			}
			if err != nil && !errors.Is(err, capture.ErrNotIP) {
				return
			}
		}
	})
}
