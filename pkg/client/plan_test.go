package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/port"
	"nftknock/pkg/secret"
	"nftknock/pkg/spa"
)

// names is a Lookup that knows ssh.example.org (v6 preferred) and
// v4.example.org.
func names(_ context.Context, network, host string) ([]netip.Addr, error) {
	v4, v6 := netip.MustParseAddr("10.3.2.1"), netip.MustParseAddr("fd00::1")
	switch network + " " + strings.TrimSuffix(strings.ToLower(host), ".") {
	case "ip both.example.org":
		return []netip.Addr{netip.MustParseAddr("fd00::66"), v4}, nil
	case "ip ssh.example.org":
		return []netip.Addr{v6, v4}, nil
	case "ip6 ssh.example.org":
		return []netip.Addr{v6}, nil
	case "ip4 ssh.example.org", "ip v4.example.org", "ip4 v4.example.org":
		return []netip.Addr{netip.AddrFrom16(v4.As16())}, nil
	case "ip broken.example.org":
		return nil, &net.DNSError{Err: "server misbehaving", Name: host}
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// twins is a shared knock of one element twice.
func twins(t *testing.T, e string) Settings { return shared(t, e+", "+e) }

func TestPlan(t *testing.T) {
	one, two, three := twins(t, "tcp/1"), twins(t, "tcp/2"), twins(t, "tcp/3")
	one.Delay, one.Address = to(time.Second), "ssh.example.org"
	two.Verify = element(t, "tcp/22")
	hosts := []Host{
		{Name: "alias", Settings: one, Origin: "f:1"},
		{Name: "10.3.2.1", Settings: two, Origin: "f:2"},
		{Name: "v4.example.org", Settings: three, Origin: "g:1"},
		{Name: "fd00:0::1", Settings: three, Origin: "g:2"},
		{Name: "alias", Settings: three, Origin: "g:3"},
	}
	v4, v6 := netip.MustParseAddr("10.3.2.1"), netip.MustParseAddr("fd00::1")
	v9 := netip.MustParseAddr("10.9.9.9")
	typed := Settings{Sequence: two.Sequence}
	for _, tt := range []struct {
		name   string
		r      Request
		dst    netip.Addr
		want   Settings // without defaults
		origin string
	}{
		{"ok name in a file, first file first", Request{Host: "alias"}, v6, one, "f:1"},
		{"ok name in a file over IPv4", Request{Host: "alias", Network: IP4}, v4, one, "f:1"},
		{"ok address in a file", Request{Host: "10.3.2.1"}, v4, two, "f:2"},
		{"ok IPv6 in brackets", Request{Host: "[fd00::1]"}, v6, three, "g:2"},
		{"ok name before its address", Request{Host: "V4.Example.org."}, v4, three, "g:1"},
		{"ok second address of a name", Request{Host: "both.example.org"}, v4, two, "f:2"},
		{"ok address of a name", Request{Host: "ssh.example.org"}, v6, three, "g:2"},
		{"ok IPv4 address of a name", Request{Host: "ssh.example.org", Network: IP4}, v4, two, "f:2"},
		{"ok sequence overrides", Request{Host: "alias", Settings: typed}, v6,
			Settings{Kind: Shared, Sequence: two.Sequence, Delay: one.Delay, Address: one.Address}, "command line"},
		{"ok part of a knock, typed", Request{Host: "10.9.9.9", Settings: Settings{Sequence: two.Sequence[:1]}}, v9,
			Settings{Kind: Shared, Sequence: two.Sequence[:1]}, "command line"},
		{"ok sequence for a host nobody knows", Request{Host: "10.9.9.9", Settings: typed}, v9,
			Settings{Kind: Shared, Sequence: two.Sequence}, "command line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Hosts = hosts
			got, err := tt.r.Plan(t.Context(), names)
			if err != nil {
				t.Fatal(err)
			}
			want := &Plan{Name: unbracket(tt.r.Host), Dst: tt.dst, Settings: tt.want.over(defaults(Shared, "")), Origin: tt.origin}
			if diff := diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

const everyKind = `
[siv]
knock = "encrypted"
address = "10.3.2.1"
key_file = "/k"
open = "tcp/22"
verify = "tcp/22"
repeat = 4
["10.3.2.1"]
sequence = ["tcp/1", "tcp/2"]
verify = "tcp/80"
`

const everyStanza = `
10.3.2.1: tcp/3, tcp/4
[default]
SPOOF_USER mbr
[office]
SPA_SERVER ssh.example.org
ACCESS tcp/22
KEY secret
HMAC_KEY other
[v4.example.org]
ACCESS udp/53
KEY secret
RAND_PORT Y
[10.3.2.1]
SPA_SERVER 10.9.9.9
ACCESS tcp/1
KEY secret
[bad]
SPA_SERVER 10.3.2.1
NAT_ACCESS 192.168.1.2,22
`

// hostsOf parses both files.
func hostsOf(t *testing.T, hosts, rc string) []Host {
	t.Helper()
	list, err := ParseHosts("h", []byte(hosts))
	if err != nil {
		t.Fatal(err)
	}
	more, err := ParseRC("rc", []byte(rc))
	if err != nil {
		t.Fatal(err)
	}
	return append(list, more...)
}

func TestPlanOfAllKinds(t *testing.T) {
	hosts := hostsOf(t, everyKind, everyStanza)
	v4, v6 := netip.MustParseAddr("10.3.2.1"), netip.MustParseAddr("fd00::1")
	ssh := []port.Range{element(t, "tcp/22")}
	none := "the packet has no HMAC, so that the server cannot tell whether it was altered on its way: " +
		"fwknopd accepts it if it has no HMAC key either, nftknockd with allow_unauthenticated"
	for _, tt := range []struct {
		name string
		r    Request
		want Plan // without defaults
	}{
		{"ok encrypted", Request{Host: "siv", Settings: Settings{PortBase: 40000}}, Plan{Dst: v4, Origin: "h:2", Settings: Settings{
			Kind: Encrypted, Address: "10.3.2.1", KeyFile: "/k", Open: ssh, Verify: ssh[0], Repeat: 4, PortBase: 40000, User: "login"}}},
		{"ok another kind than the file's keeps address and port to verify",
			Request{Host: "siv", Settings: Settings{Kind: TOTP, KeyFile: "/t"}}, Plan{Dst: v4, Origin: "command line", Settings: Settings{
				Kind: TOTP, Address: "10.3.2.1", Verify: ssh[0], KeyFile: "/t"}}},
		{"ok encrypted for a host nobody knows, with the article's defaults",
			Request{Host: "10.9.9.9", Settings: Settings{Kind: Encrypted, Encoding: Article, Open: ssh}},
			Plan{Dst: netip.MustParseAddr("10.9.9.9"), Origin: "command line", Settings: Settings{
				Kind: Encrypted, Encoding: Article, PortBase: 61000, Repeat: 1, Delay: to(orderDelay), Open: ssh, User: "login"}}},
		{"ok stanza", Request{Stanza: "office"}, Plan{Name: "office", Dst: v6, Origin: "rc:5", Settings: Settings{
			Kind: SPA, Address: "ssh.example.org", Open: ssh, User: "mbr", Key: secret.New([]byte("secret")), HMACKey: secret.New([]byte("other"))}}},
		{"ok stanza for another host", Request{Stanza: "office", Host: "10.3.2.1"}, Plan{Dst: v4, Origin: "rc:5", Settings: Settings{
			Kind: SPA, Address: "ssh.example.org", Open: ssh, User: "mbr", Key: secret.New([]byte("secret")), HMACKey: secret.New([]byte("other"))}}},
		{"ok stanza by its name", Request{Host: "v4.example.org"}, Plan{Dst: v4, Origin: "rc:10", Settings: Settings{
			Kind: SPA, Open: []port.Range{element(t, "udp/53")}, User: "mbr", Key: secret.New([]byte("secret")), HMAC: to(spa.Hash(0))},
			Warnings: []string{"rc:13: RAND_PORT has no effect: the packet goes to one port, as SPA_SERVER_PORT says", none}}},
		{"ok HMAC key for a stanza without", Request{Host: "v4.example.org", Settings: Settings{HMACKeyFile: "/h"}}, Plan{Dst: v4, Origin: "rc:10", Settings: Settings{
			Kind: SPA, Open: []port.Range{element(t, "udp/53")}, User: "mbr", Key: secret.New([]byte("secret")), HMACKeyFile: "/h"},
			Warnings: []string{"rc:13: RAND_PORT has no effect: the packet goes to one port, as SPA_SERVER_PORT says"}}},
		{"ok another kind than that of a stanza with a mistake",
			Request{Host: "bad", Settings: Settings{Kind: TOTP, KeyFile: "/t"}}, Plan{Dst: v4, Origin: "command line", Settings: Settings{
				Kind: TOTP, KeyFile: "/t"}}},
		{"ok other entries before stanzas", Request{Host: "10.3.2.1"}, Plan{Dst: v4, Origin: "h:9", Settings: Settings{
			Kind: Shared, Sequence: sequence(t, "tcp/1, tcp/2"), Verify: element(t, "tcp/80")}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Hosts, tt.r.Login = hosts, "login"
			got, err := tt.r.Plan(t.Context(), names)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want.Name == "" {
				tt.want.Name = tt.r.Host
			}
			tt.want.Settings = tt.want.over(defaults(tt.want.Kind, tt.want.Encoding))
			if diff := diff(&tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanMistakes(t *testing.T) {
	seq := sequence(t, "tcp/1, tcp/2")
	ssh := seq[:1]
	typed := Settings{Sequence: seq}
	hosts := hostsOf(t, "", strings.ReplaceAll(everyStanza, "[10.3.2.1]", "[other]"))[1:]
	for _, tt := range []struct {
		name   string
		r      Request
		config bool
		want   string
	}{
		{"bad host", Request{Host: "a/b"}, true, `bad host "a/b"`},
		{"bad host with a port", Request{Host: "10.3.2.1:22"}, true, `bad host "10.3.2.1:22"`},
		{"bad empty host", Request{}, true, `bad host ""`},
		{"bad name", Request{Host: "nowhere"}, false, `unknown host "nowhere": the name resolves to no address`},
		{"bad family of a name", Request{Host: "v4.example.org", Network: IP6}, false, `unknown host "v4.example.org": the name resolves to no IPv6 address`},
		{"bad family of an address", Request{Host: "fd00::1", Network: IP4}, true, `fd00::1 is an IPv6 address, and IPv4 was asked for`},
		{"bad mapped address", Request{Host: "::ffff:10.3.2.1", Network: IP6}, true, `10.3.2.1 is an IPv4 address, and IPv6 was asked for`},
		{"bad name server", Request{Host: "broken.example.org"}, false, `cannot resolve "broken.example.org": server misbehaving`},
		{"bad host without a knock", Request{Host: "ssh.example.org"}, true, `no knock is known for ssh.example.org (fd00::1, 10.3.2.1)`},
		{"bad address without a knock", Request{Host: "10.9.9.9"}, true, `no knock is known for 10.9.9.9`},
		{"bad no elements", Request{Host: "10.9.9.9", Settings: Settings{Sequence: seq[:0]}}, true, `a shared knock without a sequence`},
		{"bad long sequence", Request{Host: "10.9.9.9", Settings: Settings{Sequence: slices.Repeat(seq, 17)}}, true, `34 elements: want 1 to 32`},
		{"bad multicast", Request{Host: "ff02::1", Settings: typed}, true, `ff02::1 is not the address of a host`},
		{"bad wildcard", Request{Host: "0.0.0.0", Settings: typed}, true, `0.0.0.0 is not the address of a host`},
		{"bad nothing to open", Request{Host: "10.9.9.9", Settings: Settings{Kind: SPA}}, true, `the knock does not say what to open`},
		{"bad IPv6 in the article's", Request{Host: "10.9.9.9", Settings: Settings{Kind: Encrypted, Encoding: Article, Open: ssh, Allow: netip.IPv6LinkLocalAllNodes()}}, true,
			`bad address to allow ff02::1: encoding article holds IPv4 alone, siv holds both`},
		{"bad login", Request{Host: "10.9.9.9", Login: "J. Doe", Settings: Settings{Kind: Encrypted, Open: ssh}}, true, `the login name "J. Doe" cannot stand in a knock`},
		{"bad stanza", Request{Stanza: "Office"}, true, `there is no stanza "Office"`},
		{"bad stanza without a server", Request{Stanza: "default"}, true, `rc:3: stanza "default" has no SPA_SERVER`},
		{"bad line in a stanza", Request{Stanza: "bad"}, true, `rc:20: NAT_ACCESS: not supported: forward in hosts.toml, or --forward, asks for it`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Hosts = hosts
			p, err := tt.r.Plan(t.Context(), names)
			var e *Error
			if !errors.As(err, &e) || e.Config != tt.config {
				t.Fatalf("%#v", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if p != nil {
				t.Errorf("a plan besides the error: %v", p)
			}
		})
	}
}
