package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// To end thousands of grants costs the log a hundred lines.
func TestRevokingManyDoesNotFillTheLog(t *testing.T) {
	g := newGate(t)
	p := planOf(t, other+web)
	if err := g.Apply(p.Ruleset); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		source := netip.AddrFrom4([4]byte{192, 0, byte(2 + i/256), byte(i)})
		err := g.Grant(gate.Grant{
			Source: gate.Host(source), Service: port.Single(packet.UDP, 53),
			Timeout: 20 * time.Second, Access: "web", Method: "shared",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := startOn(t, g, other+web)
	done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix("192.0.0.0/16")})
	if err != nil || done != (control.Revoked{Grants: 300}) {
		t.Fatalf("%+v, %v; want 300 grants", done, err)
	}
	r.log.await(t, "200 more grants ended: revoked [event=ended omitted=200 reason=revoked]")
	if n := strings.Count(r.log.String(), "to udp/53 ended: revoked"); n != 100 {
		t.Errorf("%d of them are named, want 100", n)
	}
}

// A grant of more than what is to be revoked goes on, which is said.
func TestRevokeSaysWhoIsStillIn(t *testing.T) {
	r := start(t, other+strings.Replace(web, "timeout", "prefix4 = 24\ntimeout", 1))
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.0/24 access to udp/53 for 30s")
	for _, c := range []struct {
		source, service string
		want            control.Revoked
	}{
		{"192.0.2.7/32", "", control.Revoked{StillIn: "192.0.2.0/24 to tcp/8000-8003, 192.0.2.0/24 to udp/53"}},
		{"192.0.2.0/24", "tcp/8001", control.Revoked{StillIn: "192.0.2.0/24 to tcp/8000-8003"}},
		{"192.0.3.7/32", "", control.Revoked{}},
		{"192.0.2.0/23", "udp/53", control.Revoked{Grants: 1}},
		{"192.0.2.0/24", "", control.Revoked{Grants: 1}},
	} {
		done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix(c.source), Service: c.service})
		if err != nil || done != c.want {
			t.Errorf("%s %s: %+v, %v; want %+v", c.source, c.service, done, err, c.want)
		}
	}
}

// Grants that ended before a Revoke failed are counted, in the answer and in the log.
func TestRevokeThatFailsHalfway(t *testing.T) {
	g := newGate(t)
	if err := g.Apply(planOf(t, other+web).Ruleset); err != nil {
		t.Fatal(err)
	}
	for n := range 150 {
		err := g.Grant(gate.Grant{
			Source: gate.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)})), Service: port.Range{Protocol: packet.TCP, First: 8000, Last: 8003},
			Timeout: time.Hour, Access: "web", Method: "shared",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r := startOn(t, g, other+web)
	r.gate.failOnce("revoke udp/1-65535", errors.New("the kernel will not"))
	done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix("198.51.0.0/16")})
	if err == nil || done != (control.Revoked{Grants: 150}) {
		t.Errorf("%+v, %v; want 150 grants and an error", done, err)
	}
	r.log.await(t, "50 more grants ended: revoked [event=ended omitted=50 reason=revoked]")
}
