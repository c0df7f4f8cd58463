package spa

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// field encodes a field in base64.
func field(s string) string { return b64.EncodeToString([]byte(s)) }

// textOf returns a text with the type, the request and further fields.
func textOf(kind, request string, more ...string) string {
	f := []string{"1234567890123456", field("mbr"), "1795421412", "3.0.0", kind, field(request)}
	return strings.Join(append(f, more...), ":")
}

func TestTextsOfMessages(t *testing.T) {
	base := Message{Random: "1234567890123456", User: "mbr", Time: unix(1795421412), Version: "3.0.0"}
	ssh := []port.Range{port.Single(packet.TCP, 22)}
	for _, tt := range []struct {
		name, text string
		set        func(m *Message)
	}{
		{"command with a comma", textOf("0", "0.0.0.0,a,b"), func(m *Message) { m.Command = "a,b" }},
		{"command that is no ASCII", textOf("0", "0.0.0.0,\té"), func(m *Message) { m.Command = "\té" }},
		{"IPv6", textOf("1", "2001:db8::1,tcp/22"), func(m *Message) {
			m.Type, m.Address, m.Services = Access, netip.MustParseAddr("2001:db8::1"), ssh
		}},
		{"server authentication", textOf("1", "0.0.0.0,tcp/22", field("crypt,x")), func(m *Message) {
			m.Type, m.Services, m.ServerAuth = Access, ssh, "crypt,x"
		}},
		{"server authentication and timeout", textOf("3", "0.0.0.0,tcp/22", field("crypt,x"), "2147483647"), func(m *Message) {
			m.Type, m.Services, m.ServerAuth, m.Timeout = AccessTimeout, ssh, "crypt,x", (1<<31-1)*time.Second
		}},
		{"all fields", textOf("4", "0.0.0.0,tcp/22", field("some-host.example,1"), field("y"), "1"), func(m *Message) {
			m.Type, m.Services, m.ServerAuth, m.Timeout = NATAccessTimeout, ssh, "y", time.Second
			m.NAT = "some-host.example,1"
		}},
		{"IPv6 destination", textOf("5", "0.0.0.0,tcp/22", field("fd00::1,65535")), func(m *Message) {
			m.Type, m.Services, m.NAT = LocalNAT, ssh, "fd00::1,65535"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := base
			tt.set(&want)
			got, err := parseText(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, messages); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			if text := string(got.text()); text != tt.text {
				t.Errorf("text is %s, want %s", text, tt.text)
			}
		})
	}
}

func TestUnspecifiedAddressIsTheSender(t *testing.T) {
	for _, address := range []string{"0.0.0.0", "::"} {
		m, err := parseText(textOf("1", address+",tcp/22"))
		if err != nil || m.Address.IsValid() {
			t.Errorf("%s: address %v, error %v, want none", address, m.Address, err)
		}
		m.Address = netip.MustParseAddr(address)
		if got := string(m.text()); got != textOf("1", "0.0.0.0,tcp/22") {
			t.Errorf("%s: text %s", address, got)
		}
	}
}

func TestBadTexts(t *testing.T) {
	const request = "192.0.2.1,tcp/22"
	ok := textOf("1", request)
	change := func(i int, to string) string {
		f := strings.Split(ok, ":")
		f[i] = to
		return strings.Join(f, ":")
	}
	nat := field("10.0.0.5,22")
	for _, tt := range []struct{ name, text, err string }{
		{"empty", "", "number of fields"},
		{"too few fields", ok[:strings.LastIndex(ok, ":")], "number of fields"},
		{"too many fields", textOf("1", request, field("x"), field("y")), "number of fields"},
		{"random value of letters", change(fieldRandom, "123456789012345a"), "random value"},
		{"short random value", change(fieldRandom, "123456789012345"), "random value"},
		{"no user", change(fieldUser, ""), "user name"},
		{"long user", change(fieldUser, field(strings.Repeat("a", 49))), "user name"},
		{"user with control character", change(fieldUser, field("a\x1b")), "user name"},
		{"user with colon", change(fieldUser, field("a:b")), "user name"},
		{"user of Latin-1", change(fieldUser, field("m\xfcller")), "user name"},
		{"user with a mark of direction", change(fieldUser, field("a\u202eb")), "user name"},
		{"user with a line end of Unicode", change(fieldUser, field("a\u2028b")), "user name"},
		{"long user of no ASCII", change(fieldUser, field(strings.Repeat("ü", 24)+"x")), "user name"},
		{"user of Latin-1 in a command", strings.Replace(textOf("0", "x"), field("mbr"), field("m\xfcller"), 1), "user name"},
		{"user padded twice", change(fieldUser, "bWI=="), "user name"},
		{"user padded too much", change(fieldUser, "bWJy===="), "user name"},
		{"user padded for nothing", change(fieldUser, "bWJy="), "user name"},
		{"padding within the user", change(fieldUser, "bW=y"), "user name"},
		{"padding alone", change(fieldUser, "===="), "user name"},
		{"padded spare bits", change(fieldUser, "bWJ="), "user name"},
		{"user with spare bits", change(fieldUser, "bWJ"), "user name"},
		{"user with line end", change(fieldUser, "bWJ\ny"), "user name"},
		{"time with sign", change(fieldTime, "+1795421412"), "time"},
		{"negative time", change(fieldTime, "-1"), "time"},
		{"time with leading zero", change(fieldTime, "01795421412"), "time"},
		{"time of 13 digits", change(fieldTime, "1000000000000"), "time"},
		{"time that does not fit", change(fieldTime, strings.Repeat("9", 40)), "time"},
		{"no time", change(fieldTime, ""), "time"},
		{"no version", change(fieldVersion, ""), "version"},
		{"version of letters", change(fieldVersion, "3.0.0a"), "version"},
		{"long version", change(fieldVersion, "3.0.0.0.0"), "version"},
		{"version of dots", change(fieldVersion, "..."), "version"},
		{"type 7", textOf("7", request), "type"},
		{"type 257", textOf("257", request), "type"},
		{"type with leading zero", textOf("01", request), "type"},
		{"no request", textOf("1", ""), "request"},
		{"no service", textOf("1", "192.0.2.1"), "service"},
		{"service empty", textOf("1", "192.0.2.1,"), "service"},
		{"trailing comma", textOf("1", "192.0.2.1,tcp/22,"), "service"},
		{"port 0", textOf("1", "192.0.2.1,tcp/0"), "service"},
		{"port 65536", textOf("1", "192.0.2.1,tcp/65536"), "service"},
		{"port with leading zero", textOf("1", "192.0.2.1,tcp/022"), "service"},
		{"icmp", textOf("1", "192.0.2.1,icmp/0"), "service"},
		{"none", textOf("1", "192.0.2.1,none/0"), "service"},
		{"upper case", textOf("1", "192.0.2.1,TCP/22"), "service"},
		{"blank", textOf("1", "192.0.2.1, tcp/22"), "service"},
		{"too many services", textOf("1", "0.0.0.0"+strings.Repeat(",tcp/1", 42)), "too long"},
		{"address with leading zeros", textOf("1", "192.0.2.001,tcp/22"), "address"},
		{"address in upper case", textOf("1", "2001:DB8::1,tcp/22"), "address"},
		{"address written out", textOf("1", "2001:db8:0::1,tcp/22"), "address"},
		{"mapped address", textOf("1", "::ffff:192.0.2.1,tcp/22"), "address"},
		{"address with zone", textOf("1", "fe80::1%eth0,tcp/22"), "address"},
		{"host name", textOf("1", "host.example,tcp/22"), "address"},
		{"no address", textOf("1", ",tcp/22"), "address"},
		{"no timeout", textOf("3", request), "timeout"},
		{"timeout 0", textOf("3", request, "0"), "timeout"},
		{"timeout with leading zero", textOf("3", request, "030"), "timeout"},
		{"negative timeout", textOf("3", request, "-1"), "timeout"},
		{"timeout of 32 bits", textOf("3", request, "2147483648"), "timeout"},
		{"timeout in the wrong type", textOf("1", request, "30"), "server authentication"},
		{"timeout before server authentication", textOf("3", request, "30", field("x")), "timeout"},
		{"destination in the wrong type", textOf("1", request, nat, field("x")), "number of fields"},
		{"empty server authentication", ok + ":", "server authentication"},
		{"long server authentication", textOf("1", request, field(strings.Repeat("x", 65))), "server authentication"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseText(tt.text)
			if err == nil {
				t.Fatal("parsed")
			}
			if !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %q does not speak of %q", err, tt.err)
			}
			if !cmp.Equal(m, Message{}, messages) {
				t.Errorf("message beside the error: %+v", m)
			}
		})
	}
}

func TestBadMessagesAreNotSealed(t *testing.T) {
	k := newKey(t, keyed(SHA256))
	for name, change := range map[string]func(m *Message){
		"no time":                   func(m *Message) { m.Time = time.Time{} },
		"no digest":                 func(m *Message) { m.Digest = 0 },
		"unknown digest":            func(m *Message) { m.Digest = SHA3_512 + 1 },
		"unknown type":              func(m *Message) { m.Type = 7 },
		"no service":                func(m *Message) { m.Services = nil },
		"protocol":                  func(m *Message) { m.Services = []port.Range{port.Single(packet.ICMP, 22)} },
		"port":                      func(m *Message) { m.Services = []port.Range{port.Single(packet.TCP, 0)} },
		"command of no command":     func(m *Message) { m.Command = "x" },
		"services of a command":     func(m *Message) { m.Type, m.Command, m.Timeout = Command, "x", 0 },
		"destination of no NAT":     func(m *Message) { m.NAT = "10.0.0.5,22" },
		"no destination":            func(m *Message) { m.Type = NATAccessTimeout },
		"timeout of none":           func(m *Message) { m.Type = Access },
		"no timeout":                func(m *Message) { m.Timeout = 0 },
		"timeout of half a second":  func(m *Message) { m.Timeout = time.Second / 2 },
		"timeout of one and a half": func(m *Message) { m.Timeout = 3 * time.Second / 2 },
		"mapped address":            func(m *Message) { m.Address = netip.MustParseAddr("::ffff:192.0.2.1") },
		"zone":                      func(m *Message) { m.Address = netip.MustParseAddr("fe80::1%1") },
		"no user":                   func(m *Message) { m.User = "" },
		"random value":              func(m *Message) { m.Random = "1" },
		"version":                   func(m *Message) { m.Version = "x" },
		"too short for fwknop": func(m *Message) {
			m.Time, m.Version, m.User, m.Digest, m.Type, m.Timeout = unix(1), "3", "u", MD5, Access, 0
			m.Address, m.Services = netip.Addr{}, m.Services[:1]
			k = newKey(t, Config{Key: []byte("x")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := vectors[1].message
			change(&m)
			if payload, err := k.Seal(m, rand.Reader); err == nil || payload != nil {
				t.Errorf("sealed %q, error %v", payload, err)
			}
		})
	}
}

// exhausted is a reader with no or few random bytes.
type exhausted int

func (e *exhausted) Read(b []byte) (int, error) {
	if *e == 0 {
		return 0, errors.New("exhausted")
	}
	*e--
	clear(b)
	return len(b), nil
}

func TestSealNeedsRandomBytes(t *testing.T) {
	k := newKey(t, keyed(SHA256))
	m := vectors[0].message
	m.Random = ""
	for n := range exhausted(2) {
		if _, err := k.Seal(m, &n); err == nil {
			t.Errorf("sealed after %d reads", n)
		}
	}
	n := exhausted(2)
	payload, err := k.Seal(m, &n)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := k.Open(payload); err != nil || got.Random != strings.Repeat("0", 16) {
		t.Errorf("random value %q, error %v", got.Random, err)
	}
}

func TestLongestMessageFits(t *testing.T) {
	m := Message{
		User: strings.Repeat("u", maxUser), Time: unix(maxTime), Version: "3.0.0.00", Type: NATAccessTimeout,
		Address: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"),
		NAT:     strings.Repeat("h", maxNAT-6) + ",65535", ServerAuth: strings.Repeat("s", maxServerAuth),
		Timeout: maxTimeout * time.Second, Digest: SHA512,
	}
	for len(m.request()) <= maxRequest-len(",udp/1194") {
		m.Services = append(m.Services, port.Single(packet.UDP, 1194))
	}
	k := newKey(t, keyed(SHA512))
	payload, err := k.Seal(m, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Open(payload); err != nil {
		t.Errorf("payload of %d bytes: %v", len(payload), err)
	}
}

func TestTypes(t *testing.T) {
	seen := map[string]bool{}
	for kind := Command; kind <= LocalNATTimeout; kind++ {
		if kind.NAT() != strings.Contains(kind.String(), "NAT") || kind.timed() != strings.Contains(kind.String(), "timeout") {
			t.Errorf("type %d is %q, NAT %v, timed %v", kind, kind, kind.NAT(), kind.timed())
		}
		seen[kind.String()] = true
	}
	if len(seen) != 7 || Type(7).String() != "unknown" || Type(7).NAT() {
		t.Errorf("names %v", seen)
	}
}

// The fields in base64 may have the padding that their length needs, and nothing is changed
// by it.
func TestPaddedFields(t *testing.T) {
	pad := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	plain := []string{"1234567890123456", "mb", "1795421412", "3.0.0", "4", "192.0.2.1,tcp/22", "10.0.0.5,22", "yy", "30"}
	text := func(encode func(string) string) string {
		f := slices.Clone(plain)
		for _, i := range []int{fieldUser, fieldRequest, fieldOptions, fieldOptions + 1} {
			f[i] = encode(f[i])
		}
		return strings.Join(f, ":")
	}
	want, err := parseText(text(field))
	if err != nil {
		t.Fatal(err)
	}
	padded := text(pad)
	if strings.Count(padded, "=") < 4 {
		t.Fatalf("%s is hardly padded", padded)
	}
	got, err := parseText(padded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, messages); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// A packet with padded fields has one token, as any other, and outside of the encrypted text
// no padding is accepted: the packet cannot be sent a second time in another spelling.
func TestPaddedPacketHasOneForm(t *testing.T) {
	k := newKey(t, keyed(SHA256))
	text := "1234567890123456:bWI=:1795421412:3.0.0:1:" + base64.StdEncoding.EncodeToString([]byte("192.0.2.1,tcp/22"))
	text += ":" + base64.StdEncoding.EncodeToString(SHA256.sum([]byte(text)))
	payload := k.payload([]byte("saltsalt"), []byte(text))
	m, token, err := k.Open(payload)
	if err != nil || m.User != "mb" {
		t.Fatalf("user %q, error %v", m.User, err)
	}
	if _, again, err := k.Open(payload); err != nil || again != token {
		t.Errorf("another token for the same packet, error %v", err)
	}
	for _, spelling := range []string{string(payload) + "=", string(payload) + "==", string(payload[:len(payload)-43]) + "=" + string(payload[len(payload)-43:]), "=" + string(payload)} {
		if _, _, err := k.Open([]byte(spelling)); err == nil {
			t.Errorf("opened: %s", spelling)
		}
	}
	without := strings.ReplaceAll(text[:strings.LastIndex(text, ":")], "=", "")
	without += ":" + b64.EncodeToString(SHA256.sum([]byte(without)))
	if _, other, err := k.Open(k.payload([]byte("saltsalt"), []byte(without))); err != nil || other == token {
		t.Errorf("error %v; the message without padding is another packet, which only the key can make: want another token", err)
	}
}

// Types that open nothing are recognised by their type, however the rest is written.
func TestTypesThatOpenNothingNeedNoForm(t *testing.T) {
	const request = "192.0.2.1,tcp/22"
	for _, tt := range []struct {
		name, text string
		kind       Type
	}{
		{"command without an address", textOf("0", "/bin/true"), Command},
		{"command of an address", textOf("0", "192.0.2.1"), Command},
		{"command after a host name", textOf("0", "host.example,/bin/true"), Command},
		{"command of two lines", textOf("0", "192.0.2.1,a\nb"), Command},
		{"command of no UTF-8", textOf("0", "192.0.2.1,\xff"), Command},
		{"long command", textOf("0", "192.0.2.1,"+strings.Repeat("x", 256)), Command},
		{"empty command", textOf("0", ""), Command},
		{"command with timeout and more", textOf("0", "192.0.2.1,x", field("x"), "30"), Command},
		{"no destination", textOf("2", request), NATAccess},
		{"NAT without an address", textOf("2", "tcp/22", field("10.0.0.5,22")), NATAccess},
		{"NAT for a host name", textOf("2", "host.example,tcp/22", field("10.0.0.5,22")), NATAccess},
		{"NAT without a service", textOf("2", "0.0.0.0", field("10.0.0.5,22")), NATAccess},
		{"destination without port", textOf("5", request, field("10.0.0.5")), LocalNAT},
		{"destination with port 0", textOf("2", request, field("10.0.0.5,0")), NATAccess},
		{"destination of two ports", textOf("2", request, field("10.0.0.5,1,2")), NATAccess},
		{"destination like an option", textOf("2", request, field("-x,22")), NATAccess},
		{"destination of no base64", textOf("2", request, "10.0.0.5,22"), NATAccess},
		{"long destination", textOf("2", request, field(strings.Repeat("a", 126)+",22")), NATAccess},
		{"more fields", textOf("4", request, field("10.0.0.5,22"), field("x"), field("y"), "30"), NATAccessTimeout},
		{"no timeout", textOf("6", request, field("10.0.0.5,22")), LocalNATTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Message{Random: "1234567890123456", User: "mbr", Time: unix(1795421412), Version: "3.0.0", Type: tt.kind}
			got, err := parseText(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, messages); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestUsersOfNoASCII(t *testing.T) {
	k := newKey(t, keyed(SHA256))
	for _, user := range []string{"müller", "山田", strings.Repeat("ü", 24)} {
		m := vectors[0].message
		m.User = user
		payload, err := k.Seal(m, rand.Reader)
		if err != nil {
			t.Errorf("%q: %v", user, err)
			continue
		}
		if got, _, err := k.Open(payload); err != nil || got.User != user {
			t.Errorf("%q opens as %q, error %v", user, got.User, err)
		}
	}
	for _, user := range []string{"m\xfcller", "a\u202eb", "a\u0085b", strings.Repeat("ü", 24) + "x"} {
		m := vectors[0].message
		m.User = user
		if _, err := k.Seal(m, rand.Reader); !errors.Is(err, ErrUser) {
			t.Errorf("%q: error %v, want ErrUser", user, err)
		}
	}
}
