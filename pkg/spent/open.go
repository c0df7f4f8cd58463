package spent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"nftknock/pkg/statedir"
)

// Open opens the store at path and locks it. If they are missing, it makes the file (mode
// 0600) and its directory (0700). It reads the whole file, and returns ErrDamaged if any part
// is not as a Store writes it. It returns an error for a file or directory that is owned, or
// can be written, by others than root and the effective user. If another process has the
// store open, it fails after a second.
func Open(path string) (*Store, error) {
	if err := prepare(path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, file: file}
	if err := s.open(); err != nil {
		_ = release(file) // an error means that bbolt has closed it
		return nil, err
	}
	return s, nil
}

// open locks and verifies the file before bbolt opens it. bbolt does not check what it reads,
// and reads some of it in goroutines of its own, whose panics nobody can recover.
func (s *Store) open() error {
	if err := lock(s.file); err != nil {
		return fmt.Errorf("cannot lock store %q: %w", s.path, err)
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	l, err := verify(s.file, info.Size())
	if errors.Is(err, errVersion) {
		return fmt.Errorf("bad store %q: %w", s.path, err)
	}
	if err != nil {
		return damaged(s.path, err)
	}
	s.tokens.Store(l.tokens)
	err = protect(func() (err error) {
		s.db, err = openDB(s.path, func(string, int, os.FileMode) (*os.File, error) { return s.file, nil })
		return err
	})
	if p := (*panicError)(nil); errors.As(err, &p) {
		return damaged(s.path, p)
	}
	if err != nil {
		return fmt.Errorf("cannot open store %q: %w", s.path, err)
	}
	return nil
}

// openDB opens a file with bbolt, which syncs every transaction unless an option says
// otherwise.
func openDB(path string, open func(string, int, os.FileMode) (*os.File, error)) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockTimeout,
		OpenFile:     open,
		NoStatistics: true,
	})
}

// How long Open tries to lock a file, and the time between two attempts.
const (
	lockTimeout  = time.Second
	lockInterval = 50 * time.Millisecond
)

// lock takes the lock that bbolt takes as well. bbolt uses the same open file description,
// for which flock(2) succeeds again.
func lock(file *os.File) error {
	for end := time.Now().Add(lockTimeout); ; time.Sleep(lockInterval) {
		// Without LOCK_NB it would wait for ever, and Go cannot interrupt it.
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return os.NewSyscallError("flock", err)
		}
		if time.Now().After(end) {
			return errors.New("another process has it open: stop that, or use another store")
		}
	}
}

// prepare makes the directory and the file if they are missing. It returns an error if others
// may write either, and for anything but a regular file: a symbolic link would lead to a
// directory that is not checked.
func prepare(path string) error {
	if err := statedir.Prepare(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return fmt.Errorf("cannot make store %q: %w", path, err)
		}
		info, err = os.Lstat(path)
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("bad store %q: want a regular file", path)
	}
	return statedir.Check(path, info)
}

// newPattern is the name of a store until it is complete: see path.Match. A process that is
// killed meanwhile leaves the file, which nobody uses.
const newPattern = ".spent.new-*"

// Name is the name of the store in the state directory.
const Name = "spent.db"

// Files are the names of all files that the store may leave in the state directory, as
// path.Match has them.
func Files() []string { return []string{Name, newPattern} }

// create makes an empty store under another name, and links it to path when it is complete.
// So an empty or incomplete file at path is always damage, and never a power failure.
func create(path string) error {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, newPattern) // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // after an error the file stays, unused
	if err := file.Close(); err != nil {
		return err
	}
	if err := initialize(file.Name()); err != nil {
		return err
	}
	// Link and not Rename, which would replace the store that another process has made
	// meanwhile. Its contents are on disk: bbolt has synced them.
	if err := os.Link(file.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return statedir.Sync(dir)
}

// initialize writes the buckets of an empty store.
func initialize(path string) error {
	db, err := openDB(path, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{tokensBucket, expiriesBucket, countsBucket, metaBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if err := meta.Put(versionKey, number(version)); err != nil {
			return err
		}
		return meta.Put(ledgerKey, new(ledger).encode())
	})
}
