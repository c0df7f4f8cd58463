// Package spent records on disk which knocks were honoured, so that no knock is honoured
// twice, not even after a restart, kill -9 or a power failure.
//
// A Store is one bbolt file, which only one process can have open. It fails closed: if it
// cannot read or write, Spend returns an error and the knock must not be honoured. It does
// not panic: a file that is damaged, or truncated while in use, gives ErrDamaged. A Queue
// stands in front of a Store for callers that cannot wait for the disk, and a Retry takes
// the place of a Store that could not be opened.
//
// bbolt writes the pages of a transaction, syncs, writes one of two meta pages by turns,
// and syncs again; only then Spend returns. If power fails in between, the other meta page
// still refers to the pages of the previous transaction, none of which was overwritten. So
// only tokens whose Spend had not returned can be lost.
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

// The refusals by what is recorded. A refusal writes nothing.
var (
	// ErrSpent: the token was spent before.
	ErrSpent = errors.New("token was spent before")
	// ErrLimit: as many knocks of the access were honoured as its limit allows.
	ErrLimit = errors.New("access has reached its limit")
	// ErrStale: the token expires no later than one that was pruned, so that it may itself
	// have been spent and pruned. This happens only after the clock was set back.
	ErrStale = errors.New("token expires before the time up to which tokens were pruned")
)

// IsRefusal reports whether err is one of the reasons ErrSpent, ErrLimit and
// ErrStale, and not a failure.
func IsRefusal(err error) bool {
	return errors.Is(err, ErrSpent) || errors.Is(err, ErrLimit) || errors.Is(err, ErrStale)
}

// ErrDamaged: the file is not as a Store writes it. The errors that wrap ErrDamaged name the
// file, what is wrong with it, and what to do.
var ErrDamaged = errors.New("store of spent tokens is damaged")

// A Token identifies a knock that can be honoured once: it is a digest of the authenticated
// part of the knock.
type Token [32]byte

// An Entry is what a store records about one knock.
type Entry struct {
	// Token is nil for a knock that has none and is only counted. Spend fails if the token
	// was spent before.
	Token *Token
	// Expires is the time from which a knock with this Token is refused for its age, so that
	// the Token can be pruned; zero for never. Fractions of a second are rounded up.
	Expires time.Time
	// Access is the access whose honoured knocks are counted, and on whose share of a Queue
	// the entry counts.
	Access string
	// Limit is the highest number of knocks of Access that are honoured. With 0 there is no
	// limit and nothing is counted: knocks that are honoured before an access has a limit
	// do not count against it.
	Limit int
}

// empty reports whether there is nothing to record.
func (e *Entry) empty() bool { return e.Token == nil && e.Limit == 0 }

// check returns an error for an entry that would make a transaction fail, and with it the
// other entries of the same transaction.
func (e *Entry) check() error {
	// The name is a key of the bucket counts: bbolt refuses keys of other lengths.
	if e.Limit != 0 && (e.Access == "" || len(e.Access) > bbolt.MaxKeySize) {
		return fmt.Errorf("bad access %.100q with a limit: want a name of 1 to %d bytes", e.Access, bbolt.MaxKeySize)
	}
	return nil
}

// A Spender records entries. *Store does so on disk. Its methods may be called from several
// goroutines.
type Spender interface {
	// Spend returns nil once the entry is recorded; only then may the knock be honoured. When
	// ctx is done, Spend returns an error at once.
	Spend(ctx context.Context, e Entry) error
	// Prune deletes the tokens that have expired by now. It may block for as long as the
	// disk does.
	Prune(now time.Time) (removed int, err error)
	Close() error
}
