package client

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
	"nftknock/pkg/totp"
)

var made = time.Unix(1_800_000_000, 0).UTC()

// plan completes settings for 10.3.2.1.
func plan(t testing.TB, s Settings) *Plan {
	t.Helper()
	p, err := Request{Host: "10.3.2.1", Settings: s, Login: "mbr"}.Plan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func encode(t testing.TB, s Settings, keys *Secrets) *Knock {
	t.Helper()
	k, err := plan(t, s).Knock(keys, made)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func passphrase(t testing.TB, s string) *secret.Key {
	t.Helper()
	key, err := secret.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// message is the request in these tests, the article's example.
var message = seal.Message{Address: netip.MustParseAddr("192.168.10.2"), Protocol: 6, Port: 22, User: "mbr"}

func encrypted(t testing.TB, e Encoding, allow netip.Addr) Settings {
	return Settings{Kind: Encrypted, Encoding: e, Open: []port.Range{element(t, "tcp/22")}, Allow: allow}
}

func TestOrderedEncodings(t *testing.T) {
	key := passphrase(t, "fwknoptest")
	article, err := seal.NewArticle(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	fwknop, err := seal.NewFwknop19(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		encoding Encoding
		clear    []byte // for 192.168.10.2, which the article shows
		open     func([]byte) (seal.Message, bool)
		size     int
	}{
		{Article, []byte{192, 168, 10, 2, 0, 22, 6, 28, 109, 98, 114, 0, 0, 0, 0}, article.Open, seal.ArticleLen},
		{Fwknop19, []byte{192, 168, 10, 2, 0, 22, 6, 144, 109, 98, 114}, fwknop.Open, seal.Fwknop19Len},
	} {
		t.Run(string(tt.encoding), func(t *testing.T) {
			s := encrypted(t, tt.encoding, message.Address)
			s.Rotate, s.PortBase = to(true), 60000
			k := encode(t, s, &Secrets{Key: key})
			if diff := cmp.Diff(tt.clear, k.Clear); diff != "" {
				t.Errorf("clear text: %s", diff)
			}
			var b []byte
			for i, p := range k.Packets {
				b = append(b, byte(p.To.First-60000))
				if want := rotated(i); p.To.Protocol != want {
					t.Errorf("packet %d is %s", i, p)
				}
			}
			if len(b) != tt.size || !bytes.Equal(b, k.Sealed) {
				t.Errorf("%d packets carry %x, sealed was %x", len(b), b, k.Sealed)
			}
			got, ok := tt.open(b)
			if diff := cmp.Diff(message, got, cmpopts.EquateComparable(netip.Addr{})); !ok || diff != "" {
				t.Errorf("opens: %v, %s", ok, diff)
			}
			if k.Loose || k.Repeat != 1 || k.Delay != orderDelay {
				t.Errorf("loose %v, repeated %d, delay %s", k.Loose, k.Repeat, k.Delay)
			}
		})
	}
}

// rotated returns the protocol of packet i, counted from 0, with Rotate.
func rotated(i int) packet.Protocol {
	if i%2 == 0 {
		return packet.TCP
	}
	return packet.UDP
}

func TestSIV(t *testing.T) {
	for _, tt := range []struct {
		name  string
		key   *secret.Key
		allow netip.Addr
		lanes int
	}{
		{"ok key of 256 bits", rawKey(t, strings.Repeat("01", 32)), message.Address, 38},
		{"ok key of 512 bits", rawKey(t, strings.Repeat("02", 64)), message.Address, 38},
		{"ok passphrase", passphrase(t, "open sesame"), message.Address, 38},
		{"ok sender", rawKey(t, strings.Repeat("01", 32)), Source, 38},
		{"ok nothing said", rawKey(t, strings.Repeat("01", 32)), netip.Addr{}, 38},
		{"ok IPv6", rawKey(t, strings.Repeat("01", 32)), netip.MustParseAddr("fd00::2"), 50},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := encrypted(t, "", tt.allow)
			p, err := Request{Host: "fd00::1", Settings: s, Login: "mbr"}.Plan(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			k, err := p.Knock(&Secrets{Key: tt.key}, made)
			if err != nil {
				t.Fatal(err)
			}
			want := message
			want.Address, want.Time = tt.allow, made
			if tt.allow == Source {
				want.Address = netip.Addr{}
			}
			if diff := cmp.Diff(want, openSIV(t, tt.key, k.Packets), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
			if len(k.Packets) != tt.lanes || !k.Loose || k.Repeat != 2 || k.Delay != 0 {
				t.Errorf("%d packets, loose %v, repeated %d, delay %s", len(k.Packets), k.Loose, k.Repeat, k.Delay)
			}
		})
	}
}

// openSIV opens the message in the ports of packets.
func openSIV(t testing.TB, key *secret.Key, packets []Packet) seal.Message {
	t.Helper()
	var b []byte
	for i, p := range packets {
		b = append(b, byte(int(p.To.First)-seal.DefaultLaneBase-i*seal.LaneWidth))
	}
	newSIV := seal.NewSIV
	if key.Passphrase() {
		newSIV = seal.NewSIVPassphrase
	}
	siv, err := newSIV(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m, ok := siv.Open(b)
	if !ok {
		t.Fatalf("%x does not open", b)
	}
	m.Time = m.Time.UTC()
	return m
}

func TestSPA(t *testing.T) {
	key, hmac := passphrase(t, "open sesame"), rawKey(t, strings.Repeat("03", 64))
	asked := spa.Message{
		Version: "3.0.0", User: "mbr", Time: made, Type: spa.Access, Digest: spa.SHA256,
		Services: []port.Range{port.Single(packet.TCP, 22), port.Single(packet.UDP, 1194)},
	}
	timed := asked
	timed.Type, timed.Timeout, timed.Digest = spa.AccessTimeout, time.Minute, spa.MD5
	timed.User, timed.Address = "root", netip.MustParseAddr("10.1.1.1")
	sealed := spa.Config{Key: key.Bytes(), HMACKey: hmac.Bytes(), HMAC: spa.SHA256}
	toTarget := func(s string) port.Target {
		target, err := port.ParseTarget(s)
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	leading := func(kind spa.Type, nat string) spa.Message {
		m := asked
		m.Type, m.NAT, m.Services = kind, nat, asked.Services[:1]
		if kind == spa.NATAccessTimeout || kind == spa.LocalNATTimeout {
			m.Timeout = time.Minute
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		s      Settings
		config spa.Config
		want   spa.Message
	}{
		{"ok defaults", Settings{}, spa.Config{Key: key.Bytes(), HMACKey: hmac.Bytes(), HMAC: spa.SHA256}, asked},
		{"ok all settings", Settings{
			Allow: timed.Address, User: "root", Timeout: time.Minute, HMAC: to(spa.SHA512), Digest: spa.MD5, Cipher: to(spa.Legacy),
		}, spa.Config{Key: key.Bytes(), HMACKey: hmac.Bytes(), HMAC: spa.SHA512, Cipher: spa.Legacy}, timed},
		{"ok without HMAC", Settings{HMAC: to(spa.Hash(0))}, spa.Config{Key: key.Bytes()}, asked},
		{"ok to a host", Settings{Forward: toTarget("10.0.0.5:22")}, sealed, leading(spa.NATAccess, "10.0.0.5,22")},
		{"ok to a host over IPv6", Settings{Forward: toTarget("[2001:db8::5]:22")}, sealed, leading(spa.NATAccess, "2001:db8::5,22")},
		{"ok to a host for a minute", Settings{Forward: toTarget("10.0.0.5:22"), Timeout: time.Minute}, sealed, leading(spa.NATAccessTimeout, "10.0.0.5,22")},
		{"ok to another port", Settings{Forward: toTarget("local:22")}, sealed, leading(spa.LocalNAT, "10.3.2.1,22")},
		{"ok to another port for a minute", Settings{Forward: toTarget("local:22"), Timeout: time.Minute}, sealed, leading(spa.LocalNATTimeout, "10.3.2.1,22")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Kind, tt.s.Open, tt.s.Port = SPA, tt.want.Services, 62202
			keys := &Secrets{Key: key}
			if tt.config.HMACKey != nil {
				keys.HMACKey = hmac
			}
			k := encode(t, tt.s, keys)
			if len(k.Packets) != 1 || k.Packets[0].To.String() != "udp/62202" || k.Repeat != 1 {
				t.Fatalf("packets %v, repeated %d", k.Packets, k.Repeat)
			}
			reader, err := spa.NewKey(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			got, _, err := reader.Open(k.Packets[0].Payload)
			if err != nil {
				t.Fatal(err)
			}
			got.Random = ""
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTOTP(t *testing.T) {
	secret32 := passphrase(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ") // RFC 6238, appendix B
	for _, tt := range []struct {
		name string
		s    Settings
		keys Secrets
		now  time.Time
		want []string
	}{
		{"ok RFC 6238 at 59 s", Settings{}, Secrets{Key: secret32}, time.Unix(59, 0), // 94287082
			[]string{"tcp/40094", "tcp/40128", "tcp/40270", "tcp/40382"}},
		{"ok typed, rotated, elsewhere", Settings{Rotate: to(true), PortBase: 50000}, Secrets{Code: to(uint32(1020304))}, made,
			[]string{"tcp/50001", "udp/50102", "tcp/50203", "udp/50304"}},
		{"ok SHA-256", Settings{Algorithm: to(totp.SHA256)},
			Secrets{Key: passphrase(t, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA")}, time.Unix(59, 0), // 46119246
			[]string{"tcp/40046", "tcp/40111", "tcp/40292", "tcp/40346"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Kind = TOTP
			k, err := plan(t, tt.s).Knock(&tt.keys, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, elements(*k)); diff != "" {
				t.Error(diff)
			}
			if !k.Loose || k.Repeat != 2 {
				t.Errorf("loose %v, repeated %d", k.Loose, k.Repeat)
			}
		})
	}
}

// elements returns the elements that a knock sends in one round, in order.
func elements(k Knock) []string {
	var list []string
	for _, p := range k.Packets {
		list = append(list, p.To.String())
	}
	return list
}

// No error contains any part of a key.
func TestKeysThatDoNotFit(t *testing.T) {
	const telling = "hunter2"
	short, long := passphrase(t, telling), passphrase(t, strings.Repeat(telling, 5))
	for _, tt := range []struct {
		name string
		s    Settings
		keys Secrets
	}{
		{"bad short passphrase", encrypted(t, SIV, Source), Secrets{Key: short}},
		{"bad raw key", encrypted(t, SIV, Source), Secrets{Key: secret.New([]byte(telling))}},
		{"bad key of the article", encrypted(t, Article, Source), Secrets{Key: long}},
		{"bad key of fwknop 1.9", encrypted(t, Fwknop19, Source), Secrets{Key: short}},
		{"bad key of SPA", Settings{Kind: SPA, Open: sequence(t, "tcp/1, tcp/2")}, Secrets{Key: long, HMACKey: short}},
		{"bad secret", Settings{Kind: TOTP}, Secrets{Key: short}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := plan(t, tt.s).Knock(&tt.keys, made)
			if err == nil || k != nil || strings.Contains(err.Error(), telling) {
				t.Errorf("%v, %v", k, err)
			}
		})
	}
}

func TestRepeatsSendTheSameToken(t *testing.T) {
	k := encode(t, encrypted(t, SIV, Source), &Secrets{Key: rawKey(t, strings.Repeat("01", 64))})
	var r recorder
	if err := k.Send(t.Context(), &r, func(int, int, Packet) {}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.elements[:38], r.elements[38:]) {
		t.Errorf("%v", r.elements)
	}
}
