//go:build unix

package secret

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// open does not wait for the writer of a named pipe, which ReadLine then refuses.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

func checkAccess(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return checkOwnerMode(path, info.Mode().Perm(), owner, uint32(os.Geteuid()))
}

// checkOwnerMode refuses a key that others than root and the effective user self
// can read or could have chosen.
func checkOwnerMode(path string, mode fs.FileMode, owner, self uint32) error {
	const othersAny = 0o077
	if owner != 0 && owner != self {
		return fmt.Errorf("bad owner of key file %s: uid %d: want uid %d or root", path, owner, self)
	}
	if mode&othersAny != 0 {
		return fmt.Errorf("bad mode %#o of key file %s: want nothing for group and others: chmod 600 %s",
			uint32(mode), path, path)
	}
	return nil
}
