package spent

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"

	"nftknock/pkg/statedir"
)

// OnRestore sets the function that is called after a store that was deleted while in use was
// written again. It must be called before other goroutines use the store. f must not use the
// store.
func (s *Store) OnRestore(f func()) { s.restored = f }

// deleted reports whether the file in use has no name any more: someone has removed it, or
// its directory. It can be read until it is closed. A file that was renamed or replaced is
// another matter: whoever did so may have meant it.
func (s *Store) deleted() bool {
	info, err := s.file.Stat()
	if err != nil || info.Sys().(*syscall.Stat_t).Nlink > 0 {
		return false
	}
	_, err = os.Lstat(s.path)
	return errors.Is(err, fs.ErrNotExist)
}

// restore writes a copy of the deleted file in use under the store's name, and uses that from
// now on: nothing that was spent is forgotten. On error the file in use stays.
func (s *Store) restore() error {
	dir := filepath.Dir(s.path)
	if err := statedir.Prepare(dir); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, newPattern) // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // the copy has another name by then, if it is good
	next := &Store{path: s.path, file: file}
	err = s.db.View(func(tx *bbolt.Tx) error { return copyTo(file, tx) })
	if err == nil {
		// Locked before it has its name: no other process can open it first.
		err = next.open()
	}
	if err != nil {
		return errors.Join(err, release(file))
	}
	// Link and not Rename, which would replace what another process has made meanwhile.
	err = os.Link(file.Name(), s.path)
	if err == nil {
		err = statedir.Sync(dir)
	}
	if err != nil {
		return errors.Join(err, protect(next.db.Close))
	}
	old := s.db
	s.db, s.file = next.db, next.file
	if s.restored != nil {
		s.restored()
	}
	// What it holds is in the copy.
	_ = protect(old.Close)
	return nil
}

func copyTo(file *os.File, tx *bbolt.Tx) error {
	if _, err := tx.WriteTo(file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return file.Sync()
}
