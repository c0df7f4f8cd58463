package p0f

import (
	"fmt"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/test/captures"
)

func TestMatchDoesNotAllocate(t *testing.T) {
	db := Builtin()
	for _, name := range []string{"linux-6.18", "scanners", "probes"} {
		for i, p := range decodePcap(t, "testdata/"+name+".pcap") {
			if n := testing.AllocsPerRun(10, func() { db.Match(&p) }); n != 0 {
				t.Errorf("%s %d: %v allocations", name, i+1, n)
			}
		}
	}
}

// benchPackets are the packets of linux-6.18.pcap in memory.
func benchPackets(b *testing.B) [][]byte {
	b.Helper()
	return captures.Read(b, "testdata/linux-6.18.pcap")
}

func BenchmarkDecode(b *testing.B) {
	raw := benchPackets(b)
	b.ReportAllocs()
	var p packet.Packet
	i := 0
	for b.Loop() {
		if err := packet.Decode(raw[i], &p); err != nil {
			b.Fatal(err)
		}
		if i++; i == len(raw) {
			i = 0
		}
	}
}

func BenchmarkDecodeMatch(b *testing.B) {
	db, raw := Builtin(), benchPackets(b)
	b.ReportAllocs()
	var p packet.Packet
	i := 0
	for b.Loop() {
		if err := packet.Decode(raw[i], &p); err != nil {
			b.Fatal(err)
		}
		db.Match(&p)
		if i++; i == len(raw) {
			i = 0
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, test := range []struct{ name, syn string }{
		{"linux", "4:64+0:0:1460:64240,10:mss,sok,ts,nop,ws:df,id+:0"},
		{"linux6", "6:64+0:0:1440:64800,10:mss,sok,ts,nop,ws:flow:0"},
		{"generic", "4:64+0:0:1460:7300,0:mss,sok,ts,nop,ws:df,id+:0"},
		{"windows", "4:128+0:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+:0"},
		{"macos", "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0"},
		{"carrier", "4:249+6:0:1312:65535,9:mss,sok,ts,nop,ws:df,id+:0"},
		{"unknown", "4:64+0:0:1460:65535,6:ws,nop,mss:df,id+:0"},
		{"scanner", "4:245+10:0:1460:1024,0:mss::0"},
	} {
		b.Run(test.name, func(b *testing.B) {
			db, p := Builtin(), syn(b, test.syn)
			b.ReportAllocs()
			for b.Loop() {
				db.Match(p)
			}
		})
	}
}

// tableOf makes a table of n signatures and a packet that fits the last one: all
// of one layout, with windows that are values or multiples, or each with a layout of
// its own.
func tableOf(b *testing.B, kind string, n int) (*Database, *packet.Packet) {
	b.Helper()
	var m builder
	for i := range n {
		s := signature(b, "4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0")
		switch kind {
		case "values":
			s.Window = Window{WindowValue, uint32(i + 1)}
		case "multiples":
			s.Window, s.MSS = Window{WindowMSS, uint32(i%39 + 1)}, int32(1300+i/39)
		case "layouts":
			s.Layout = Layout{}
			for digit := range 7 { // seven of four kinds
				s.Layout.add(uint8(60 + i>>(2*digit)&3))
			}
		}
		if kind == "layouts" {
			s.MSS, s.Scale = 0, 0
		}
		m.add(Label{Name: "system"}, false, s)
	}
	last := m.entries[n-1].signature.(Signature)
	last.Scale = 7
	if last.MSS == Any {
		last.MSS = 1460
	}
	return m.database(), decoded(b, generate(b, last, variant{version: 4}))
}

// BenchmarkSignatures shows how the time of a match grows with the table.
func BenchmarkSignatures(b *testing.B) {
	for _, kind := range []string{"values", "multiples", "layouts"} {
		for _, n := range []int{100, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				db, p := tableOf(b, kind, n)
				if m := db.Match(p); m.Confidence != Exact {
					b.Fatalf("matched %v", m.Confidence)
				}
				b.ReportAllocs()
				for b.Loop() {
					db.Match(p)
				}
			})
		}
	}
}
