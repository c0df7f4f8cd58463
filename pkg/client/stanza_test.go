package client

import (
	"encoding/base64"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
)

// The file was written by fwknop 2.6.10 with --save-rc-stanza.
func TestStanzasThatFwknopWrote(t *testing.T) {
	data, err := os.ReadFile("testdata/fwknoprc")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseRC("rc", data)
	if err != nil {
		t.Fatal(err)
	}
	key, hmac := "not a secret: 32 bytes of a test", "not a secret either: the HMAC key of a test has 64 bytes, as her"
	none := to(spa.Hash(0))
	want := []Host{
		{Name: "default", Origin: "rc:1", Stanza: true, Settings: Settings{Kind: SPA, HMAC: none}},
		{Name: "10.3.2.1", Origin: "rc:2", Stanza: true, Settings: Settings{
			Kind: SPA, Address: "10.3.2.1", Allow: netip.MustParseAddr("10.1.1.1"), Open: sequence(t, "tcp/22, tcp/22")[:1],
			Key: secret.New([]byte(key)), HMACKey: secret.New([]byte(hmac)),
		}},
		{Name: "office", Origin: "rc:9", Stanza: true, Settings: Settings{
			Kind: SPA, Address: "office.example.org", Open: sequence(t, "tcp/22, udp/1194"), User: "mbr", Port: 62202,
			Timeout: time.Minute, Key: secret.New([]byte("made-up")), HMACKey: secret.New([]byte("made-up-too")),
			HMAC: to(spa.SHA384), Digest: spa.SHA512,
		}},
		{Name: "nat.example.org", Origin: "rc:20", Stanza: true, Settings: Settings{
			Kind: SPA, Address: "nat.example.org", Open: sequence(t, "tcp/22, tcp/22")[:1], Key: secret.New([]byte(key)), HMAC: none,
		}, Warnings: []string{"rc:23: RAND_PORT has no effect: the packet goes to one port, as SPA_SERVER_PORT says"},
			Err: configError("", "rc:25: NAT_ACCESS: not supported: forward in hosts.toml, or --forward, asks for it")},
		{Name: "old.example.org", Origin: "rc:28", Stanza: true, Settings: Settings{
			Kind: SPA, Address: "old.example.org", Allow: netip.MustParseAddr("10.1.1.1"), Open: sequence(t, "tcp/22, tcp/22")[:1],
			Key: secret.New([]byte("madeup")), Cipher: to(spa.Legacy), HMAC: none,
		}},
	}
	if diff := diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The behaviour of fwknop 2.6.10 for each line was tested with its option -T.
func TestStanzas(t *testing.T) {
	k64 := base64.StdEncoding.EncodeToString([]byte("raw"))
	base := Settings{Kind: SPA, HMAC: to(spa.Hash(0))}
	with := func(change func(*Settings)) Settings {
		s := base
		change(&s)
		return s
	}
	for _, tt := range []struct {
		name, lines string
		want        Settings
		warning     string // that there is one with these words
	}{
		{"ok colon, tabs, comments and a carriage return", " SPOOF_USER:\tmbr ; x\r\n;SPOOF_USER y\n# z\n SPA_SERVER_PORT 1;2#3", with(func(s *Settings) { s.User, s.Port = "mbr", 1 }), ""},
		{"ok last value", "SPOOF_USER a\nSPOOF_USER b\nACCESS tcp/1,udp/2\nACCESS tcp/3", with(func(s *Settings) { s.User, s.Open = "b", sequence(t, "tcp/3,tcp/3")[:1] }), ""},
		{"ok default elsewhere and in parts", "SPOOF_USER b\n[default]\nSPOOF_USER c\nFW_TIMEOUT 5\n[other]\n[default]\nFW_TIMEOUT 7", with(func(s *Settings) { s.User, s.Timeout = "b", 7*time.Second }), ""},
		{"ok in parts", "SPOOF_USER a\n[other]\nSPOOF_USER b\n[s]\nFW_TIMEOUT 9", with(func(s *Settings) { s.User, s.Timeout = "a", 9*time.Second }), ""},
		{"ok key of the stanza for that of the default", "KEY a\n[default]\nKEY_BASE64 " + k64, with(func(s *Settings) { s.Key = secret.New([]byte("a")) }), ""},
		{"ok passphrase that looks like ours", "KEY base64:AAAA", with(func(s *Settings) { s.Key = secret.New([]byte("base64:AAAA")) }), ""},
		{"ok HMAC key alone", "USE_HMAC N\nHMAC_KEY_BASE64 " + k64, with(func(s *Settings) { s.HMAC, s.HMACKey = nil, secret.New([]byte("raw")) }), ""},
		{"ok HMAC key to be asked for", "USE_HMAC Y\nHMAC_DIGEST_TYPE sha3_256", with(func(s *Settings) { s.HMAC = to(spa.SHA3_256) }), ""},
		{"ok hash without HMAC", "HMAC_DIGEST_TYPE sha1", base, ""},
		{"ok source, timeout of the server, UDP", "ALLOW_IP source\nFW_TIMEOUT 0\nSPA_SERVER_PROTO UDP", with(func(s *Settings) { s.Allow = Source }), ""},
		{"ok zero address", "ALLOW_IP 0.0.0.0", with(func(s *Settings) { s.Allow = Source }), ""},
		{"ok switched off", "NAT_LOCAL N\nUSE_GPG n\nRESOLVE_IP_HTTPS N\nRAND_PORT N\nVERBOSE Y\nNO_SAVE_ARGS Y", base, ""},
		{"ok with a warning, source port", "SPA_SOURCE_PORT 5", base, "SPA_SOURCE_PORT has no effect: the system chooses the source port"},
		{"ok with a warning, GnuPG unused", "GPG_RECIPIENT x", base, "GPG_RECIPIENT has no effect: GnuPG is not used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := findStanza(t, "[s]\n"+tt.lines)
			if h.Err != nil {
				t.Fatal(h.Err)
			}
			if diff := diff(tt.want, h.Settings); diff != "" {
				t.Error(diff)
			}
			if got := strings.Join(h.Warnings, "\n"); !strings.Contains(got, tt.warning) || tt.warning == "" && got != "" {
				t.Errorf("warnings: %s", got)
			}
		})
	}
}

// findStanza parses a file that has a stanza s.
func findStanza(t *testing.T, file string) *Host {
	t.Helper()
	hosts, err := ParseRC("f", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	h, err := Request{Stanza: "s", Hosts: hosts}.findStanza()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestStanzaMistakes(t *testing.T) {
	for _, tt := range []struct{ name, lines, want string }{
		{"bad variable", "SPA_SEVER 10.3.2.1", "f:2: SPA_SEVER: fwknop has no such variable"},
		{"bad case", "spa_server 10.3.2.1", "f:2: this line does not set a variable: want NAME, blanks, VALUE"},
		{"bad equals sign", "KEY=hunter2", "f:2: this line does not set a variable: want NAME, blanks, VALUE"},
		{"bad equals sign between blanks", "KEY = hunter2", "f:2: KEY has more than a value: want one word, and no equals sign before it"},
		{"bad blank in a value", "KEY hunter2 hunter3", "f:2: KEY has more than a value: want one word, and no equals sign before it"},
		{"bad no value", "KEY", "f:2: KEY has no value"},
		{"bad comment for a value", "KEY ;", "f:2: KEY has no value"},
		{"bad two keys", "KEY a\nSPOOF_USER b\nKEY_BASE64 AAAA", "f:4: KEY_BASE64: KEY is set too: want one of them"},
		{"bad two HMAC keys", "HMAC_KEY_BASE64 AAAA\nHMAC_KEY a", "f:3: HMAC_KEY: HMAC_KEY_BASE64 is set too: want one of them"},
		{"bad base64", "KEY_BASE64 hunter2", "f:2: KEY_BASE64: bad key: what follows base64: does not decode: want the standard alphabet"},
		{"bad port", "SPA_SERVER_PORT 0", `f:2: SPA_SERVER_PORT: bad port "0": want 1 to 65535`},
		{"bad protocol", "SPA_SERVER_PROTO tcp", `f:2: SPA_SERVER_PROTO: cannot send SPA over "tcp": want udp`},
		{"bad access", "ACCESS tcp/22,ssh", `f:2: ACCESS: bad service to open "ssh": want tcp/PORT, udp/PORT or icmp`},
		{"bad icmp", "ACCESS tcp/22,icmp", `f:1: SPA cannot ask for icmp: want tcp/PORT or udp/PORT`},
		{"bad timeout", "FW_TIMEOUT 1m", `f:2: FW_TIMEOUT: bad number of seconds "1m"`},
		{"bad cipher", "ENCRYPTION_MODE CFB", `f:2: ENCRYPTION_MODE: bad cipher "CFB": want cbc or legacy`},
		{"bad hash", "HMAC_DIGEST_TYPE none", `f:2: HMAC_DIGEST_TYPE: bad hash "none": want md5, sha1, sha256, sha384, sha512, sha3-256 or sha3-512`},
		{"bad address from the web", "ALLOW_IP resolve", "f:2: ALLOW_IP: not supported: " + resolveReason},
		{"bad address from the web, switched on", "RESOLVE_IP_HTTPS Y", "f:2: RESOLVE_IP_HTTPS: not supported: " + resolveReason},
		{"bad name to allow", "ALLOW_IP localhost", `f:2: ALLOW_IP: bad address to allow "localhost": want an IP address, or "source" for that of the packets`},
		{"bad NAT", "NAT_RAND_PORT Y", "f:2: NAT_RAND_PORT: not supported: forward in hosts.toml, or --forward, asks for it"},
		{"bad GnuPG", "USE_GPG Y", "f:2: USE_GPG: not supported: keys are symmetric, GnuPG is not used"},
		{"bad line in the default", "SPOOF_USER a\n[default]\nUSE_GPG Y", "f:4: USE_GPG: not supported: keys are symmetric, GnuPG is not used"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := findStanza(t, "[s]\n"+tt.lines)
			if h.Err == nil || h.Err.Error() != tt.want {
				t.Errorf("got %v, want %s", h.Err, tt.want)
			}
		})
	}
}

// A mistake in one stanza does not affect the others.
func TestAMistakeIsConfinedToItsStanza(t *testing.T) {
	hosts, err := ParseRC("f", []byte("[bad]\nNONSENSE\n[good]\nSPA_SERVER 10.3.2.1\n[fd00::1]: tcp/1, tcp/2\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		if (h.Err != nil) != (h.Name == "bad") {
			t.Errorf("%s: %v", h.Name, h.Err)
		}
	}
}
