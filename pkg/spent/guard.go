package spent

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// A panicError is what protect makes of a panic.
type panicError struct{ reason any }

func (e *panicError) Error() string { return fmt.Sprint(e.reason) }

// protect runs f and returns its panic as an error: bbolt asserts what it reads,
// and reads from a mapping, which faults when the file was truncated or the disk
// cannot be read.
func protect(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r}
		}
	}()
	return f()
}

// damaged says what is wrong with the file and what to do.
func damaged(path string, why error) error {
	return fmt.Errorf("%w: %q: %w; no knock that must be remembered is honoured until you restore the file or move it away, "+
		"and restart; without it all spent tokens are forgotten: first renew the keys of knocks that never expire, "+
		"and wait until the others have expired", ErrDamaged, path, why)
}

// use runs f, which uses the store's db, alone and protected. A panic may leave
// bbolt's locks locked and its memory inconsistent, so it is the last use.
func (s *Store) use(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return s.over
	}
	err := protect(f)
	if p := (*panicError)(nil); errors.As(err, &p) {
		s.over = damaged(s.path, p)
		return s.over
	}
	return err
}

// view runs f in a transaction that reads. The error of f is damage.
func (s *Store) view(f func(*bbolt.Tx) error) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return fmt.Errorf("cannot read store %q: %w; restart to try again", s.path, err)
	}
	defer func() { _ = tx.Rollback() }() // fails only when it has ended
	if err := f(tx); err != nil {
		return damaged(s.path, err)
	}
	return nil
}

// update runs f in a transaction that writes, with the ledger to keep.
func (s *Store) update(f func(*bbolt.Tx, *ledger) error) error {
	var l ledger
	err := s.db.Update(func(tx *bbolt.Tx) (err error) {
		if err := s.inPlace(tx.Size()); err != nil {
			return err
		}
		if l, err = readLedger(tx); err != nil {
			return damaged(s.path, err)
		}
		if err := f(tx, &l); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(ledgerKey, l.encode())
	})
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case err != nil:
		return fmt.Errorf("cannot write store %q: %w; no knock that must be remembered is honoured until it can be written", s.path, err)
	}
	s.tokens.Store(l.tokens)
	return nil
}

// inPlace verifies that the next start will find what is written now: that the
// file of the store's name is still the one in use, and as long as it should be.
func (s *Store) inPlace(size int64) error {
	used, err := s.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(s.path)
	if err != nil {
		return fmt.Errorf("%w; restore it or restart", err)
	}
	if !os.SameFile(used, named) {
		return errors.New("the file was replaced while in use; restart")
	}
	if used.Size() < size {
		return damaged(s.path, fmt.Errorf("%d of %d bytes are there", used.Size(), size))
	}
	return nil
}
