package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"nftknock/pkg/invalid"
)

var errNotRegular = errors.New("not a regular file")

// regular is nil if path is a regular file. Opening a fifo would block.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	return err
}

// openRegular reports whether path is a regular file that can be opened.
func openRegular(path string) error {
	if err := regular(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// readFile reads a policy file, and of one that is too large one byte more than it may
// have. It refuses a regular file that others than root and the effective user can
// write. A pipe, such as the shell's <(...), has no such owner and is read.
func readFile(path string) ([]byte, error) { return readAll(path, checkAccess) }

// readText is readFile for text whose owner and mode do not matter.
func readText(path string) ([]byte, error) {
	return readAll(path, func(string, fs.FileInfo) error { return nil })
}

func readAll(path string, check func(string, fs.FileInfo) error) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// The open file is looked at, not its name, which may by now be another's.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		if err := check(path, info); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

func checkAccess(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return checkOwnerMode(path, info.Mode().Perm(), owner, uint32(os.Geteuid()))
}

// checkOwnerMode refuses a file that others than root and the effective user self
// can write: they could open what they like.
func checkOwnerMode(path string, mode fs.FileMode, owner, self uint32) error {
	const othersWrite = 0o022
	switch {
	case owner != 0 && self == 0:
		return invalid.Newf("root: chown root "+path, "bad owner uid %d", owner)
	case owner != 0 && owner != self:
		return invalid.Newf(fmt.Sprintf("uid %d or root: chown root %s", self, path), "bad owner uid %d", owner)
	case mode&othersWrite != 0:
		return invalid.Newf("write permission for the owner alone: chmod go-w "+path, "bad mode %#o: group or others can write it", uint32(mode))
	}
	return nil
}

// reason returns the text of an error without its path, which the diagnostic has
// already.
func reason(err error) string {
	var p *fs.PathError
	// Behind the path there is the system's own text, such as "permission denied".
	if errors.As(err, &p) {
		return "cannot read it: " + p.Err.Error()
	}
	return err.Error()
}
