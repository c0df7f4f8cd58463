// Package replay remembers on disk which knocks were honoured, so that none is
// honoured twice: not after a restart, not after kill -9, not after the loss of
// power.
//
// A Store is one bbolt file that one process has open. It fails closed: where
// it cannot read or write what it must, the answer is an error and the knock must
// not be honoured. It never panics: a file that is damaged, or truncated while in
// use, gives ErrDamaged.
//
// bbolt writes the pages of a transaction, syncs, writes one of two meta pages
// in turn, and syncs again; only then Spend returns. Whatever of this power loss
// leaves undone, the other meta page still names the pages of the transaction
// before, none of which were touched. So what is lost is at most a token whose
// Spend had not returned.
//
// The file holds four buckets; numbers are big endian:
//
//	tokens   token (32 bytes)              -> expiry (8 bytes, Unix seconds; 0: never)
//	expiries expiry (8 bytes), token       -> nothing; of tokens that expire
//	counts   name of an access             -> honoured knocks (8 bytes)
//	meta     "version", "ledger"           -> format version (8 bytes), ledger
package replay

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// The reasons for which a knock is refused that could be looked up. Refusing
// writes nothing.
var (
	// ErrSpent: the token was spent before.
	ErrSpent = errors.New("replay: token was spent before")
	// ErrLimit: the access has been honoured as often as it may be.
	ErrLimit = errors.New("replay: access has reached its limit")
	// ErrStale: the token expires no later than one that was pruned, so it
	// may itself have been spent and pruned. It is met only when the clock was
	// set back.
	ErrStale = errors.New("replay: token expires before the time up to which tokens were pruned")
)

// ErrDamaged: the file is not what a Store wrote. The errors that wrap it name
// the file, what is wrong with it, and what to do.
var ErrDamaged = errors.New("store of spent knocks is damaged")

// A Token stands for one knock that can be honoured once: a digest of what was
// authenticated in it.
type Token [32]byte

// A Spend is what is to be remembered of one knock.
type Spend struct {
	// Token must not have been spent before; nil for knocks that have none
	// and are only counted.
	Token *Token
	// Expires is when a knock with this Token is refused for its age alone, and
	// the Token may be forgotten. Zero: never. Fractions of a second are rounded up.
	Expires time.Time
	// Access is whose honoured knocks are counted.
	Access string
	// Limit is how many knocks of Access are honoured at most. With 0 there is
	// no limit and nothing is counted, so knocks honoured before an access had a
	// limit do not count against it.
	Limit int
}

// A Store is an open file of spent tokens and counts. Its methods may be called
// concurrently; they wait for each other.
type Store struct {
	path   string
	tokens atomic.Int64

	// mu is held over every use of db. bbolt's own locks would do, were it not
	// that a panic can leave them locked for ever.
	mu   sync.Mutex
	db   *bbolt.DB
	file *os.File
	// over is why db must not be used any more.
	over error
}

// Spend records a knock, its token and its count in one transaction. It returns
// nil when both are on disk and the knock may be honoured; ErrSpent, ErrStale or
// ErrLimit when it must not be; and after any other error it must not be
// either, though it may have been recorded. A Spend with neither Token nor Limit
// has nothing to be recorded: nil.
//
// A knock is recorded by two syncs of the disk, and refused by reading alone.
func (s *Store) Spend(sp Spend) error {
	if sp.Token == nil && sp.Limit == 0 {
		return nil
	}
	if sp.Limit != 0 && sp.Access == "" {
		return errors.New(`bad access "" with a limit: want a name`)
	}
	return s.use(func() error {
		var refusal error
		err := s.view(func(tx *bbolt.Tx) (err error) {
			refusal, err = sp.refusal(tx)
			return err
		})
		switch {
		case err != nil:
			return err
		case refusal != nil:
			return refusal
		}
		return s.update(sp.record)
	})
}

// refusal looks up why the knock must not be honoured, nil if it may be.
func (sp *Spend) refusal(tx *bbolt.Tx) (refusal, err error) {
	if sp.Token != nil {
		if tx.Bucket(tokensBucket).Get(sp.Token[:]) != nil {
			return ErrSpent, nil
		}
		l, err := readLedger(tx)
		if err != nil {
			return nil, err
		}
		if !sp.Expires.IsZero() && seconds(sp.Expires) <= l.horizon {
			return ErrStale, nil
		}
	}
	if sp.Limit != 0 {
		if n := count(tx, sp.Access); n >= sp.Limit {
			return ErrLimit, nil
		}
	}
	return nil, nil
}

// record writes what refusal found to be new.
func (sp *Spend) record(tx *bbolt.Tx, l *ledger) error {
	if sp.Token != nil {
		expiry := seconds(sp.Expires)
		if err := l.add(tx.Bucket(tokensBucket), sp.Token[:], number(expiry)); err != nil {
			return err
		}
		l.tokens++
		if expiry != never {
			if err := tx.Bucket(expiriesBucket).Put(expiryKey(expiry, sp.Token), nil); err != nil {
				return err
			}
		}
	}
	if sp.Limit != 0 {
		counts, access := tx.Bucket(countsBucket), []byte(sp.Access)
		n := count(tx, sp.Access)
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

// Honoured returns how many knocks of an access were spent with a Limit.
func (s *Store) Honoured(access string) (n int, err error) {
	err = s.use(func() error {
		return s.view(func(tx *bbolt.Tx) error {
			n = count(tx, access)
			return nil
		})
	})
	return n, err
}

// Len returns how many spent tokens the store holds. It does not touch the file
// and does not wait.
func (s *Store) Len() int { return int(s.tokens.Load()) }

// Close waits for what is being done and closes the file; what is called after
// it fails with os.ErrClosed. To close again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.over, os.ErrClosed) {
		return nil
	}
	sound := s.over == nil
	s.over = fmt.Errorf("store %q: %w", s.path, os.ErrClosed)
	if !sound {
		return release(s.file)
	}
	return protect(s.db.Close)
}

// release gives up a file that bbolt cannot close any more, because it may be
// waiting for its own locks. The mapping stays, and would keep the lock.
func release(file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_UN); err != nil {
		return os.NewSyscallError("flock", err)
	}
	return file.Close()
}
