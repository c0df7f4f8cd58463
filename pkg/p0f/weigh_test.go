package p0f

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"nftknock/test/captures"
)

// disguise is what a scanner may change about its SYNs with an option or a line of code.
type disguise struct {
	ttl uint8
	df  bool
	id  int // or -1 for its own
}

// apply changes the IP header of a packet, and returns it decoded and compared.
func (d disguise) apply(t *testing.T, db *Database, raw []byte) (*row, Confidence, features) {
	t.Helper()
	b := slices.Clone(raw)
	if b[0]>>4 == 6 {
		b[7] = d.ttl
	} else {
		b[8] = d.ttl
		b[6] &^= 0x40
		if d.df {
			b[6] |= 0x40
		}
		if d.id >= 0 {
			binary.BigEndian.PutUint16(b[4:], uint16(d.id))
		}
	}
	var f features
	r, confidence := db.choose(&f, decoded(t, b))
	return r, confidence, f
}

// disguises returns all for a packet: every TTL, with and without DF, and several IDs. Over
// IPv6 there is only the hop limit.
func disguises(raw []byte) (all []disguise) {
	for ttl := 1; ttl <= 255; ttl++ {
		if raw[0]>>4 == 6 {
			all = append(all, disguise{uint8(ttl), false, -1})
			continue
		}
		for _, df := range []bool{false, true} {
			for _, id := range []int{-1, 0, 1, 4711, 54321} {
				all = append(all, disguise{uint8(ttl), df, id})
			}
		}
	}
	return all
}

// scannerPackets are those of the captures and those that the rows of tools describe.
func scannerPackets(t *testing.T, db *Database) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	for i, raw := range captures.Read(t, "testdata/scanners.pcap") {
		all[fmt.Sprintf("scanners.pcap %d", i+1)] = raw
	}
	for _, e := range db.entries {
		if db.labels[e.label].Class != Tool {
			continue
		}
		for _, v := range variants(e.signature.(Signature)) {
			all[fmt.Sprintf("%v, %+v", e.signature, v)] = generate(t, e.signature.(Signature), v)
		}
	}
	return all
}

// No scanner gets a better confidence than Low as a system by changing its TTL, or
// its TTL, DF and ID, unless the SYN then has everything that a system's has.
func TestScannersWithAnyTTLAreNoSystem(t *testing.T) {
	db := Builtin()
	n, rises := 0, 0
	for name, raw := range scannerPackets(t, db) {
		own := raw[0]>>4 == 4 && raw[6]&0x40 != 0
		for _, d := range disguises(raw) {
			n++
			r, confidence, f := d.apply(t, db, raw)
			if r == nil || r.class != OS || confidence <= Low {
				continue
			}
			onlyTTL := d.id < 0 && d.df == own
			asSystem := (f.key^r.key)&r.care == 0 && f.ttl <= r.ttl && r.ttl-f.ttl <= r.distance
			rises++
			if onlyTTL || !asSystem {
				t.Errorf("%s, %+v: %v %q", name, d, confidence, db.labels[r.label])
			}
		}
	}
	t.Logf("%d SYNs, of which %d are in everything those of a system", n, rises)
}

func TestTTLIsWeighed(t *testing.T) {
	tests := []struct{ name, syn, want string }{
		{"Android behind a carrier", "4:249+6:0:1312:65535,9:mss,sok,ts,nop,ws:df,id+:0", "os family Linux (Android or tuned)"},
		{"without DF", "4:249+6:0:1312:65535,9:mss,sok,ts,nop,ws::0", "os low Linux (Android or tuned)"},
		{"with the MSS and window of a scanner", "4:249+6:0:1460:65535,9:mss,sok,ts,nop,ws:df,id+:0", "os low Linux (Android or tuned)"},
		{"Windows behind a carrier", "4:247+8:0:1460:64240,8:mss,nop,ws,nop,nop,sok:df,id+:0", "os family Windows 10 or newer"},
		{"iPhone behind a long tunnel", "4:22+10:0:1240:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0", "os family macOS/iOS (macOS 10.14, iOS 11 or newer)"},
		{"a window that only a generic signature has", "4:249+6:0:1312:12345,9:mss,sok,ts,nop,ws:df,id+:0", "os low Linux"},
		{"IPv6 with a flow label", "6:249+6:0:1400:65535,9:mss,sok,ts,nop,ws:flow:0", "os family Linux (Android or tuned)"},
		{"IPv6 without one", "6:249+6:0:1400:65535,9:mss,sok,ts,nop,ws::0", "os low Linux (Android or tuned)"},
		{"Windows with timestamps at the TTL of BSD", "4:60+4:0:1460:64240,8:mss,nop,ws,sok,ts:df,id+:0", "os family Windows 10 or newer"},
		{"a SYN that Windows and Linux write, Windows' TTL", "4:120+8:0:1460:64240,0:mss,nop,nop,sok:df,id+:0", "os family Windows 2000, XP or Server 2003, or newer without scaling"},
		{"a SYN that Windows and Linux write, Linux' TTL", "4:60+4:0:1460:64240,0:mss,nop,nop,sok:df,id+:0", "os family Linux 4.19 or newer"},
		{"a SYN that Windows and Linux write, another TTL", "4:250+5:0:1460:64240,0:mss,nop,nop,sok:df,id+:0", "os low Linux 4.19 or newer"},
		{"zmap's Windows over IPv6 with another hop limit", "6:60+4:0:1460:65535,8:mss,nop,ws,nop,nop,sok:flow:0", "tool exact ZMap"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := answer(Builtin(), syn(t, test.syn)); got != test.want {
				t.Errorf("%s: got %q, want %q", test.syn, got, test.want)
			}
		})
	}
}

// Other tables keep p0f's rules for the TTL, alone and merged with the built-in one.
func TestTTLIsNotWeighedForOtherTables(t *testing.T) {
	own := table(t, "own", "label = s:unix:Own:\nsig = 4:64:0:*:8000,3:ws,nop,mss:df,id+:0\n")
	for _, db := range []*Database{own, merged(t, own, Builtin()), merged(t, Builtin(), own)} {
		if got := answer(db, syn(t, "4:250:0:1312:8000,3:ws,nop,mss:df,id+:0")); got != "os low Own" {
			t.Errorf("got %q", got)
		}
	}
	if got := answer(merged(t, own, Builtin()), syn(t, "4:249+6:0:1312:65535,9:mss,sok,ts,nop,ws:df,id+:0")); got != "os family Linux (Android or tuned)" {
		t.Errorf("built-in rows of a merged table: got %q", got)
	}
}

// An MSS without other options, bare or padded, or no option at all, is no evidence for
// an operating system that people use.
func TestMSSAloneIsNoSystem(t *testing.T) {
	db := Builtin()
	windows := []uint32{0, 512, 1024, 1400, 1460, 2920, 4096, 4128, 4380, 5840, 5760, 8192, 8760, 14600, 16000, 16384, 17520, 28672, 29200,
		32120, 32767, 32768, 33580, 49152, 57344, 61440, 62720, 63443, 64240, 64512, 64800, 65535}
	devices := []string{"cisco"}
	for _, layout := range []string{"", "mss", "mss,nop,nop,nop,nop", "mss,nop,nop,nop,eol+0", "mss,nop,nop,eol+1", "mss,nop,eol+2", "mss,eol+3"} {
		for _, mss := range []int{536, 1440, 1460} {
			if layout == "" {
				mss = 0
			}
			for _, window := range windows {
				for _, header := range []string{"4:%d:0:%d:%d,0:%s::0", "4:%d:0:%d:%d,0:%s:df,id+:0", "4:%d:0:%d:%d,0:%s:df:0", "4:%d:0:%d:%d,0:%s:id-:0",
					"6:%d:0:%d:%d,0:%s::0", "6:%d:0:%d:%d,0:%s:flow:0"} {
					for _, ttl := range otherTTLs {
						p := syn(t, fmt.Sprintf(header, ttl, mss, window, layout))
						if m := db.Match(p); m.Class == OS && (m.Confidence == None || !slices.Contains(devices, db.Label(m.Label).Family)) {
							t.Errorf(header+": %s", ttl, mss, window, layout, answer(db, p))
						}
					}
				}
			}
		}
	}
}
