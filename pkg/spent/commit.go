package spent

import (
	"runtime"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
)

// maxGroup is how many Spends share a transaction. It bounds the time that one takes: in a
// large store nearly every token is in another page, and all these pages are written.
const maxGroup = 100

// A spending is a Spend that has not returned.
type spending struct {
	Entry
	refused error      // the reason to refuse the knock; set by the transaction
	done    chan error // has room for the answer, since Spend may have returned by then
}

func newSpending(e Entry) *spending { return &spending{Entry: e, done: make(chan error, 1)} }

// A group has the Spends that wait for a transaction. The zero group is empty.
type group struct {
	mu      sync.Mutex
	waiting []*spending
	working bool // a goroutine runs commitAll
}

// join adds a Spend. It reports whether the caller must start a goroutine that runs
// commitAll.
func (g *group) join(sp *spending) (start bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, sp)
	start = !g.working
	g.working = true
	return start
}

// leave removes a Spend if take has not removed it: only callers that still wait are kept.
func (g *group) leave(sp *spending) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, sp); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	}
}

// take removes and returns up to maxGroup Spends, the first that joined. If there is none,
// the goroutine that runs commitAll must end: the next join starts another.
func (g *group) take() []*spending {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), maxGroup)
	taken := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	g.working = n > 0
	return taken
}

// commitAll answers Spends until none waits.
func (s *Store) commitAll() {
	for {
		// Lets the goroutines run that were just answered, so that they can join with their
		// next entry. With eight goroutines that spend one entry after the other, all eight
		// then share each transaction; without it, every other transaction has one entry.
		runtime.Gosched()
		taken := s.group.take()
		if len(taken) == 0 {
			return
		}
		s.commit(taken)
	}
}

// commit answers Spends with one transaction.
func (s *Store) commit(all []*spending) {
	rest := all
	err := s.use(func() (err error) {
		if rest, err = s.refuse(all); err != nil || len(rest) == 0 {
			return err
		}
		return s.update(func(tx *bbolt.Tx, l *ledger) error {
			for _, sp := range rest {
				// Looked up again, because an entry before it in this transaction may have
				// the same token or access.
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
			// Also if it was refused: that may have been for an entry of this transaction,
			// which is not recorded.
			sp.done <- err
		}
	}
}

// refuse answers the Spends that are refused because of what is recorded already, and
// returns the others. It takes a transaction that only reads, and so no sync. On error it
// has answered none and returns all.
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

// refusal returns the reason to refuse the knock, or nil. horizon is that of the ledger.
func (e *Entry) refusal(tx *bbolt.Tx, horizon int64) error {
	if e.Token != nil {
		// Get returns nil only for a key that is not there: every token has a value.
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

// record writes an entry that refusal has not refused.
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
		// Removed and added, so that the ledger loses the digest of the old count.
		if err := l.remove(counts, access); err != nil {
			return err
		}
		return l.add(counts, access, number(int64(n)+1))
	}
	return nil
}

// count returns how many knocks of an access were counted.
func count(tx *bbolt.Tx, access string) int {
	v := tx.Bucket(countsBucket).Get([]byte(access))
	if v == nil {
		return 0
	}
	return int(parseNumber(v))
}
