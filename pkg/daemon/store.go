package daemon

import (
	"errors"
	"path/filepath"
	"sync"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/replay"
)

// Store remembers what was spent. *replay.Store is one; package replay says
// what the methods promise.
type Store interface {
	Spend(replay.Spend) error
	Prune(now time.Time) (removed int, err error)
	Close() error
}

// storeFile is the name of the store in the state directory.
const storeFile = "spent.db"

// pruneEvery is how often tokens whose time is over are forgotten.
const pruneEvery = time.Minute

// openStore opens the store, if the plan needs one and it is not open yet.
func (d *Daemon) openStore(p *Plan) error {
	if d.recorder.ready() || !p.remembers() {
		return nil
	}
	s, err := d.OpenStore(storePath(p))
	if err != nil {
		return err
	}
	d.recorder.use(s)
	return nil
}

func storePath(p *Plan) string { return filepath.Join(p.Policy.State.Dir, storeFile) }

// openStoreOrWait is openStore at the start, when services must be hidden
// whatever the store is like: with one that cannot be opened no knock is
// honoured that has to be remembered, until it can.
func (d *Daemon) openStoreOrWait(p *Plan) {
	err := d.openStore(p)
	if err == nil {
		return
	}
	d.Log.Error("replay store unavailable: refusing all keyed knocks and accesses with a limit: "+err.Error(),
		"event", "error", "reason", err.Error())
	path := storePath(p)
	d.recorder.use(&missingStore{err: err, tried: time.Now(), open: func() (Store, error) { return d.OpenStore(path) }})
}

// missingStore stands for a store that could not be opened, and tries again.
type missingStore struct {
	open func() (Store, error)

	mu    sync.Mutex
	store Store // nil until it is there
	err   error
	tried time.Time
}

// retryStore is how long a failure to open the store is taken for granted.
const retryStore = 5 * time.Second

func (m *missingStore) get() (Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil && time.Since(m.tried) >= retryStore {
		m.store, m.err = m.open()
		m.tried = time.Now()
	}
	return m.store, m.err
}

// Spend records nothing, and so lets nobody in, until the store is there.
func (m *missingStore) Spend(s replay.Spend) error {
	store, err := m.get()
	if err != nil {
		return err
	}
	return store.Spend(s)
}

// Prune has nothing to do before that.
func (m *missingStore) Prune(now time.Time) (int, error) {
	store, err := m.get()
	if err != nil {
		return 0, err
	}
	return store.Prune(now)
}

// Close closes the store if it came.
func (m *missingStore) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		return nil
	}
	return m.store.Close()
}

// errNoStore cannot happen while a plan that needs a store is applied.
var errNoStore = errors.New("there is no replay store")

// toSpend is what is to be recorded of a knock before it is honoured; nothing of
// one that has neither token nor limit.
func toSpend(a *policy.Access, v *knock.Verdict) (s replay.Spend, any bool) {
	s = replay.Spend{Access: a.Name, Limit: a.Limit}
	if v.Request != nil {
		s.Token, s.Expires = (*replay.Token)(&v.Request.Token), v.Request.Forget
	}
	return s, s.Token != nil || s.Limit != 0
}

// toBurn is what is to be recorded of a knock that is refused: whoever saw it on
// its way could have more luck with it, being another sender. One that is past
// its time has none.
func toBurn(v *knock.Verdict) (s replay.Spend, any bool) {
	req := v.Request
	if req == nil || !req.Forget.IsZero() && !v.Time.Before(req.Forget) {
		return s, false
	}
	return replay.Spend{Token: (*replay.Token)(&req.Token), Expires: req.Forget}, true
}

// isRefusal tells what a store refuses from what it cannot do.
func isRefusal(err error) bool {
	return errors.Is(err, replay.ErrSpent) || errors.Is(err, replay.ErrLimit) || errors.Is(err, replay.ErrStale)
}

// refusalOf says why the store refused.
func refusalOf(err error) string {
	switch {
	case errors.Is(err, replay.ErrSpent):
		return alreadyUsed
	case errors.Is(err, replay.ErrLimit):
		return "the access has reached its limit"
	}
	return "token is older than the pruned part of the store; check the system clock"
}

// alreadyUsed is the reason for refusing a replay.
const alreadyUsed = "already used"
