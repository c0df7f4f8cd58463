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
	"github.com/google/go-cmp/cmp/cmpopts"
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

func TestPlan(t *testing.T) {
	one, two, three := sequence(t, "tcp/1, tcp/1"), sequence(t, "tcp/2, tcp/2"), sequence(t, "tcp/3, tcp/3")
	hosts := []Host{
		{Name: "alias", Address: "ssh.example.org", Sequence: one, Delay: time.Second, Origin: "f:1"},
		{Name: "10.3.2.1", Sequence: two, Verify: element(t, "tcp/22"), Origin: "f:2"},
		{Name: "v4.example.org", Sequence: three, Origin: "g:1"},
		{Name: "fd00:0::1", Sequence: three, Origin: "g:2"},
		{Name: "alias", Sequence: three, Origin: "g:3"},
	}
	v4, v6 := netip.MustParseAddr("10.3.2.1"), netip.MustParseAddr("fd00::1")
	for _, tt := range []struct {
		name string
		r    Request
		want Knock
	}{
		{"ok name in a file, first file first", Request{Host: "alias"},
			Knock{Dst: v6, Sequence: one, Delay: time.Second, Origin: "f:1"}},
		{"ok name in a file over IPv4", Request{Host: "alias", Network: IP4},
			Knock{Dst: v4, Sequence: one, Delay: time.Second, Origin: "f:1"}},
		{"ok address in a file", Request{Host: "10.3.2.1"},
			Knock{Dst: v4, Sequence: two, Verify: element(t, "tcp/22"), Origin: "f:2"}},
		{"ok IPv6 in brackets", Request{Host: "[fd00::1]"},
			Knock{Dst: v6, Sequence: three, Origin: "g:2"}},
		{"ok name before its address", Request{Host: "V4.Example.org."},
			Knock{Dst: v4, Sequence: three, Origin: "g:1"}},
		{"ok second address of a name", Request{Host: "both.example.org"},
			Knock{Dst: v4, Sequence: two, Verify: element(t, "tcp/22"), Origin: "f:2"}},
		{"ok address of a name", Request{Host: "ssh.example.org"},
			Knock{Dst: v6, Sequence: three, Origin: "g:2"}},
		{"ok IPv4 address of a name", Request{Host: "ssh.example.org", Network: IP4},
			Knock{Dst: v4, Sequence: two, Verify: element(t, "tcp/22"), Origin: "f:2"}},
		{"ok sequence overrides", Request{Host: "alias", Sequence: two},
			Knock{Dst: v6, Sequence: two, Delay: time.Second, Origin: "command line"}},
		{"ok part of a knock, typed", Request{Host: "10.9.9.9", Sequence: two[:1]},
			Knock{Dst: netip.MustParseAddr("10.9.9.9"), Sequence: two[:1], Origin: "command line"}},
		{"ok sequence for a host nobody knows", Request{Host: "10.9.9.9", Sequence: two},
			Knock{Dst: netip.MustParseAddr("10.9.9.9"), Sequence: two, Origin: "command line"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.r.Hosts = hosts
			got, err := tt.r.Plan(t.Context(), names)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlanMistakes(t *testing.T) {
	seq := sequence(t, "tcp/1, tcp/2")
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
		{"bad host without a sequence", Request{Host: "ssh.example.org"}, true, `no sequence is known for ssh.example.org (fd00::1, 10.3.2.1)`},
		{"bad address without a sequence", Request{Host: "10.9.9.9"}, true, `no sequence is known for 10.9.9.9`},
		{"bad no elements", Request{Host: "10.9.9.9", Sequence: seq[:0]}, true, `0 elements: want 1 to 32`},
		{"bad long sequence", Request{Host: "10.9.9.9", Sequence: slices.Repeat(seq, 17)}, true, `34 elements: want 1 to 32`},
		{"bad multicast", Request{Host: "ff02::1", Sequence: seq}, true, `ff02::1 is not the address of a host`},
		{"bad wildcard", Request{Host: "0.0.0.0", Sequence: seq}, true, `0.0.0.0 is not the address of a host`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := tt.r.Plan(t.Context(), names)
			var e *Error
			if !errors.As(err, &e) || e.Config != tt.config {
				t.Fatalf("%#v", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
			if k.Sequence != nil || k.Dst.IsValid() {
				t.Errorf("a plan besides the error: %v", k)
			}
		})
	}
}
