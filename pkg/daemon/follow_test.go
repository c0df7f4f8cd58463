package daemon_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/links"
	"nftknock/pkg/logger"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// slowLinks is a list of interfaces that takes long once it has begun to change.
type slowLinks struct {
	t       *testing.T
	changes chan struct{}
	asked   chan struct{} // receives at each List after a change
	changed atomic.Bool
	listing atomic.Int32
}

func (l *slowLinks) Changes() <-chan struct{} { return l.changes }

func (l *slowLinks) List() ([]links.Link, error) {
	l.listing.Add(1)
	defer l.listing.Add(-1)
	if l.changed.Load() {
		l.asked <- struct{}{}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, nil
}

func (l *slowLinks) Close() error {
	if l.listing.Load() > 0 {
		l.t.Error("closed during a List")
	}
	return nil
}

// The list of interfaces is not closed while it is in use: what comes of that would be
// reported after the end.
func TestAStopWaitsForTheListOfInterfaces(t *testing.T) {
	l := &slowLinks{t: t, changes: make(chan struct{}, 1), asked: make(chan struct{}, 1)}
	r := &rig{TB: t, source: nflog.NewFake(5), gate: newGate(t), next: ssh}
	p := parse(t, ssh)
	lines, _ := logger.New(&r.log, p.Log)
	r.daemon = daemon.New(daemon.Config{
		Policy: p, Events: told(lines),
		Load:       func() (*plan.Plan, policy.Diagnostics) { return r.load() },
		OpenSource: func(nflog.Config) (nflog.Source, error) { return r.source, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return r.gate, nil },
		OpenLinks:  func() (daemon.Links, error) { return l, nil },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.daemon.Run(ctx) }()
	r.log.await(t, "ready: ")
	l.changed.Store(true)
	l.changes <- struct{}{}
	<-l.asked
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
