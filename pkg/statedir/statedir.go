// Package statedir makes and checks the directory in which the daemon keeps what must outlive
// it.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Prepare makes a directory (mode 0700) and its parents if they are missing. It returns an
// error for a directory that is owned, or can be written, by others than root and the
// effective user.
func Prepare(dir string) error {
	if err := makeDir(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
	}
	return Check(dir, info)
}

// Check returns an error for a file or directory that is owned, or can be written, by others
// than root and the effective user: they could replace or delete what the daemon relies on.
func Check(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return checkOwnerMode(path, info.Mode().Perm(), owner, uint32(os.Geteuid()))
}

// checkOwnerMode is Check for the effective user self.
func checkOwnerMode(path string, mode fs.FileMode, owner, self uint32) error {
	if owner != 0 && owner != self {
		return fmt.Errorf("bad owner of %q: uid %d: want uid %d or root (chown)", path, owner, self)
	}
	if mode&0o022 != 0 {
		return fmt.Errorf("bad mode %#o of %q: want none but the owner to write it (chmod go-w)", uint32(mode), path)
	}
	return nil
}

// makeDir makes a directory and its parents, and syncs each parent: otherwise the name of a
// new directory, and all below it, could be lost in a power failure.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Sync(parent)
}

// Sync writes the names in a directory to the disk: fsync(2) of a file does not.
func Sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
