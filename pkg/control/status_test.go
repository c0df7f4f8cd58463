package control_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/control"
)

// keeper answers requests about grants.
type keeper struct {
	control.Handler
	peer  control.Peer
	asked control.Grantee
	many  int
}

func (k *keeper) Status(_ context.Context, q control.StatusQuery) (control.Status, error) {
	s := control.Status{Ready: true, Since: time.Unix(1e9, 0).UTC(), Hidden: []string{"tcp/22"}, Grants: 3}
	if q.Brief {
		s.Grants = -1
	}
	return s, nil
}

func (k *keeper) Grants(_ context.Context, q control.GrantQuery) (control.Grants, error) {
	if q.Within.IsValid() {
		return control.Grants{Grants: []control.Grant{{Src: q.Within.String()}}, Total: 1}, nil
	}
	list := make([]control.Grant, k.many)
	for i := range list {
		list[i] = control.Grant{
			Src: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Prefix: "2001:db8:ffff:ffff:ffff:ffff:ffff:fff0/124",
			Open: "tcp/10000-10010", Access: strings.Repeat("a", 64), Knock: "encrypted", Remaining: 86399.999, Packets: 1 << 60, Bytes: 1 << 60,
		}
	}
	return control.Grants{Grants: list, Total: k.many}, nil
}

func (k *keeper) Grant(ctx context.Context, g control.Grantee) (control.Granted, error) {
	k.peer, _ = control.PeerOf(ctx)
	k.asked = g
	if g.What == "tcp/23" {
		return control.Granted{Grants: []control.Grant{{Open: "tcp/22"}}}, errors.New("half")
	}
	return control.Granted{}, nil
}

func serveKeeper(t *testing.T, k *keeper) *control.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = control.Serve(t.Context(), l, k) }()
	return control.NewClient(path)
}

func TestStatusAndGrants(t *testing.T) {
	c := serveKeeper(t, &keeper{many: control.MaxListed})
	for brief, grants := range map[bool]int{false: 3, true: -1} {
		s, err := c.Status(t.Context(), control.StatusQuery{Brief: brief})
		if err != nil || s.Grants != grants || !s.Ready || s.Hidden[0] != "tcp/22" {
			t.Errorf("brief %t: %+v, %v", brief, s, err)
		}
	}
	all, err := c.Grants(t.Context(), control.GrantQuery{})
	if err != nil || len(all.Grants) != control.MaxListed || all.Total != control.MaxListed {
		t.Errorf("the longest list: %d of %d, %v", len(all.Grants), all.Total, err)
	}
	some, err := c.Grants(t.Context(), control.GrantQuery{Within: netip.MustParsePrefix("192.0.2.0/24")})
	if err != nil || len(some.Grants) != 1 || some.Grants[0].Src != "192.0.2.0/24" {
		t.Errorf("within a prefix: %+v, %v", some, err)
	}
}

func TestGrant(t *testing.T) {
	k := new(keeper)
	c := serveKeeper(t, k)
	want := control.Grantee{Source: netip.MustParsePrefix("192.0.2.1/32"), What: "ssh", For: 90 * time.Second}
	if _, err := c.Grant(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, k.asked, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("(-sent +received)\n%s", diff)
	}
	if k.peer.UID != os.Getuid() || k.peer.PID != os.Getpid() {
		t.Errorf("asked by %+v, want user %d, process %d", k.peer, os.Getuid(), os.Getpid())
	}
	want.What = "tcp/23"
	if done, err := c.Grant(t.Context(), want); err == nil || err.Error() != "half" || len(done.Grants) != 1 {
		t.Errorf("a grant that half fails: %+v, %v", done, err)
	}
	k.asked = control.Grantee{}
	for _, bad := range []control.Grantee{
		{What: "ssh"}, {Source: want.Source}, {Source: want.Source, What: "ssh", For: -time.Second},
		{Source: want.Source, What: "ssh", For: time.Millisecond}, {Source: want.Source, What: "ssh", For: 25 * time.Hour},
	} {
		if _, err := c.Grant(t.Context(), bad); err == nil || k.asked.What != "" {
			t.Errorf("%+v: %v, reached the daemon as %+v", bad, err, k.asked)
		}
	}
}
