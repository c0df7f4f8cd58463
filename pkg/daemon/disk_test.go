package daemon_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/nflog"
	"nftknock/pkg/spent"
)

// stuckStore is a store on a disk that does not answer until it is released, however
// long that takes.
type stuckStore struct {
	mu      sync.Mutex
	spends  int
	asked   chan struct{} // receives at each Spend
	release chan struct{}
}

func newStuckStore() *stuckStore {
	return &stuckStore{asked: make(chan struct{}, 1<<16), release: make(chan struct{})}
}

func (s *stuckStore) Spend(context.Context, spent.Entry) error {
	s.asked <- struct{}{}
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spends++
	return nil
}

func (s *stuckStore) Prune(time.Time) (int, error) { <-s.release; return 0, nil }
func (s *stuckStore) Close() error                 { <-s.release; return nil }

// startStuck is a daemon with an access "once" whose knocks are to be counted,
// and one of them waiting for the disk.
func startStuck(t *testing.T, once string) (*rig, *stuckStore) {
	t.Helper()
	store := newStuckStore()
	r := startWith(t, newGate(t), store, once+strings.Replace(ssh, "30s", "1s", 1))
	r.knock(77, 9300, 9100, 9200)
	<-store.asked
	return r, store
}

const once = `[[access]]
name = "once"
sequence = ["udp/9300", "udp/9100", "udp/9200"]
open = ["tcp/23"]
timeout = "30s"
limit = 1000
`

// Repairs, grants that need no record, ends of grants and reloads do not wait for
// the disk.
func TestNothingWaitsForTheDisk(t *testing.T) {
	r, store := startStuck(t, once)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to tcp/22 for 1s")
	r.gate.Flush()
	eventually(t, "the table is put back", func() bool { return r.gate.Ruleset() != nil })
	r.log.await(t, "access of 192.0.2.10 to tcp/22 ended")
	if err := r.reload(once + ssh); err != nil {
		t.Error(err)
	}
	if strings.Contains(r.log.String(), "granted 192.0.2.77") {
		t.Error("granted before it was recorded")
	}
	close(store.release)
	r.log.await(t, "granted 192.0.2.77 access to tcp/23 for 30s")
}

// A knock whose access a reload takes away while it waits for the disk opens
// nothing.
func TestAReloadWhileAKnockIsRecorded(t *testing.T) {
	for name, after := range map[string]string{
		"removed": ssh,
		"changed": strings.Replace(once, "30s", "10s", 1) + ssh,
	} {
		t.Run(name, func(t *testing.T) {
			r, store := startStuck(t, once)
			if err := r.reload(after); err != nil {
				t.Fatal(err)
			}
			close(store.release)
			r.log.await(t, "refused for 192.0.2.77: the access was changed by a reload meanwhile")
			if strings.Contains(r.log.String(), "granted 192.0.2.77") {
				t.Error("it was granted")
			}
		})
	}
}

// What comes faster than the disk takes it is refused, once there is a queue, and
// leaves room for the knocks of others.
func TestTheQueueToTheDiskIsBounded(t *testing.T) {
	other := strings.NewReplacer("once", "other", "udp/9", "udp/8", "23", "24").Replace(once)
	r, store := startStuck(t, once+other)
	began := time.Now()
	// Each from an address of its own: what one source repeats at once does not count.
	for i := range 2000 {
		for _, port := range []uint16{9300, 9100, 9200} {
			p := datagram(0, port)
			copy(p[12:], []byte{198, 18, byte(i >> 8), byte(i)})
			r.source.Log(nflog.Record{Group: 5, Time: time.Now(), Payload: p})
		}
	}
	r.log.await(t, "so it opens nothing: the disk is too slow: ")
	r.knock(79, 8300, 8100, 8200)
	close(store.release)
	eventually(t, "the knock of the other access opens", func() bool {
		grants, err := r.gate.Grants()
		return err == nil && slices.ContainsFunc(grants, func(g gate.Grant) bool {
			return g.Source == netip.MustParsePrefix("192.0.2.79/32") && g.Service.First == 24
		})
	})
	// Twenty lines at once and five per second after that.
	allowed := 21 + 5*int(time.Since(began)/time.Second+1)
	if n := strings.Count(r.log.String(), "so it opens nothing: the disk is too slow"); n > allowed {
		t.Errorf("said %d times, want %d at most", n, allowed)
	}
}

// A disk that never answers does not keep the daemon from ending.
func TestStopWithAStuckDisk(t *testing.T) {
	r, store := startStuck(t, once)
	defer close(store.release)
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	r.log.await(t, "the disk did not respond")
}
