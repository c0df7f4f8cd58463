package spent

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// A panicError is a panic as an error.
type panicError struct{ reason any }

func (e *panicError) Error() string { return fmt.Sprint(e.reason) }

// protect runs f and returns a panic of it as an error. bbolt panics when it reads something
// unexpected. It reads from a mapping of the file, which faults (SIGBUS) if the file was
// truncated or the disk cannot be read.
func protect(f func() error) (err error) {
	// Makes a fault a panic instead of the end of the process, for this goroutine alone. The
	// arguments of a deferred call are evaluated now: the inner call switches it on, and the
	// outer restores the old setting at the end.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r}
		}
	}()
	return f()
}

// damaged returns an ErrDamaged that says what is wrong with the file and what to do.
func damaged(path string, why error) error {
	return fmt.Errorf("%w: %q: %w; all keyed knocks and accesses with a limit are refused until you restore the file or move it away, "+
		"and restart; without the file all spent tokens are lost: first renew the keys of knocks that never expire, "+
		"and wait until the others have expired", ErrDamaged, path, why)
}

// use runs f, which may use the store's db, with the mutex held. After a panic of f the db is
// not used any more, since bbolt's locks may be locked and its memory inconsistent.
func (s *Store) use(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unusable != nil {
		return s.unusable
	}
	err := protect(f)
	if p := (*panicError)(nil); errors.As(err, &p) {
		s.unusable = damaged(s.path, p)
		return s.unusable
	}
	return err
}

// view runs f in a transaction that reads. An error of f means that the file is damaged.
func (s *Store) view(f func(*bbolt.Tx) error) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return fmt.Errorf("cannot read store %q: %w; restart to try again", s.path, err)
	}
	// The end of a transaction that reads is a Rollback, too. It fails only if the
	// transaction has ended already.
	defer func() { _ = tx.Rollback() }()
	if err := f(tx); err != nil {
		return damaged(s.path, err)
	}
	return nil
}

// update runs f in a transaction that writes. f must change the ledger with the buckets;
// update writes it. On error nothing is recorded, except that a Commit that fails at the last
// sync may have been.
func (s *Store) update(f func(*bbolt.Tx, *ledger) error) error {
	if s.deleted() {
		if err := s.restore(); err != nil {
			return fmt.Errorf("store %q was deleted while in use, and cannot be written again: %w; all keyed knocks and accesses with a limit are refused until it can", s.path, err)
		}
	}
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
		return fmt.Errorf("cannot write store %q: %w; all keyed knocks and accesses with a limit are refused until it can be written", s.path, err)
	}
	s.tokens.Store(l.tokens) // only after the commit
	return nil
}

// inPlace verifies that the next start will find what is written now: the file with the
// store's name must be the one in use, and must have all pages of size bytes.
func (s *Store) inPlace(size int64) error {
	// Writes to a file succeed after it was deleted, renamed or replaced.
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
		return damaged(s.path, fmt.Errorf("it has %d of %d bytes", used.Size(), size))
	}
	return nil
}
