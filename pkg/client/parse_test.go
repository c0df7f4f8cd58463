package client

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/knock"
)

func sequence(t testing.TB, s string) []knock.Element {
	t.Helper()
	seq, err := knock.ParseSequence(s)
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func element(t testing.TB, s string) knock.Element {
	t.Helper()
	e, err := knock.ParseElement(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestParseHosts(t *testing.T) {
	const file = `
# at home
["ssh.example.org"]
address = "10.3.2.1"
sequence = ["tcp/50053", "icmp",
	"udp/6020"] # three
delay = "500ms"
verify = "tcp/22"

[nas]
sequence = ['tcp/1', 'tcp/2']

["fd00::1"]
sequence = ["icmp", "icmp"]
`
	got, err := ParseHosts("hosts.toml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []Host{{
		Name: "ssh.example.org", Address: "10.3.2.1", Sequence: sequence(t, "tcp/50053, icmp, udp/6020"),
		Delay: 500 * time.Millisecond, Verify: element(t, "tcp/22"), Origin: "hosts.toml:3",
	}, {
		Name: "nas", Sequence: sequence(t, "tcp/1, tcp/2"), Origin: "hosts.toml:10",
	}, {
		Name: "fd00::1", Sequence: sequence(t, "icmp, icmp"), Origin: "hosts.toml:13",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestHostsMistakes(t *testing.T) {
	long := strings.Repeat(`"icmp",`, knock.MaxSequence+1)
	for _, tt := range []struct{ name, file, want string }{
		{"bad syntax", "[a]\nsequence = tcp/1", `f:2:12: expected value but found "tcp" instead`},
		{"bad unknown key", "[a]\nsequence = ['tcp/1', 'tcp/2']\n  repeat = 2", `f:3:3: unknown key "repeat": want sequence, address, delay or verify`},
		{"bad case of a key", "[a]\nSequence = ['tcp/1', 'tcp/2']", `f:2:1: unknown key "Sequence": want sequence, address, delay or verify`},
		{"bad element", "[a]\nsequence = [\n 'icmp',\n \"tcp/70000\"]", `f:4:2: bad port in knock "tcp/70000": want 1 to 65535`},
		{"bad element with escapes", "[a]\nsequence = [\"tc\\u0071\"]", `f:2:12: bad knock "tcq": want tcp/PORT, udp/PORT or icmp`},
		{"bad type of sequence", "[a]\nsequence = 'tcp/1, tcp/2'", `f:2:13: sequence is not a list: want sequence = ["tcp/7000", "udp/8000"]`},
		{"bad type of an element", "[a]\nsequence = ['icmp', 7000]", `f:2:12: element 2 of the sequence is not text: want "tcp/PORT", "udp/PORT" or "icmp"`},
		{"bad short sequence", "[a]\nsequence = ['tcp/1']", `f:2:12: a sequence of length 1: want 2 to 32 elements`},
		{"bad empty sequence", "[a]\nsequence = []", `f:2:12: a sequence of length 0: want 2 to 32 elements`},
		{"bad long sequence", "[a]\nsequence = [" + long + "]", `f:2:12: a sequence of length 33: want 2 to 32 elements`},
		{"bad host without a sequence", "[a]\naddress = '10.3.2.1'", `f:1:1: host "a" has no sequence: want sequence = ["tcp/7000", "udp/8000"]`},
		{"bad delay without a unit", "[a]\ndelay = 3", `f:2:9: delay is not text in quotes: want delay = "500ms"`},
		{"bad delay in quotes", "[a]\ndelay = '3'", `f:2:10: bad delay "3": want a number with its unit, such as "500ms" or "3s"`},
		{"bad negative delay", "[a]\ndelay = '-3s'", `f:2:10: bad delay "-3s": want a number with its unit, such as "500ms" or "3s"`},
		{"bad verify", "[a]\nverify = 'udp/53'", `f:2:11: cannot verify "udp/53": want a TCP port, such as tcp/22`},
		{"bad address", "[a]\naddress = '10.3.2.1:22'", `f:2:12: bad address "10.3.2.1:22": want an IP address or a host name`},
		{"bad type of address", "[a]\naddress = 10", `f:2:11: address is not text in quotes: want address = "10.3.2.1"`},
		{"bad host name", "['a b']\n", `f:1:1: bad host name "a b": it is what you would type to mean this host`},
		{"bad dots without quotes", "[ssh.example.org]\n", `f:1:1: unexpected table ssh.example.org`},
		{"bad one dot without quotes", "[example.org]\n", `f:1:1: unexpected table example.org`},
		{"bad table inside of a host", "[a]\nsequence = ['icmp', 'icmp']\n[a.b]", `f:3:1: unexpected table a.b`},
		{"bad key outside of a host", "delay = '3s'\n", `f:1:10: "delay" is outside of any host`},
		{"bad list of tables", "[[a]]\ndelay = '3s'\n", `f:1:1: "a" is outside of any host`},
		{"bad host twice", "[a]\nsequence=['icmp','icmp']\n[A]", `f:3:1: host "A" is there twice, first at f:1`},
		{"bad dotted key", "a.delay = '3s'", `f:1:3: unexpected key a.delay`},
		{"bad dotted key after a host", "a = {sequence=['icmp','icmp']}\nb.delay='3s'", `f:2:3: unexpected key b.delay`},
		{"bad value in braces", "a = {sequence = ['icmp', 'icmp'], delay = 3}", `f:1:43: delay is not text in quotes: want delay = "500ms"`},
		{"bad element that a comment has, too", "[a]\nsequence = [ # \"tcp/0\"\n  'tcp/0']", `f:3:3: bad port in knock "tcp/0": want 1 to 65535`},
		{"bad element behind characters of two bytes", "\"ä\" = {sequence = ['icmp', 'ü', 'ö']}", `f:1:28: bad knock "ü": want tcp/PORT, udp/PORT or icmp`},
		{"bad syntax behind characters of two bytes", "[\"ä\"] ö", `f:1:6: expected a top-level item to end with a newline, comment, or EOF, but got 'ö' instead`},
		{"bad key below a byte order mark", "\ufeff[a]\n\nrepeat = 2", `f:3:1: unknown key "repeat": want sequence, address, delay or verify`},
		{"bad second byte order mark", "\ufeff\ufeff[a]", `f:1:1: expected '.' or '=', but got '\ufeff' instead`},
		{"bad deep list", "[a]\nsequence = " + strings.Repeat("[", maxFile), `f:2:28: nested deeper than 16 levels`},
		{"bad deep table", strings.Repeat("a = {", maxFile/5), `f:1:84: nested deeper than 16 levels`},
		{"bad long dotted key", strings.Repeat("a.", maxFile/2), `f:1:33: nested deeper than 16 levels`},
		{"bad long header", "[" + strings.Repeat("a.", maxFile/2) + "a]", `f:1:34: nested deeper than 16 levels`},
		{"bad deep list below a byte order mark", "\ufeffa = " + strings.Repeat("[", maxFile), `f:1:21: nested deeper than 16 levels`},
		{"bad deep list below a mark of UTF-16", "\xff\xfea = " + strings.Repeat("[", maxFile), `f:1:21: nested deeper than 16 levels`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts, err := ParseHosts("f", []byte(tt.file))
			wantMistake(t, hosts, err, tt.want)
		})
	}
}

func wantMistake(t *testing.T, hosts []Host, err error, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !e.Config {
		t.Fatalf("error %#v is not one of configuration", err)
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	if hosts != nil {
		t.Errorf("hosts besides the error: %v", hosts)
	}
}

func TestParseRC(t *testing.T) {
	const file = "\ufeff# comment\r\n" + `
10.3.2.1: tcp/50053, udp/6020, icmp, # half of it
	icmp,

	# in between
	tcp/24034, udp/9680
ssh.example.org:tcp/1,tcp/2,
fd00::1: tcp/3, icmp
  [fd00::2]  : tcp/4, icmp
fe80::1%eth0: tcp/4, udp/4

[default]
SPA_SERVER            10.3.2.1
KEY_BASE64            c2VjcmV0Og==
RESOLVE_URL: https://example.org/ip
[home]
ACCESS                tcp/22
last: tcp/5, tcp/6
`
	got, err := ParseRC("rc", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []Host{
		{Name: "10.3.2.1", Sequence: sequence(t, "tcp/50053, udp/6020, icmp, icmp, tcp/24034, udp/9680"), Origin: "rc:3"},
		{Name: "ssh.example.org", Sequence: sequence(t, "tcp/1, tcp/2"), Origin: "rc:8"},
		{Name: "fd00::1", Sequence: sequence(t, "tcp/3, icmp"), Origin: "rc:9"},
		{Name: "fd00::2", Sequence: sequence(t, "tcp/4, icmp"), Origin: "rc:10"},
		{Name: "fe80::1%eth0", Sequence: sequence(t, "tcp/4, udp/4"), Origin: "rc:11"},
		{Name: "last", Sequence: sequence(t, "tcp/5, tcp/6"), Origin: "rc:19"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRCMistakes(t *testing.T) {
	for _, tt := range []struct{ name, file, want string }{
		{"bad element", "a: tcp/1,   tpc/2", `f:1:13: bad knock "tpc/2": want tcp/PORT, udp/PORT or icmp`},
		{"bad element in the next line", "a: tcp/1,\n   udp/0", `f:2:4: bad port in knock "udp/0": want 1 to 65535`},
		{"bad blanks for commas", "a: tcp/1 tcp/2", `f:1:4: bad port in knock "tcp/1 tcp/2": want 1 to 65535`},
		{"bad two commas", "a: tcp/1,, tcp/2", `f:1:10: bad knock "": want tcp/PORT, udp/PORT or icmp`},
		{"bad line without a destination", "a: tcp/1, tcp/2\n  tcp/3", `f:2:3: "tcp/3" has no destination`},
		{"bad destination", "a b: tcp/1, tcp/2", `f:1:1: bad destination "a b": want a host name or an address`},
		{"bad empty destination", ": tcp/1, tcp/2", `f:1:1: bad destination "": want a host name or an address`},
		{"bad address", "fd00:: 1: tcp/1, tcp/2", `f:1:1: bad destination "fd00:: 1": want a host name or an address`},
		{"bad short sequence", "a: tcp/1\nb: tcp/1, tcp/2", `f:1: a sequence of length 1: want 2 to 32 elements`},
		{"bad empty sequence", "a:", `f:1: a sequence of length 0: want 2 to 32 elements`},
		{"bad long sequence", "a: " + strings.Repeat("icmp,", 33), `f:1:164: a sequence of length 33: want 2 to 32 elements`},
		{"bad twice", "10.3.2.1: icmp, icmp\n::ffff:10.3.2.1: icmp, icmp", `f:2:1: ::ffff:10.3.2.1 is there twice, first at f:1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts, err := ParseRC("f", []byte(tt.file))
			wantMistake(t, hosts, err, tt.want)
		})
	}
}

// FuzzParseHosts: an error comes alone, and what was parsed gives the same
// when it is printed and parsed again.
func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("[\"a.b\"]\nsequence = [\"tcp/1\", 'icmp']\naddress = \"::1\"\ndelay = \"5ms\"\nverify = \"tcp/22\"\n"))
	f.Add([]byte("[a.b.c]\nx.y = [{z = 1}]\n[[d]]\ne = 1979-05-27\n"))
	f.Add([]byte("a = {sequence = [\"tcp/1\", \"udp/2\"]}\nb.delay = 3"))
	f.Add([]byte("\ufeff[a]\nsequence = ['''tcp/1''', \"\"\"icmp\"\"\", '\\u0041', \"\\u0041\"]\n"))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseHosts, printTOML) })
}

// FuzzParseRC: as FuzzParseHosts.
func FuzzParseRC(f *testing.F) {
	f.Add([]byte("10.3.2.1: tcp/50053, udp/6020, icmp,\n icmp # x\n"))
	f.Add([]byte("[fd00::1]: icmp,icmp\nfd00::2: icmp, tcp/1,\n[default]\nKEY a:b\nKEY: c\nh: udp/1,udp/2"))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseRC, printRC) })
}

func roundTrip(t *testing.T, data []byte, parse func(string, []byte) ([]Host, error), print func(Host) string) {
	hosts, err := parse("f", data)
	if err != nil {
		if hosts != nil {
			t.Fatalf("hosts besides the error %v", err)
		}
		if strings.HasPrefix(err.Error(), "f:0") {
			t.Fatalf("no place in %v", err)
		}
		return
	}
	var b strings.Builder
	for i := range hosts {
		hosts[i].Origin = fmt.Sprintf("f:%d", 1+strings.Count(b.String(), "\n"))
		b.WriteString(print(hosts[i]))
	}
	again, err := parse("f", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if diff := cmp.Diff(hosts, again); diff != "" {
		t.Fatal(diff)
	}
}

func printRC(h Host) string { return "[" + h.Name + "]: " + join(h.Sequence, "", ", ") + "\n" }

func printTOML(h Host) string {
	s := fmt.Sprintf("[%s]\nsequence = [%s]\ndelay = \"%s\"\n", quote(h.Name), join(h.Sequence, `"`, ", "), h.Delay)
	if h.Address != "" {
		s += "address = " + quote(h.Address) + "\n"
	}
	if h.Verify != (knock.Element{}) {
		s += "verify = \"" + h.Verify.String() + "\"\n"
	}
	return s
}

// quote writes a TOML string; host names have nothing to escape.
func quote(s string) string { return `"` + s + `"` }

func join(seq []knock.Element, quote, sep string) string {
	var list []string
	for _, e := range seq {
		list = append(list, quote+e.String()+quote)
	}
	return strings.Join(list, sep)
}
