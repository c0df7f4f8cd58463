package spent

import (
	"runtime"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
)

// maxGroup is how many Spends share a transaction, and so bounds how long one
// takes: in a large store, nearly every token is in a page of its own that has to
// be written.
const maxGroup = 100

// A spending is a Spend under way.
type spending struct {
	Entry
	refused error      // why it must not be honoured; the transaction's own note
	done    chan error // has room for the answer, so that nobody needs to wait for it
}

func newSpending(e Entry) *spending { return &spending{Entry: e, done: make(chan error, 1)} }

// A group is the Spends that wait for a transaction. The zero group is empty.
type group struct {
	mu      sync.Mutex
	waiting []*spending
	working bool // a goroutine takes from waiting until it is empty
}

// join adds a Spend, and reports whether the caller has to start the goroutine
// that takes it.
func (g *group) join(sp *spending) (start bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, sp)
	start = !g.working
	g.working = true
	return start
}

// leave removes a Spend that was not taken yet. So what waits for a disk that
// hangs is no more than those who still wait.
func (g *group) leave(sp *spending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, sp); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// take removes up to maxGroup Spends, those that came first. With none, the
// goroutine that takes has to end.
func (g *group) take() []*spending {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	taken := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.working = n > 0
	return taken
}

// commitAll answers all Spends that wait, and those that come meanwhile.
func (s *Store) commitAll() {
	for {
		// Those that were just answered run first, and may join with their next
		// entry: of eight that spend one entry after the other, all then share each
		// transaction, and without it every other transaction has one entry.
		runtime.Gosched()
		taken := s.group.take()
		if len(taken) == 0 {
			return
		}
		s.commit(taken)
	}
}

// commit answers Spends by one transaction.
func (s *Store) commit(all []*spending) {
	rest := all
	err := s.use(func() (err error) {
		if rest, err = s.refuse(all); err != nil || len(rest) == 0 {
			return err
		}
		return s.update(func(tx *bbolt.Tx, l *ledger) error {
			for _, sp := range rest {
				// Looked up again, since an entry before it may have the same
				// token or access.
				if sp.refused = sp.refusal(tx, l.horizon); sp.refused != nil {
					continue
				}
				if err := sp.record(tx, l); err != nil {
					return err
				}
			}
			return nil
		})
	})
	for _, sp := range rest {
		if err == nil {
			sp.done <- sp.refused
		} else {
			sp.done <- err // even if refused: the entry it was refused for is not recorded
		}
	}
}

// refuse answers the Spends that are refused for what is recorded already, without
// a wait for the disk, and returns the rest. After an error these are all that
// have no answer.
func (s *Store) refuse(all []*spending) (rest []*spending, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		l, err := readLedger(tx)
		if err != nil {
			return err
		}
		for _, sp := range all {
			sp.refused = sp.refusal(tx, l.horizon)
		}
		return nil
	})
	if err != nil {
		return all, err
	}
	for _, sp := range all {
		if sp.refused == nil {
			rest = append(rest, sp)
		} else {
			sp.done <- sp.refused
		}
	}
	return rest, nil
}

// refusal looks up why the knock must not be honoured, nil if it may be. horizon
// is that of the ledger.
func (e *Entry) refusal(tx *bbolt.Tx, horizon int64) error {
	if e.Token != nil {
		if tx.Bucket(tokensBucket).Get(e.Token[:]) != nil {
			return ErrSpent
		}
		if !e.Expires.IsZero() && seconds(e.Expires) <= horizon {
			return ErrStale
		}
	}
	if e.Limit != 0 && count(tx, e.Access) >= e.Limit {
		return ErrLimit
	}
	return nil
}

// record writes what refusal found to be new.
func (e *Entry) record(tx *bbolt.Tx, l *ledger) error {
	if e.Token != nil {
		expiry := seconds(e.Expires)
		if err := l.add(tx.Bucket(tokensBucket), e.Token[:], number(expiry)); err != nil {
			return err
		}
		l.tokens++
		if expiry != never {
			if err := tx.Bucket(expiriesBucket).Put(expiryKey(expiry, e.Token), nil); err != nil {
				return err
			}
		}
	}
	if e.Limit != 0 {
		counts, access := tx.Bucket(countsBucket), []byte(e.Access)
		n := count(tx, e.Access)
		if err := l.remove(counts, access); err != nil {
			return err
		}
		return l.add(counts, access, number(int64(n)+1))
	}
	return nil
}

// count reads how many knocks of an access were honoured.
func count(tx *bbolt.Tx, access string) int {
	v := tx.Bucket(countsBucket).Get([]byte(access))
	if v == nil {
		return 0
	}
	return int(parseNumber(v))
}
