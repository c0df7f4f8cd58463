package daemon_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/logger"
	"nftknock/pkg/nflog"
	"nftknock/pkg/spent"
)

// lateStore is a store whose disk hangs when it is opened, until it is released.
type lateStore struct {
	release      chan struct{}
	opens        int
	open, closed bool
}

func (s *lateStore) openStore(string) (spent.Spender, error) {
	s.opens++
	<-s.release
	s.open = true
	return s, nil
}

func (s *lateStore) Spend(context.Context, spent.Entry) error { return nil }
func (s *lateStore) Prune(time.Time) (int, error)             { return 0, nil }
func (s *lateStore) Close() error                             { s.open, s.closed = false, true; return nil }

// startLate runs a daemon with a lateStore in a bubble of synctest.
func startLate(t *testing.T, text string) (*rig, *lateStore) {
	t.Helper()
	store := &lateStore{release: make(chan struct{})}
	r := &rig{TB: t, source: nflog.NewFake(5), gate: newGate(t), next: text}
	p := parse(t, text)
	lines, _ := logger.New(&r.log, p.Log)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r.daemon = daemon.New(daemon.Config{
		Policy: p, Events: told(lines), Load: r.load,
		OpenSource: func(nflog.Config) (nflog.Source, error) { return r.source, nil },
		OpenGate:   func(gate.Config) (gate.Gate, error) { return r.gate, nil },
		OpenStore:  store.openStore,
	})
	go func() { done <- r.daemon.Run(ctx) }()
	r.stop = func() error { cancel(); return <-done }
	return r, store
}

// A disk that hangs keeps the daemon from its other knocks for a few seconds, and the store
// is used when it opens after all.
func TestStartWithAStoreThatOpensLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := startLate(t, once+ssh)
		r.log.await(t, "ready: ")
		if text := r.log.String(); !strings.Contains(text, "spent.db\" did not open within 5s") || !strings.Contains(text, "event=store_unavailable") {
			t.Errorf("the log does not say why:\n%s", text)
		}
		r.knock(10, 7300, 7100, 7200)
		r.log.await(t, "granted 192.0.2.10 access to tcp/22")
		r.knock(77, 9300, 9100, 9200)
		r.log.await(t, "cannot record the knock of 192.0.2.77")
		close(store.release)
		synctest.Wait()
		r.knock(78, 9300, 9100, 9200)
		r.log.await(t, "granted 192.0.2.78 access to tcp/23")
		if err := r.stop(); err != nil || store.opens != 1 || !store.closed {
			t.Errorf("%v, opened %d times, closed: %v", err, store.opens, store.closed)
		}
	})
}

// A reload that needs a store which does not open fails, and leaves no attempt behind
// that keeps a later reload from opening it.
func TestReloadWithAStoreThatOpensLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, store := startLate(t, ssh)
		r.log.await(t, "ready: ")
		for range 2 {
			began := time.Now()
			err := r.reload(once + ssh)
			if err == nil || !strings.Contains(err.Error(), "did not open within 5s") || time.Since(began) > 6*time.Second {
				t.Fatalf("after %v: %v", time.Since(began), err)
			}
		}
		synctest.Wait()
		if store.opens != 1 {
			t.Errorf("%d attempts at a time", store.opens)
		}
		close(store.release)
		synctest.Wait()
		if store.open || !store.closed {
			t.Error("the store that nobody wants is still open")
		}
		if err := r.reload(once + ssh); err != nil || !store.open {
			t.Errorf("%v, open: %v", err, store.open)
		}
		if err := r.stop(); err != nil || store.open {
			t.Errorf("%v, open: %v", err, store.open)
		}
	})
}

// Nor does it keep the daemon from its end, whether it is opened at the start or by a
// reload.
func TestStopWhileTheStoreOpens(t *testing.T) {
	for name, reload := range map[string]bool{"start": false, "reload": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				text := once + ssh
				if reload {
					text = ssh
				}
				r, store := startLate(t, text)
				failed := make(chan error, 1)
				if reload {
					r.log.await(t, "ready: ")
					go func() { failed <- r.reload(once + ssh) }()
				}
				synctest.Wait()
				if store.opens != 1 {
					t.Fatalf("%d attempts, want 1", store.opens)
				}
				began := time.Now()
				if err := r.stop(); err != nil || time.Since(began) > 2*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				if reload && <-failed == nil {
					t.Error("the reload succeeded")
				}
				close(store.release)
				synctest.Wait()
				if store.open {
					t.Error("the store stays open")
				}
			})
		})
	}
}
