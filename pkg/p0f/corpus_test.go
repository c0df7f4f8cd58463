package p0f

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/test/captures"
)

// corpus is the directory of the public captures, which need not exist.
var corpus = captures.Corpus()

func decodePcap(t testing.TB, name string) []packet.Packet {
	t.Helper()
	raw := captures.Read(t, name)
	all := make([]packet.Packet, len(raw))
	for i, b := range raw {
		if err := packet.Decode(b, &all[i]); err != nil {
			t.Fatalf("%s, packet %d: %v", name, i+1, err)
		}
	}
	return all
}

// readLines returns the lines of a file, each split at tabs.
func readLines(t testing.TB, name string) [][]string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all [][]string
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		all = append(all, strings.Split(lines.Text(), "\t"))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Linux 6.18 under 44 settings, over IPv4 and IPv6: every SYN is matched as Linux,
// with confidence Low only where Low is documented, except for that with all options
// switched off, which may be anyone's.
func TestLinuxIsLinux(t *testing.T) {
	db := Builtin()
	count := map[string]int{}
	for i, p := range decodePcap(t, "testdata/linux-6.18.pcap") {
		s, _ := Observe(&p)
		m := db.Match(&p)
		if bare := len(p.TCP.Options) == 4; bare && m.Class == Stack && m.Confidence == Low {
			count[fmt.Sprintf("IPv%d %s", p.Version, answer(db, &p))]++
			continue
		}
		if m.Confidence == None || m.Class != OS || db.Label(m.Label).Family != "linux" {
			t.Errorf("packet %d, %v: %s", i+1, s, answer(db, &p))
			continue
		}
		doubtful := p.Version == 4 && !p.DontFragment
		if doubtful != (m.Confidence == Low) {
			t.Errorf("packet %d, %v: %s", i+1, s, answer(db, &p))
		}
		count[fmt.Sprintf("IPv%d %s", p.Version, answer(db, &p))]++
	}
	logCounts(t, count)
}

func TestScannersAreNoSystem(t *testing.T) {
	db := Builtin()
	for i, p := range decodePcap(t, "testdata/scanners.pcap") {
		s, _ := Observe(&p)
		t.Logf("%v: %s", s, answer(db, &p))
		if m := db.Match(&p); m.Class == OS && m.Confidence > Low {
			t.Errorf("packet %d, %v: %s", i+1, s, answer(db, &p))
		}
	}
}

// Observe returns the raw signatures that p0f 3.09b prints of the same packets,
// except where p0f has bugs: it sees only the low bit of the first byte of the
// acknowledgement number, misses the last byte of the padding, and prints no distance
// above 35.
func TestObservesWhatP0fObserves(t *testing.T) {
	exceptions := map[string]string{
		"probes 1": "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+,ack+:0",
		"probes 3": "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+,ack+:0",
		"probes 4": "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df,opt+:0",
		"probes 7": "4:200+55:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
	}
	for _, name := range []string{"linux-6.18", "scanners", "probes"} {
		want := readLines(t, "testdata/"+name+".sigs")
		for i, p := range decodePcap(t, "testdata/"+name+".pcap") {
			packet := fmt.Sprintf("%s %d", name, i+1)
			wanted := want[i][0]
			if exception := exceptions[packet]; exception != "" {
				wanted = exception
			}
			got, ok := Observe(&p)
			if !ok || got.String() != wanted {
				t.Errorf("%s: got %v, want %s", packet, got, wanted)
			}
			if parsed, err := ParseSignature(got.String()); err != nil || parsed != got {
				t.Errorf("%s: %v is read back as %v, %v", packet, got, parsed, err)
			}
		}
	}
}

// source is one capture of the corpus, with p0f's answers beside it.
type source struct {
	name    string
	packets []packet.Packet
	rows    [][]string // n, file, frame, ts, ipver, src, ...
	p0f     [][]string // n, kind, answer, params, dist, raw_sig
}

// readPublic reads the public captures of the corpus, which are not part of the
// project. It returns none if they do not exist.
func readPublic(t testing.TB) []source {
	t.Helper()
	names, err := filepath.Glob(corpus + "/public/*.pcap")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Logf("no captures in %s: tested with testdata only", corpus)
	}
	var all []source
	for _, name := range names {
		base := strings.TrimSuffix(name, ".pcap")
		all = append(all, source{
			name:    filepath.Base(base),
			packets: decodePcap(t, name),
			rows:    readLines(t, base+".tsv")[1:],
			p0f:     readLines(t, base+".p0f.tsv")[1:],
		})
	}
	return all
}

func TestObservesWhatP0fObservesInPublicCaptures(t *testing.T) {
	same, none := 0, 0
	for _, src := range readPublic(t) {
		for i, p := range src.packets {
			want := src.p0f[i][5]
			got, ok := Observe(&p)
			if !ok {
				t.Errorf("%s %d: not observed", src.name, i+1)
				continue
			}
			if !strings.Contains(want, "ack+") {
				got.Quirks &^= QuirkAckNonZero
			}
			text := got.String()
			if got.Hops > MaxDistance {
				text = strings.Replace(text, fmt.Sprintf("+%d:", got.Hops), "+?:", 1)
			}
			switch want {
			case "":
				none++ // p0f gave no answer: a repeated SYN of a flow it knew
			case text:
				same++
			default:
				t.Errorf("%s %d: got %s, want %s", src.name, i+1, text, want)
			}
		}
	}
	t.Logf("%d the same, %d without p0f's answer", same, none)
}

func logCounts(t testing.TB, count map[string]int) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(count)) {
		t.Logf("%5d  %s", count[key], key)
	}
}
