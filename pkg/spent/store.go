package spent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"go.etcd.io/bbolt"
)

// A Store is an open file of spent tokens and counts. Its methods may be called from several
// goroutines. Those that use the file wait for each other, but Spends that wait at the same
// time are recorded together: see Spend.
type Store struct {
	path   string
	tokens atomic.Int64

	// mu is held over every use of db. bbolt's own locks are not enough, since they stay
	// locked after a panic.
	mu   sync.Mutex
	db   *bbolt.DB
	file *os.File // that db uses
	// unusable is the error that all calls return after a panic or after Close; nil before.
	unusable error
	restored func() // see OnRestore; nil for none

	group group
}

// Spend records the token and the count of a knock in one transaction. It returns nil if
// both are on disk and the knock may be honoured. On error the knock must not be honoured:
// ErrSpent, ErrStale and ErrLimit say that it is refused; after any other error it may have
// been recorded nevertheless. For an entry with neither Token nor Limit, Spend does nothing
// and returns nil.
//
// A transaction takes two syncs of the disk. Spends that are called meanwhile wait, and
// share the next transaction. A refusal takes no sync. Of several Spends of one token at
// most one returns nil, and a limit is never exceeded.
//
// When ctx is done first, Spend returns an error that wraps its cause, even while the disk
// hangs. If a transaction has begun with the entry by then, the token and the count are
// recorded or not. Otherwise they are not, and a later Spend of the same token can succeed:
// a caller that has refused the knock must keep the token in memory, as Queue does.
func (s *Store) Spend(ctx context.Context, e Entry) error {
	if e.empty() {
		return nil
	}
	if err := e.check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return s.tooLate(ctx)
	}
	sp := newSpending(e)
	if s.group.join(sp) {
		// In a goroutine of its own, because a system call that waits for a disk cannot be
		// interrupted: this function has to return when ctx is done.
		go s.commitAll()
	}
	select {
	case err := <-sp.done:
		return err
	case <-ctx.Done():
		// Otherwise the entries of callers that have gone would pile up in front of a disk
		// that hangs.
		s.group.leave(sp)
		return s.tooLate(ctx)
	}
}

// tooLate is the error of a Spend whose ctx is done.
func (s *Store) tooLate(ctx context.Context) error {
	return fmt.Errorf("store %q: %w", s.path, context.Cause(ctx))
}

// Len returns how many tokens the store holds. It does not use the file and does not wait.
func (s *Store) Len() int { return int(s.tokens.Load()) }

// Close waits for the method that uses the file, and closes it. Methods that are called
// later fail with os.ErrClosed; another Close does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.unusable, os.ErrClosed) {
		return nil
	}
	sound := s.unusable == nil
	s.unusable = fmt.Errorf("store %q: %w", s.path, os.ErrClosed)
	if !sound {
		// db.Close could wait for ever for a lock that a panic left locked.
		return release(s.file)
	}
	return protect(s.db.Close)
}

// release unlocks and closes a file that bbolt cannot close. To close it is not enough:
// flock(2) locks an open file description, and bbolt's mapping, which stays, refers to it.
func release(file *os.File) error {
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_UN); err != nil {
		return os.NewSyscallError("flock", err)
	}
	return file.Close()
}
