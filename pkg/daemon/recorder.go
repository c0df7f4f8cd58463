package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"nftknock/pkg/policy"
	"nftknock/pkg/replay"
)

// Bounds of the knocks that wait for the disk. An access has a share of them, so
// that who knocks for one does not use up the room of all.
const (
	maxRecords          = 4096
	maxRecordsPerAccess = 1024
)

// recorder is the one goroutine that waits for the disk. The keeper hands it
// knocks that must be recorded before they may open anything, or because they must
// never open anything, and gets them back with the store's answer. They are
// recorded in the order in which they came. The store belongs to it: it prunes
// and closes it too.
type recorder struct {
	log     *slog.Logger
	records chan record
	answers chan answer   // closed at the end
	left    chan struct{} // closed when nobody takes answers any more

	mu      sync.Mutex
	store   Store // nil while no plan needed one
	waiting map[replay.Token]bool
	count   map[string]int // of records that wait, by access
	// lost are tokens that could not be recorded, and when they may be
	// forgotten (zero: never). They are not honoured later.
	lost map[replay.Token]time.Time
}

// record is a knock on its way to the disk.
type record struct {
	decision
	access *policy.Access // nil for a knock that is refused already
	spend  replay.Spend
}

// answer is what the store said of a record.
type answer struct {
	record
	err error
}

func newRecorder(log *slog.Logger) *recorder {
	return &recorder{
		log:     log,
		records: make(chan record, maxRecords),
		answers: make(chan answer),
		left:    make(chan struct{}),
		waiting: make(map[replay.Token]bool),
		count:   make(map[string]int),
		lost:    make(map[replay.Token]time.Time),
	}
}

// use gives the recorder a store, once.
func (r *recorder) use(s Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.store = s
}

// ready reports whether there is a store.
func (r *recorder) ready() bool { return r.opened() != nil }

func (r *recorder) opened() Store {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.store
}

// run works until finish is called and all is recorded.
func (r *recorder) run() {
	prunes := time.NewTicker(pruneEvery)
	defer prunes.Stop()
	failure := ""
	for {
		select {
		case rec, ok := <-r.records:
			if !ok {
				r.close()
				close(r.answers)
				return
			}
			select {
			case r.answers <- r.do(rec):
			case <-r.left:
			}
		case <-prunes.C:
			failure = r.prune(failure)
		}
	}
}

// finish says that no more records come.
func (r *recorder) finish() { close(r.records) }

// leave says that nobody waits for answers any more.
func (r *recorder) leave() { close(r.left) }

// submit queues a record without waiting. With replay.ErrSpent another record of
// the same token is on its way already; with any other error there is no room,
// and the token is remembered as lost.
func (r *recorder) submit(rec record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	token := rec.spend.Token
	if token != nil && r.waiting[*token] {
		return replay.ErrSpent
	}
	if r.count[rec.name()] >= maxRecordsPerAccess {
		r.lose(rec)
		return errSlow(r.count[rec.name()])
	}
	select {
	case r.records <- rec:
	default:
		r.lose(rec)
		return errSlow(maxRecords)
	}
	r.count[rec.name()]++
	if token != nil {
		r.waiting[*token] = true
	}
	return nil
}

func errSlow(waiting int) error {
	return fmt.Errorf("the disk is too slow: %d knocks wait to be recorded", waiting)
}

// name is that of the access that has to bear with the record.
func (rec *record) name() string {
	if a := rec.decision.access(); a != nil {
		return a.Name
	}
	return ""
}

// do records a knock. Only with nil it may be honoured.
func (r *recorder) do(rec record) answer {
	store, err := r.admit(&rec)
	if err == nil {
		err = spend(store, &rec)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count[rec.name()]--; r.count[rec.name()] == 0 {
		delete(r.count, rec.name())
	}
	if rec.spend.Token != nil {
		delete(r.waiting, *rec.spend.Token)
	}
	if err != nil && !isRefusal(err) {
		r.lose(rec)
	}
	return answer{rec, err}
}

// admit refuses what need not be asked of the store.
func (r *recorder) admit(rec *record) (Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec.spend.Token != nil {
		if _, lost := r.lost[*rec.spend.Token]; lost {
			return nil, replay.ErrSpent
		}
	}
	if r.store == nil {
		return nil, errNoStore
	}
	return r.store, nil
}

// spend has the store record a knock.
func spend(store Store, rec *record) error {
	err := store.Spend(rec.spend)
	if !errors.Is(err, replay.ErrLimit) || rec.spend.Token == nil {
		return err
	}
	// A limit may be raised, and then this knock must not be good.
	burnt := store.Spend(replay.Spend{Token: rec.spend.Token, Expires: rec.spend.Expires})
	if burnt != nil && !isRefusal(burnt) {
		return burnt
	}
	return err
}

// maxLost bounds the tokens that are remembered in place of a store that fails.
const maxLost = 1 << 12

// lose remembers the token of a record that is not on disk. It is called with mu
// held.
func (r *recorder) lose(rec record) {
	if rec.spend.Token == nil {
		return
	}
	if len(r.lost) >= maxLost {
		r.forget(time.Now())
	}
	if len(r.lost) < maxLost {
		r.lost[*rec.spend.Token] = rec.spend.Expires
	}
}

// forget drops lost tokens that are refused for their age by now.
func (r *recorder) forget(now time.Time) {
	for token, expires := range r.lost {
		if !expires.IsZero() && expires.Before(now) {
			delete(r.lost, token)
		}
	}
}

// prune forgets tokens whose time is over. What goes wrong is said once, until
// it goes otherwise.
func (r *recorder) prune(failure string) string {
	store := r.opened()
	if store == nil {
		return ""
	}
	_, err := store.Prune(time.Now())
	if err == nil {
		if failure != "" {
			r.log.Info("the replay store works again", "event", "store")
		}
		return ""
	}
	if err.Error() != failure {
		r.log.Error("cannot prune the replay store: "+err.Error(), "event", "error")
	}
	return err.Error()
}

func (r *recorder) close() {
	store := r.opened()
	if store == nil {
		return
	}
	if err := store.Close(); err != nil {
		r.log.Warn("close the replay store: "+err.Error(), "event", "error")
	}
}
