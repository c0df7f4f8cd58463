// Package spent remembers on disk which knocks were honoured, so that none is
// honoured twice: not after a restart, not after kill -9, not after the loss of
// power.
//
// A Store is one bbolt file that one process has open. It fails closed: where
// it cannot read or write what it must, the answer is an error and the knock must
// not be honoured. It never panics: a file that is damaged, or truncated while in
// use, gives ErrDamaged. A Queue stands in front of it for callers that cannot wait
// for the disk, and a Retry stands for a store that could not be opened yet.
//
// bbolt writes the pages of a transaction, syncs, writes one of two meta pages
// in turn, and syncs again; only then Spend returns. Whatever of this power loss
// leaves undone, the other meta page still names the pages of the transaction
// before, none of which were touched. So what is lost is at most tokens whose
// Spends had not returned.
//
// The file holds four buckets; numbers are big endian:
//
//	tokens   token (32 bytes)              -> expiry (8 bytes, Unix seconds; 0: never)
//	expiries expiry (8 bytes), token       -> nothing; of tokens that expire
//	counts   name of an access             -> honoured knocks (8 bytes)
//	meta     "version", "ledger"           -> format version (8 bytes), ledger
package spent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// The reasons for which a knock is refused that could be looked up. Refusing
// writes nothing.
var (
	// ErrSpent: the token was spent before.
	ErrSpent = errors.New("token was spent before")
	// ErrLimit: the access has been honoured as often as it may be.
	ErrLimit = errors.New("access has reached its limit")
	// ErrStale: the token expires no later than one that was pruned, so it
	// may itself have been spent and pruned. It is met only when the clock was
	// set back.
	ErrStale = errors.New("token expires before the time up to which tokens were pruned")
)

// IsRefusal reports whether err is one of the reasons ErrSpent, ErrLimit and
// ErrStale, and not a failure.
func IsRefusal(err error) bool {
	return errors.Is(err, ErrSpent) || errors.Is(err, ErrLimit) || errors.Is(err, ErrStale)
}

// ErrDamaged: the file is not what a Store wrote. The errors that wrap it name
// the file, what is wrong with it, and what to do.
var ErrDamaged = errors.New("store of spent tokens is damaged")

// A Token stands for one knock that can be honoured once: a digest of what was
// authenticated in it.
type Token [32]byte

// An Entry is what is to be remembered of one knock.
type Entry struct {
	// Token must not have been spent before; nil for knocks that have none
	// and are only counted.
	Token *Token
	// Expires is when a knock with this Token is refused for its age alone, and
	// the Token may be forgotten. Zero: never. Fractions of a second are rounded up.
	Expires time.Time
	// Access is whose honoured knocks are counted, and whose share of a Queue
	// the entry takes.
	Access string
	// Limit is how many knocks of Access are honoured at most. With 0 there is
	// no limit and nothing is counted, so knocks honoured before an access had a
	// limit do not count against it.
	Limit int
}

// empty reports whether there is nothing to be recorded.
func (e *Entry) empty() bool { return e.Token == nil && e.Limit == 0 }

// check refuses what would make a transaction fail, and with it the other entries
// in the same transaction.
func (e *Entry) check() error {
	if e.Limit != 0 && (e.Access == "" || len(e.Access) > bbolt.MaxKeySize) {
		return fmt.Errorf("bad access %.100q with a limit: want a name of 1 to %d bytes", e.Access, bbolt.MaxKeySize)
	}
	return nil
}

// A Spender remembers what was spent. *Store is the one that does so on disk.
type Spender interface {
	// Spend records an entry before it returns nil. Only then the knock may be
	// honoured. It returns an error no later than ctx is done.
	Spend(ctx context.Context, e Entry) error
	// Prune forgets the tokens that have expired by now.
	Prune(now time.Time) (removed int, err error)
	Close() error
}
