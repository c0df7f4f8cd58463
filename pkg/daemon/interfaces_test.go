package daemon

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"nftknock/pkg/event"
	"nftknock/pkg/links"
)

// host is a list of interfaces that a test changes.
type host struct {
	changes chan struct{}
	links   []links.Link
	err     error
}

func newHost(names ...string) *host {
	h := &host{changes: make(chan struct{}, 1)}
	for i, name := range names {
		h.links = append(h.links, links.Link{Index: i + 1, Name: name})
	}
	return h
}

func (h *host) Changes() <-chan struct{}    { return h.changes }
func (h *host) List() ([]links.Link, error) { return h.links, h.err }
func (h *host) Close() error                { return nil }

// follower is a table that follows the interfaces of a host, or refuses to.
type follower struct {
	*interfaces
	log       strings.Builder
	unguarded []string
	err       error
}

func newFollower(t *testing.T, h *host) *follower {
	f := &follower{}
	events := event.NewDispatcher(nil, event.NewLog(slog.New(slog.NewTextHandler(&f.log, nil))))
	f.interfaces = newInterfaces(func() (Links, error) { return h, nil }, events)
	t.Cleanup(f.close)
	return f
}

func (f *follower) apply(unguarded []string) error {
	if f.err == nil {
		f.unguarded = unguarded
	}
	return f.err
}

func (f *follower) want(t *testing.T, names ...string) {
	t.Helper()
	if !slices.Equal(f.unguarded, names) {
		t.Errorf("not guarded: %q, want %q", f.unguarded, names)
	}
}

// What a reload that failed would have guarded does not come with the next change
// of the host's interfaces.
func TestAFailedReloadLeavesTheInterfaces(t *testing.T) {
	h := newHost("lo", "eth0", "wg0")
	f := newFollower(t, h)
	if err := f.start([]string{"eth0"}, f.apply); err != nil {
		t.Fatal(err)
	}
	f.want(t, "lo", "wg0")
	f.err = errors.New("refused")
	if err := f.change([]string{"wg0"}, f.apply); !errors.Is(err, f.err) {
		t.Fatalf("%v, want %v", err, f.err)
	}
	f.err = nil
	h.links = append(h.links, links.Link{Index: 9, Name: "veth9"})
	if err := f.refresh(f.apply); err != nil {
		t.Fatal(err)
	}
	f.want(t, "lo", "veth9", "wg0")
	h.err = errors.New("no list")
	if err := f.change([]string{"wg0"}, f.apply); !errors.Is(err, h.err) {
		t.Errorf("%v, want %v", err, h.err)
	}
	f.want(t, "lo", "veth9", "wg0")
}

// The policy with its keys comes into force although the interfaces cannot be listed since
// the start. One that names other interfaces does not.
func TestAStartWithoutAListOfInterfaces(t *testing.T) {
	h := newHost("lo", "eth0", "wg0")
	h.err = errors.New("no list")
	f := newFollower(t, h)
	if err := f.start([]string{"eth0"}, f.apply); err != nil {
		t.Fatal(err)
	}
	applied := 0
	count := func(unguarded []string) error { applied++; return f.apply(unguarded) }
	if err := f.change([]string{"eth0"}, count); err != nil || applied != 1 {
		t.Errorf("%v, applied %d times, want once", err, applied)
	}
	f.want(t) // all but lo are guarded
	if err := f.change([]string{"wg0"}, count); !errors.Is(err, h.err) || applied != 1 {
		t.Errorf("%v, applied %d times", err, applied)
	}
}

// A change that the table could not follow, or that could not be listed, is
// followed later, without another one.
func TestInterfacesAreFollowedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost("lo", "eth0", "br0", "wg0")
		h.err = errors.New("no list")
		f := newFollower(t, h)
		if err := f.start([]string{"eth0"}, f.apply); err != nil {
			t.Fatal(err)
		}
		f.want(t) // all but lo are guarded
		h.err = nil
		k := &keeper{requests: make(chan request), stopped: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		d := &Daemon{interfaces: f.interfaces, keeper: k}
		go func() { d.followInterfaces(ctx); close(done) }()
		order := func() request { return <-k.requests }
		first := order()
		first.done <- f.apply([]string{"br0", "lo", "wg0"})

		f.err = errors.New("refused")
		h.links[1].Master = 3
		h.changes <- struct{}{}
		for range 3 {
			o := order()
			o.done <- f.err
		}
		f.err = nil
		last := order()
		last.done <- nil
		synctest.Wait()
		if n := strings.Count(f.log.String(), "cannot update the table for the host's interfaces"); n != 1 {
			t.Errorf("said %d times:\n%s", n, f.log.String())
		}
		if !slices.Equal(f.interfaces.unguarded, []string{"lo", "wg0"}) {
			t.Errorf("followed: %q", f.interfaces.unguarded)
		}
		cancel()
		<-done
	})
}
