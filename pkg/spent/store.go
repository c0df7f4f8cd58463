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

// A Store is an open file of spent tokens and counts. Its methods may be called
// concurrently. Those that use the file wait for each other, but Spends that wait
// at the same time are recorded together: see Spend.
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

	group group
}

// Spend records a knock, its token and its count in one transaction. It returns
// nil when both are on disk and the knock may be honoured; ErrSpent, ErrStale or
// ErrLimit when it must not be; and after any other error it must not be
// either, though it may have been recorded. An entry with neither Token nor Limit
// has nothing to be recorded: nil.
//
// A transaction takes two syncs of the disk. The Spends that come meanwhile wait
// and share the next one; a refusal takes reading alone. Of several Spends of one
// token at most one returns nil, and a limit is never exceeded.
//
// When ctx is done first, Spend returns an error that wraps its cause, at once even
// if the disk hangs. If a transaction has the entry by then, it goes on: the token
// and the count are recorded or not. Otherwise they are not recorded, and a later
// Spend of the same token can succeed: a caller for whom the knock is over then
// has to remember the token, as Queue does.
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
		// A goroutine of its own, since no system call that waits for a disk
		// can be interrupted: only so this one can leave.
		go s.commitAll()
	}
	select {
	case err := <-sp.done:
		return err
	case <-ctx.Done():
		s.group.leave(sp)
		return s.tooLate(ctx)
	}
}

func (s *Store) tooLate(ctx context.Context) error {
	return fmt.Errorf("store %q: %w", s.path, context.Cause(ctx))
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
