package main

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// options of SYNs: those of Linux, Windows and macOS.
var (
	linuxOptions   = "\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x10\x01\x00\x00\x00\x00\x01\x03\x03\x07"
	windowsOptions = "\x02\x04\x05\xb4\x01\x03\x03\x08\x01\x01\x04\x02"
	macOptions     = "\x02\x04\x05\xb4\x01\x03\x03\x06\x01\x01\x08\x0a\x00\x00\x10\x01\x00\x00\x00\x00\x04\x02\x00\x00"
)

// syn is an IPv4 packet with DF and an ID, from port 40000 of a source.
func syn(source string, ttl uint8, window uint16, options string) []byte {
	b := make([]byte, 40, 80)
	b[0], b[6], b[8], b[9] = 0x45, 0x40, ttl, 6
	binary.BigEndian.PutUint16(b[2:], uint16(40+len(options)))
	binary.BigEndian.PutUint16(b[4:], 4711)
	copy(b[12:], netip.MustParseAddr(source).AsSlice())
	copy(b[16:], []byte{198, 51, 100, 9})
	binary.BigEndian.PutUint16(b[20:], 40000)
	binary.BigEndian.PutUint16(b[22:], 443)
	b[24], b[32], b[33] = 1, byte((20+len(options))/4<<4), 2
	binary.BigEndian.PutUint16(b[34:], window)
	return append(b, options...)
}

// pcap is a capture of raw IP packets, made in 2026.
func pcap(packets ...[]byte) string {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0xa1b2c3d4)
	b = le.AppendUint16(le.AppendUint16(b, 2), 4)
	b = append(b, make([]byte, 8)...)
	b = le.AppendUint32(le.AppendUint32(b, 65535), 101)
	for _, p := range packets {
		b = le.AppendUint32(le.AppendUint32(b, 1_780_000_000), 0)
		b = le.AppendUint32(le.AppendUint32(b, uint32(len(p))), uint32(len(p)))
		b = append(b, p...)
	}
	return string(b)
}

// four is a capture of Linux twice, Windows, and macOS with a TTL that no Mac sends.
var four = pcap(
	syn("192.0.2.1", 60, 64240, linuxOptions),
	syn("192.0.2.1", 60, 64240, linuxOptions),
	syn("192.0.2.2", 120, 64240, windowsOptions),
	syn("192.0.2.3", 250, 65535, macOptions),
)

// scored runs the program on a directory with these files.
func scored(t *testing.T, files map[string]string, flags ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	err := run(&out, append(flags, dir))
	return out.String(), err
}

// Every form of labels gives the same score.
func TestScoresEveryForm(t *testing.T) {
	const heading = "n\tfile\tframe\tts\tipver\tsrc\tsport\tdst\tdport\thint\thint_from\n"
	const rest = "\t0\t4\t192.0.2.1\t1\t198.51.100.9\t443\t"
	rows := func(hints ...string) string {
		var b strings.Builder
		b.WriteString(heading)
		for i, hint := range hints {
			n := string(rune('1' + i))
			b.WriteString(n + "\tsome.pcap\t" + n + rest + hint + "\tua\n")
		}
		return b.String()
	}
	want, err := scored(t, map[string]string{"a.pcap": four, "a.tsv": "1\tlinux\n2\tlinux\n3\twindows\n4\tapple\n"}, "-v")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| Linux, IPv4 | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |",
		"| Linux, IPv4 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |",
		"| Windows, IPv4 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |",
		"| Apple, IPv4 | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 |",
		"| all with evidence | 4 | 3 | 0 | 1 | 0 | 0 | 0 | 0 | 0 |",
		"| all since 2019 | 3 | 2 | 0 | 1 | 0 | 0 | 0 | 0 | 0 |",
		"| `linux` | 2 (1) | 0 (0) | 0 (0) |",
		"| `windows` | 1 (1) | 0 (0) | 0 (0) |",
		"| `macos/ios` | 0 (0) | 1 (1) | 0 (0) |",
	} {
		if !strings.Contains(want, line+"\n") {
			t.Errorf("no line %s in\n%s", line, want)
		}
	}
	for name, files := range map[string]map[string]string{
		"addresses, in a pcap below": {
			"x/a.pcap": four, "x/a.tsv": "# who is who\n\n192.0.2.1\tLinux 5.15\r\n192.0.2.2\tWindows 11\n192.0.2.3:40000\tiOS 16\n",
		},
		"for the directory": {
			"a.pcap": four, "LABELLED.tsv": "192.0.2.1:40000\tlinux\n192.0.2.1\twindows\n192.0.2.2\twindows\n192.0.2.3\tmacOS 15\n",
		},
		"number before port before address": {
			"a.pcap": four, "a.tsv": "1\tAndroid 12\n192.0.2.1\t?\n192.0.2.1:40000\tlinux\n192.0.2.2\twindows\n4\tMac OS X\n192.0.2.3\tother\n",
		},
		"hints": {
			"a.pcap": four, "a.tsv": rows("ua=Linux;ssh=Linux:Debian", "ssh=Linux", "ntlm=Windows:10.0", "ua=iOS"),
		},
		"evidence instead of hints": {
			"a.pcap": four, "a.tsv": rows("ua=Windows", "", "", ""),
			"LABELLED.tsv": "repo\tfile\tframe\tos_family\na\tsome.pcap\t1\tLinux\na\tsome.pcap\t2\tLinux\n" +
				"a\tsome.pcap\t3\tWindows\na\tsome.pcap\t4\tApple\nb\tsome.pcap\t1\tWindows\n",
		},
	} {
		if got, err := scored(t, files, "-v"); err != nil || got != want {
			t.Errorf("%s: %v\ngot\n%s\nwant\n%s", name, err, got, want)
		}
	}
}

func TestScoresWhatIsNotRight(t *testing.T) {
	files := map[string]string{
		"a.pcap": pcap(
			syn("192.0.2.1", 60, 64240, linuxOptions),
			syn("192.0.2.2", 120, 64240, windowsOptions),
			syn("192.0.2.3", 250, 65535, macOptions),
			syn("192.0.2.4", 60, 1, "\x02\x04\x01\x00\x0f\x04\x00\x00"),
			syn("192.0.2.5", 50, 1024, "\x02\x04\x05\xb4"),
			syn("192.0.2.6", 50, 1024, ""),
			[]byte("no packet"),
			syn("192.0.2.6", 60, 64240, linuxOptions),
		),
		"a.tsv": "1\tapple\n2\tproxy\n3\tbsd\n4\tcisco\n5\ttool\n8\t?\n",
		"a.p0f.tsv": "n\tkind\tanswer\tparams\tdist\traw_sig\n1\tos\tLinux 3.x\tgeneric\t4\t4:64\n" +
			"2\tos\t???\tnone\t8\t4:128\n3\tos\tFreeBSD 9.x\tnone\t5\t4:255\n4\tnone\t\t\t\t\n5\tapp\tNMap SYN scan\tnone\t14\t4:64\n",
	}
	got, err := scored(t, files, "-v")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"| Apple, IPv4 | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |\n",
		"| Proxy, IPv4 | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 1 | 0 |\n",
		"| BSD, IPv4 | 1 | 0 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 1 | 0 | 0 | 0 |\n",
		"| Cisco, IPv4 | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |\n",
		"| Tool, IPv4 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 1 | 0 | 1 | 0 | 0 | 0 |\n",
		"| all | 6 | 1 | 0 | 0 | 1 | 2 | 1 | 1 | 0 | 2 | 0 | 1 | 1 |\n",
		"| `linux` | 0 (0) | 0 (0) | 1 (1) |\n",
		"| `windows` | 0 (0) | 0 (0) | 1 (1) |\n",
		"\nLeft out: 1 SYNs without TCP options and without a label.\n",
		"\nwrong:\n     1  proxy: Windows",
		"     1  apple: Linux",
		"\nwrong at low:\n     1  bsd: macOS",
		"\nunknown:\n     1  cisco: unknown; 4:60+4:",
		"\ntool:\n     1  tool: naabu (exact); 4:50+14:",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in\n%s", part, got)
		}
	}
	if plain, err := scored(t, files); err != nil || !strings.HasPrefix(got, plain) || strings.Contains(plain, "\nwrong:") {
		t.Errorf("without -v: %v\n%s", err, plain)
	}
}

func TestRefuses(t *testing.T) {
	const heading = "n\tfile\tframe\thint\n"
	for _, test := range []struct {
		name    string
		files   map[string]string
		message string
	}{
		{"no captures", map[string]string{"a.txt": ""}, "no captures: want files *.pcap or *.pcapng"},
		{"not a capture", map[string]string{"a.pcap": "something else, but long enough"}, "a.pcap"},
		{"a capture cut off", map[string]string{"a.pcap": four[:len(four)-100]}, "a.pcap"},
		{"no tab", map[string]string{"a.tsv": "1\tlinux\n2 linux\n"}, "a.tsv:2: 1 columns: want a packet number, source address or address:port, a tab, and a label"},
		{"three columns", map[string]string{"a.tsv": "1\tlinux\t5.15\n"}, "a.tsv:1: 3 columns"},
		{"no packet", map[string]string{"a.tsv": "#\n\nhost\tlinux\n"}, `a.tsv:3: bad packet "host": want its number, source address or address:port`},
		{"packet 0", map[string]string{"a.tsv": "0\tlinux\n"}, `a.tsv:1: bad packet "0"`},
		{"no system", map[string]string{"a.tsv": "1\tlinus\n"}, `a.tsv:1: unknown system "linus": want ?, a known system such as Android, or one of linux,`},
		{"empty label", map[string]string{"a.tsv": "1\t\n"}, `a.tsv:1: unknown system ""`},
		{"two labels", map[string]string{"a.tsv": "1\tlinux\n1\tWindows\n"}, `a.tsv:2: 1 has two labels: "linux" and "windows"`},
		{"two labels for an address", map[string]string{"a.tsv": "192.0.2.1\tlinux\n::ffff:192.0.2.1\tbsd\n"}, `a.tsv:2: 192.0.2.1 has two labels`},
		{"packet behind the last", map[string]string{"a.tsv": "1\tlinux\n5\tlinux\n"}, "a.tsv:2: packet 5: the capture has 4 packets"},
		{"packet of no capture", map[string]string{"LABELLED.tsv": "192.0.2.1\tlinux\n1\tlinux\n"}, "LABELLED.tsv:2: a packet number here names no capture"},
		{"row behind the last", map[string]string{"a.tsv": heading + "9\ta\t9\t\n"}, "a.tsv:2: packet 9: the capture has 4 packets"},
		{"short row", map[string]string{"a.tsv": heading + "1\ta\n"}, "a.tsv:2: 2 columns: the heading has 4"},
		{"bad row", map[string]string{"a.tsv": heading + "one\ta\t1\t\n"}, `a.tsv:2: bad packet number "one": packets are counted from 1`},
		{"bad evidence", map[string]string{"LABELLED.tsv": "repo\tfile\tframe\tos_family\na\tb\t1\tAmoeba\n"}, `LABELLED.tsv:2: unknown system "amoeba"`},
		{"evidence without a family", map[string]string{"LABELLED.tsv": "repo\tfile\tframe\n"}, `LABELLED.tsv:1: no column "os_family"`},
		{"rows without a hint", map[string]string{"a.tsv": "n\tfile\tframe\n"}, `a.tsv:1: no column "hint"`},
		{"p0f's columns", map[string]string{"a.p0f.tsv": "n\tkind\n"}, "a.p0f.tsv:1: 2 columns: want n, kind, answer, params, dist, raw_sig"},
		{"p0f's packet", map[string]string{"a.p0f.tsv": "n\tkind\tanswer\tparams\tdist\traw_sig\nx\tos\ta\tb\t0\tc\n"}, `a.p0f.tsv:2: bad packet number "x"`},
	} {
		files := map[string]string{"a.pcap": four}
		if test.name == "no captures" {
			clear(files)
		}
		maps.Copy(files, test.files)
		out, err := scored(t, files)
		if err == nil || !strings.Contains(err.Error(), test.message) || out != "" {
			t.Errorf("%s: error %v, want %q; printed %q", test.name, err, test.message, out)
		}
	}
	for name, args := range map[string][]string{
		"want captures, or direct":   nil,
		"no such file":               {filepath.Join(t.TempDir(), "none")},
		"none.fp":                    {"-database", "none.fp", t.TempDir()},
		"flag provided but not defi": {"-update", t.TempDir()},
	} {
		if err := run(new(bytes.Buffer), args); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: error %v, want %q", args, err, name)
		}
	}
}

// FuzzSheet: what is read has only labels that can be scored; what is not read gives an error
// with file and line, and nothing else.
func FuzzSheet(f *testing.F) {
	for _, seed := range []string{
		"", "1\tlinux\n", "192.0.2.1:80\tWindows 11\r\n# a\n\n2001:db8::1\t?\n", "[2001:db8::1]:80\ttool\n",
		"n\tfile\tframe\thint\n1\ta\t2\tua=Android 12\n", "repo\tfile\tframe\tos_family\na\tb\t3\tApple\n", "1 linux\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := parseSheet("file", bytes.NewReader(text))
		if err != nil {
			if s != nil || !strings.HasPrefix(err.Error(), "file:") {
				t.Fatalf("%v, and a sheet: %v", err, s != nil)
			}
			return
		}
		wants := slices.Concat(slices.Collect(maps.Values(s.numbers)), slices.Collect(maps.Values(s.ports)),
			slices.Collect(maps.Values(s.hosts)), slices.Collect(maps.Values(s.evidence)))
		for _, want := range wants {
			if again, err := wanted(want); want != "" && (err != nil || again != want) {
				t.Fatalf("label %q is read again as %q, %v", want, again, err)
			}
		}
		for number := range s.numbers {
			if number < 1 || number > s.last.number {
				t.Fatalf("packet %d, and the last is %d", number, s.last.number)
			}
		}
	})
}
