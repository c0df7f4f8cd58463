package client

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/knock"
	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
)

func sequence(t testing.TB, s string) []port.Range {
	t.Helper()
	var seq []port.Range
	for field := range strings.SplitSeq(s, ",") {
		seq = append(seq, element(t, strings.TrimSpace(field)))
	}
	return seq
}

func element(t testing.TB, s string) port.Range {
	t.Helper()
	e, err := port.ParseKnock(s)
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
		Name: "ssh.example.org", Origin: "hosts.toml:3", Settings: Settings{
			Kind: Shared, Address: "10.3.2.1", Sequence: sequence(t, "tcp/50053, icmp, udp/6020"),
			Delay: to(500 * time.Millisecond), Verify: element(t, "tcp/22"),
		},
	}, {
		Name: "nas", Settings: shared(t, "tcp/1, tcp/2"), Origin: "hosts.toml:10",
	}, {
		Name: "fd00::1", Settings: shared(t, "icmp, icmp"), Origin: "hosts.toml:13",
	}}
	if diff := diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// to returns a pointer to a value.
func to[T any](v T) *T { return &v }

func shared(t testing.TB, s string) Settings {
	t.Helper()
	return Settings{Kind: Shared, Sequence: sequence(t, s)}
}

// diff compares hosts, plans and their parts. Keys are compared with Equal.
func diff(want, got any) string {
	return cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}),
		cmp.FilterValues(func(x, y error) bool { return x != nil && y != nil },
			cmp.Comparer(func(x, y error) bool { return x.Error() == y.Error() })))
}

func TestParseHostsOfAllKinds(t *testing.T) {
	t.Setenv("HOME", "/home/mbr")
	const file = `
[siv]
knock = "encrypted"
key_file = "siv.key"
open = "tcp/22"
allow = "fd00::2"
user = "mbr"
rotate = true
repeat = 3

[article]
knock = "encrypted"
encoding = "article"
key_file = "~/keys/article"
open = ["icmp"]
allow = "source"
port_base = 60000
delay = "0s"

[spa]
knock = "spa"
address = "10.3.2.1"
key = "base64:AAECAwQFBgcICQoLDA0ODw=="
hmac_key_file = "/etc/hmac"
open = ["tcp/22", "udp/1194"]
port = 62202
timeout = "60s"
hmac = "sha512"
digest = "sha3-256"
cipher = "legacy"

[open]
knock = "spa"
hmac = "none"

[totp]
knock = "totp"
key_file = "../totp"
algorithm = "sha256"
port_base = 65136
verify = "tcp/22"
`
	got, err := ParseHosts("/etc/nft/hosts.toml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	want := []Host{
		{Name: "siv", Origin: "/etc/nft/hosts.toml:2", Settings: Settings{
			Kind: Encrypted, KeyFile: "/etc/nft/siv.key", Open: []port.Range{element(t, "tcp/22")},
			Allow: netip.MustParseAddr("fd00::2"), User: "mbr", Rotate: to(true), Repeat: 3,
		}},
		{Name: "article", Origin: "/etc/nft/hosts.toml:11", Settings: Settings{
			Kind: Encrypted, Encoding: Article, KeyFile: "/home/mbr/keys/article", Open: []port.Range{element(t, "icmp")},
			Allow: Source, PortBase: 60000, Delay: to(time.Duration(0)),
		}},
		{Name: "spa", Origin: "/etc/nft/hosts.toml:20", Settings: Settings{
			Kind: SPA, Address: "10.3.2.1", Key: rawKey(t, "000102030405060708090a0b0c0d0e0f"), HMACKeyFile: "/etc/hmac",
			Open: sequence(t, "tcp/22, udp/1194"), Port: 62202, Timeout: time.Minute,
			HMAC: to(spa.SHA512), Digest: spa.SHA3_256, Cipher: to(spa.Legacy),
		}, Warnings: []string{"/etc/nft/hosts.toml:23: key stands in the file itself: a key_file of its own is easier to keep secret"}},
		{Name: "open", Origin: "/etc/nft/hosts.toml:32", Settings: Settings{Kind: SPA, HMAC: to(spa.Hash(0))}},
		{Name: "totp", Origin: "/etc/nft/hosts.toml:36", Settings: Settings{
			Kind: TOTP, KeyFile: "/etc/totp", Algorithm: to(totp.SHA256), PortBase: 65136, Verify: element(t, "tcp/22"),
		}},
	}
	if diff := diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// rawKey is a key of bytes in hexadecimal.
func rawKey(t testing.TB, s string) *secret.Key {
	t.Helper()
	raw, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(raw)
}

func TestHostsMistakes(t *testing.T) {
	long := strings.Repeat(`"icmp",`, knock.MaxSequence+1)
	for _, tt := range []struct{ name, file, want string }{
		{"bad syntax", "[a]\nsequence = tcp/1", `f:2:12: expected value but found "tcp" instead`},
		{"bad unknown key", "[a]\nsequence = ['tcp/1', 'tcp/2']\n  repaet = 2", `f:3:3: unknown key "repaet"`},
		{"bad case of a key", "[a]\nSequence = ['tcp/1', 'tcp/2']", `f:2:1: unknown key "Sequence"`},
		{"bad element", "[a]\nsequence = [\n 'icmp',\n \"tcp/70000\"]", `f:4:2: bad port in knock "tcp/70000": want 1 to 65535`},
		{"bad element with escapes", "[a]\nsequence = [\"tc\\u0071\"]", `f:2:12: bad knock "tcq": want tcp/PORT, udp/PORT or icmp`},
		{"bad type of sequence", "[a]\nsequence = 'tcp/1, tcp/2'", `f:2:13: sequence is not a list: want sequence = ["tcp/7000", "udp/8000"]`},
		{"bad type of an element", "[a]\nsequence = ['icmp', 7000]", `f:2:12: element 2 of sequence is not text: want "tcp/PORT", "udp/PORT" or "icmp"`},
		{"bad short sequence", "[a]\nsequence = ['tcp/1']", `f:2:12: a sequence of length 1: want 2 to 32 elements`},
		{"bad empty sequence", "[a]\nsequence = []", `f:2:12: a sequence of length 0: want 2 to 32 elements`},
		{"bad long sequence", "[a]\nsequence = [" + long + "]", `f:2:12: a sequence of length 33: want 2 to 32 elements`},
		{"bad host without a knock", "[a]\naddress = '10.3.2.1'", `f:1:1: host "a" has no knock: want sequence = ["tcp/7000", "udp/8000"], or knock = "encrypted" and others`},
		{"bad host without a sequence", "[a]\nknock = 'shared'", `f:1:1: host "a" has no sequence: want sequence = ["tcp/7000", "udp/8000"]`},
		{"bad kind", "[a]\nknock = 'siv'", `f:2:10: bad knock "siv": want shared, encrypted, spa or totp`},
		{"bad key of another kind", "[a]\nsequence = ['icmp', 'icmp']\n open = 'tcp/22'", `f:3:2: open has no effect with knock = "shared": it belongs to encrypted or spa`},
		{"bad sequence in another kind", "[a]\nknock = 'totp'\nsequence = ['icmp', 'icmp']", `f:3:1: sequence has no effect with knock = "totp": it belongs to shared`},
		{"bad encoding", "[a]\nknock = 'encrypted'\nencoding = 'aes'", `f:3:13: bad encoding "aes": want siv, article or fwknop-1.9`},
		{"bad base of lanes", "[a]\nknock = 'encrypted'\nport_base = 52737", `f:3:13: bad port base 52737: want 1 to 52736, so that all ports of encoding siv have room`},
		{"bad base of bytes", "[a]\nport_base = 65281\nknock = 'encrypted'\nencoding='article'", `f:2:13: bad port base 65281: want 1 to 65280, so that all ports of encoding article have room`},
		{"bad base of codes", "[a]\nknock = 'totp'\nport_base = 65137", `f:3:13: bad port base 65137: want 1 to 65136, so that all ports of a one-time code have room`},
		{"bad base of none", "[a]\nknock = 'totp'\nport_base = 0", `f:3:13: bad port "0": want 1 to 65535`},
		{"bad type of base", "[a]\nknock = 'totp'\nport_base = '1'", `f:3:14: port_base is not a number: want port_base = 48000`},
		{"bad type of rotate", "[a]\nknock = 'totp'\nrotate = 1", `f:3:10: rotate is not true or false: want rotate = true`},
		{"bad type of open", "[a]\nknock = 'spa'\nopen = 22", `f:3:8: open is not text in quotes or a list of it: want open = "tcp/22"`},
		{"bad empty open", "[a]\nknock = 'spa'\nopen = []", `f:3:8: open is an empty list: want open = "tcp/22"`},
		{"bad item of open", "[a]\nknock = 'spa'\nopen = ['tcp/22', 'ssh']", `f:3:19: bad service to open "ssh": want tcp/PORT, udp/PORT or icmp`},
		{"bad icmp over SPA", "[a]\nknock = 'spa'\nopen = ['tcp/22', 'icmp']", `f:3:8: SPA cannot ask for icmp: want tcp/PORT or udp/PORT`},
		{"bad two services", "[a]\nknock = 'encrypted'\nopen = ['tcp/22', 'udp/53']", `f:3:8: 2 services to open: an encrypted knock asks for one, SPA for several`},
		{"bad IPv6 in article", "[a]\nknock = 'encrypted'\nallow = 'fd00::1'\nencoding='fwknop-1.9'", `f:3:10: bad address to allow fd00::1: encoding fwknop-1.9 holds IPv4 alone, siv holds both`},
		{"bad allow", "[a]\nknock = 'encrypted'\nallow = 'me'", `f:3:10: bad address to allow "me": want an IP address, or "source" for that of the packets`},
		{"bad user", "[a]\nknock = 'encrypted'\nuser = 'm b'", `f:3:9: bad user "m b": want 1 to 64 bytes of UTF-8 that print, and no blanks`},
		{"bad repeat", "[a]\nsequence = ['icmp', 'icmp']\nrepeat = 11", `f:3:10: bad repeat "11": want 1 to 10`},
		{"bad timeout", "[a]\nknock = 'spa'\ntimeout = '500ms'", `f:3:12: bad timeout "500ms": want whole seconds with their unit, such as "60s" or "5m"`},
		{"bad hmac", "[a]\nknock = 'spa'\nhmac = 'crc'", `f:3:9: bad hash "crc": want md5, sha1, sha256, sha384, sha512, sha3-256 or sha3-512, or none`},
		{"bad hmac key without HMAC", "[a]\nknock = 'spa'\nhmac = 'none'\nhmac_key_file = 'x'", `f:4:18: hmac none and hmac_key_file exclude each other`},
		{"bad two keys", "[a]\nknock = 'spa'\nkey = 'hunter2'\nkey_file = 'x'", `f:4:13: key and key_file exclude each other`},
		{"bad empty path", "[a]\nknock = 'spa'\nkey_file = ''", `f:3:13: empty path: want that of a file that holds the key`},
		{"bad key, and nothing of it shown", "[a]\nknock = 'spa'\nkey = 'base64:hunter2!'", `f:3:8: bad key: what follows base64: does not decode: want the standard alphabet`},
		{"bad key without quotes, and nothing of it shown", "[a]\nknock = 'spa'\nkey = hunter2", `f:3:7: not valid TOML: want a value in quotes`},
		{"bad delay without a unit", "[a]\ndelay = 3", `f:2:9: delay is not text in quotes: want delay = "500ms"`},
		{"bad delay in quotes", "[a]\ndelay = '3'", `f:2:10: bad delay "3": want a number with its unit, such as "500ms" or "3s"`},
		{"bad negative delay", "[a]\ndelay = '-3s'", `f:2:10: bad delay "-3s": want a number with its unit, such as "500ms" or "3s"`},
		{"bad verify", "[a]\nverify = 'udp/53'", `f:2:11: cannot verify "udp/53": want a TCP port, such as tcp/22`},
		{"bad address", "[a]\naddress = '10.3.2.1:22'", `f:2:12: bad address "10.3.2.1:22": want an IP address or a host name`},
		{"bad type of address", "[a]\naddress = 10", `f:2:11: address is not text in quotes: want address = "10.3.2.1"`},
		{"bad host name", "['a b']\n", `f:1:1: bad host name "a b": want the name or address that you type to reach this host`},
		{"bad dots without quotes", "[ssh.example.org]\n", `f:1:1: unexpected table ssh.example.org`},
		{"bad one dot without quotes", "[example.org]\n", `f:1:1: unexpected table example.org`},
		{"bad table inside of a host", "[a]\nsequence = ['icmp', 'icmp']\n[a.b]", `f:3:1: unexpected table a.b`},
		{"bad key outside of a host", "delay = '3s'\n", `f:1:10: "delay" is outside of any host`},
		{"bad list of tables", "[[a]]\ndelay = '3s'\n", `f:1:1: "a" is outside of any host`},
		{"bad host twice", "[a]\nsequence=['icmp','icmp']\n[A]", `f:3:1: host "A" is defined twice, first at f:1`},
		{"bad dotted key", "a.delay = '3s'", `f:1:3: unexpected key a.delay`},
		{"bad dotted key after a host", "a = {sequence=['icmp','icmp']}\nb.delay='3s'", `f:2:3: unexpected key b.delay`},
		{"bad value in braces", "a = {sequence = ['icmp', 'icmp'], delay = 3}", `f:1:43: delay is not text in quotes: want delay = "500ms"`},
		{"bad element that a comment has, too", "[a]\nsequence = [ # \"tcp/0\"\n  'tcp/0']", `f:3:3: bad port in knock "tcp/0": want 1 to 65535`},
		{"bad element behind characters of two bytes", "\"ä\" = {sequence = ['icmp', 'ü', 'ö']}", `f:1:28: bad knock "ü": want tcp/PORT, udp/PORT or icmp`},
		{"bad syntax behind characters of two bytes", "[\"ä\"] ö", `f:1:6: expected a top-level item to end with a newline, comment, or EOF, but got 'ö' instead`},
		{"bad key below a byte order mark", "\ufeff[a]\n\nrepaet = 2", `f:3:1: unknown key "repaet"`},
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
	stanza := Settings{Kind: SPA, Address: "10.3.2.1", Key: secret.New([]byte("secret:")), HMAC: to(spa.Hash(0))}
	home := stanza
	home.Open = []port.Range{element(t, "tcp/22")}
	warnings := []string{"rc:16: RESOLVE_URL has no effect: " + resolveReason}
	want := []Host{
		{Name: "10.3.2.1", Settings: shared(t, "tcp/50053, udp/6020, icmp, icmp, tcp/24034, udp/9680"), Origin: "rc:3"},
		{Name: "ssh.example.org", Settings: shared(t, "tcp/1, tcp/2"), Origin: "rc:8"},
		{Name: "fd00::1", Settings: shared(t, "tcp/3, icmp"), Origin: "rc:9"},
		{Name: "fd00::2", Settings: shared(t, "tcp/4, icmp"), Origin: "rc:10"},
		{Name: "fe80::1%eth0", Settings: shared(t, "tcp/4, udp/4"), Origin: "rc:11"},
		{Name: "last", Settings: shared(t, "tcp/5, tcp/6"), Origin: "rc:19"},
		{Name: "default", Settings: stanza, Origin: "rc:13", Stanza: true, Warnings: warnings},
		{Name: "home", Settings: home, Origin: "rc:17", Stanza: true, Warnings: warnings},
	}
	if diff := diff(want, got); diff != "" {
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
		{"bad twice", "10.3.2.1: icmp, icmp\n::ffff:10.3.2.1: icmp, icmp", `f:2:1: ::ffff:10.3.2.1 is defined twice, first at f:1`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hosts, err := ParseRC("f", []byte(tt.file))
			wantMistake(t, hosts, err, tt.want)
		})
	}
}

// FuzzParseHosts: on error the result is nil, and hosts that are printed and parsed again
// are the same.
func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("[\"a.b\"]\nsequence = [\"tcp/1\", 'icmp']\naddress = \"::1\"\ndelay = \"5ms\"\nverify = \"tcp/22\"\n"))
	f.Add([]byte("[a.b.c]\nx.y = [{z = 1}]\n[[d]]\ne = 1979-05-27\n"))
	f.Add([]byte("a = {sequence = [\"tcp/1\", \"udp/2\"]}\nb.delay = 3"))
	f.Add([]byte("\ufeff[a]\nsequence = ['''tcp/1''', \"\"\"icmp\"\"\", '\\u0041', \"\\u0041\"]\n"))
	f.Add([]byte("[a]\nknock = 'encrypted'\nencoding = 'article'\nkey_file = '~/k'\nopen = 'udp/1'\nallow = 'source'\nuser = 'u'\nrotate = true\nrepeat = 2\nport_base = 1\n"))
	f.Add([]byte("[a]\nknock = 'spa'\nkey = 'base64:AAAA'\nhmac_key = 'x'\nopen = ['tcp/1', 'udp/2']\nallow = '::1'\nport = 9\ntimeout = '60s'\nhmac = 'md5'\ndigest = 'sha1'\ncipher = 'legacy'\n"))
	f.Add([]byte("[a]\nknock = 'totp'\nkey = 'JBSWY3DPEHPK3PXP'\nalgorithm = 'sha256'\nverify = 'tcp/1'\nhmac = 'none'\n"))
	f.Fuzz(func(t *testing.T, data []byte) { roundTrip(t, data, ParseHosts, printTOML) })
}

// FuzzParseRC is like FuzzParseHosts. Stanzas are printed as hosts of hosts.toml.
func FuzzParseRC(f *testing.F) {
	f.Add([]byte("10.3.2.1: tcp/50053, udp/6020, icmp,\n icmp # x\n"))
	f.Add([]byte("[fd00::1]: icmp,icmp\nfd00::2: icmp, tcp/1,\n[default]\nKEY a:b\nKEY: c\nh: udp/1,udp/2"))
	f.Add([]byte("[default]\nSPOOF_USER x\n[s]\nSPA_SERVER 10.3.2.1\nACCESS tcp/22,udp/1\nKEY_BASE64 AAAA\nHMAC_KEY k ; c\nFW_TIMEOUT\t60\n"))
	f.Add([]byte("[s]\nUSE_HMAC Y\nHMAC_DIGEST_TYPE SHA512\nDIGEST_TYPE MD5\nENCRYPTION_MODE legacy\nALLOW_IP source\nNAT_LOCAL N\nRAND_PORT Y\n[s]\nKEY=1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		roundTrip(t, data, ParseRC, printRC)
		hosts, _ := ParseRC("f", data)
		for _, h := range hosts {
			if h.Stanza {
				stanzaRoundTrip(t, h)
			}
		}
	})
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
	hosts = slices.DeleteFunc(hosts, func(h Host) bool { return h.Stanza })
	var b strings.Builder
	for i := range hosts {
		hosts[i].Origin = fmt.Sprintf("f:%d", 1+strings.Count(b.String(), "\n"))
		hosts[i].Warnings = nil
		b.WriteString(print(hosts[i]))
	}
	again, err := parse("f", []byte(b.String()))
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	for i := range again {
		again[i].Warnings = nil
	}
	if len(hosts) == 0 && len(again) == 0 {
		return
	}
	if diff := diff(hosts, again); diff != "" {
		t.Fatal(diff)
	}
}

// stanzaRoundTrip: a stanza without mistakes can be written as a host of
// hosts.toml.
func stanzaRoundTrip(t *testing.T, h Host) {
	if h.Err != nil {
		var e *Error
		if !errors.As(h.Err, &e) || !e.Config || strings.HasPrefix(h.Err.Error(), "f:0") {
			t.Fatalf("%#v", h.Err)
		}
		return
	}
	host := Host{Name: "a", Settings: h.Settings, Origin: "f:1"}
	again, err := ParseHosts("f", []byte(printTOML(host)))
	if err != nil {
		t.Fatalf("%v\n%s", err, printTOML(host))
	}
	again[0].Warnings = nil
	if diff := diff([]Host{host}, again); diff != "" {
		t.Fatal(diff)
	}
}

func printRC(h Host) string {
	return "[" + h.Name + "]: " + strings.Trim(strings.ReplaceAll(list(h.Settings.Sequence), `"`, ""), "[]") + "\n"
}

// printTOML writes all settings that a host has.
func printTOML(h Host) string {
	s := h.Settings
	var b strings.Builder
	fmt.Fprintf(&b, "[%s]\n", quote(h.Name))
	say := func(said bool, name, value string) {
		if said {
			fmt.Fprintf(&b, "%s = %s\n", name, value)
		}
	}
	say(true, "knock", quote(string(s.Kind)))
	say(s.Address != "", "address", quote(s.Address))
	say(s.Verify != port.Range{}, "verify", quote(s.Verify.String()))
	say(s.Sequence != nil, "sequence", list(s.Sequence))
	say(s.Encoding != "", "encoding", quote(string(s.Encoding)))
	say(s.Open != nil, "open", list(s.Open))
	say(s.Forward.Port != 0, "forward", quote(s.Forward.String()))
	say(s.Allow.IsValid(), "allow", quote(s.Allow.String()))
	say(s.User != "", "user", quote(s.User))
	say(s.PortBase != 0, "port_base", fmt.Sprint(s.PortBase))
	say(s.Port != 0, "port", fmt.Sprint(s.Port))
	say(s.Repeat != 0, "repeat", fmt.Sprint(s.Repeat))
	say(s.Timeout != 0, "timeout", quote(s.Timeout.String()))
	say(s.Digest != 0, "digest", quote(s.Digest.String()))
	say(s.KeyFile != "", "key_file", quote(s.KeyFile))
	say(s.HMACKeyFile != "", "hmac_key_file", quote(s.HMACKeyFile))
	if s.Delay != nil {
		say(true, "delay", quote(s.Delay.String()))
	}
	if s.Rotate != nil {
		say(true, "rotate", fmt.Sprint(*s.Rotate))
	}
	if s.HMAC != nil && *s.HMAC == 0 {
		say(true, "hmac", `"none"`)
	} else if s.HMAC != nil {
		say(true, "hmac", quote(s.HMAC.String()))
	}
	if s.Cipher != nil {
		say(true, "cipher", quote(s.Cipher.String()))
	}
	if s.Algorithm != nil {
		say(true, "algorithm", quote(s.Algorithm.String()))
	}
	if s.Key != nil {
		say(true, "key", quote(s.Key.Text()))
	}
	if s.HMACKey != nil {
		say(true, "hmac_key", quote(s.HMACKey.Text()))
	}
	return b.String()
}

// quote writes a TOML string.
func quote(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r == '"' || r == '\\' || r == 0x7f {
			fmt.Fprintf(&b, "\\u%04X", r)
			continue
		}
		b.WriteRune(r)
	}
	return `"` + b.String() + `"`
}

func list(seq []port.Range) string {
	var items []string
	for _, e := range seq {
		items = append(items, quote(e.String()))
	}
	return "[" + strings.Join(items, ", ") + "]"
}
