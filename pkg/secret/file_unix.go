//go:build unix

package secret

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"nftknock/pkg/invalid"
)

// open opens a file for reading.
func open(path string) (*os.File, error) {
	// Without O_NONBLOCK, opening a named pipe waits for a writer.
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

func checkAccess(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	return checkOwnerMode(path, info.Mode().Perm(), owner, uint32(os.Geteuid()))
}

// checkOwnerMode returns an error if a user other than root and self, the effective user,
// owns the file or has permissions for it: that user could read or replace the key.
func checkOwnerMode(path string, mode fs.FileMode, owner, self uint32) error {
	const othersAny = 0o077
	if owner != 0 && owner != self {
		return invalid.Newf(fmt.Sprintf("uid %d or root", self), "bad owner of key file %s: uid %d", path, owner)
	}
	if mode&othersAny != 0 {
		return invalid.Newf("nothing for group and others: chmod 600 "+path, "bad mode %#o of key file %s", uint32(mode), path)
	}
	return nil
}
