//go:build unix

package secret

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"nftknock/pkg/invalid"
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
		return invalid.Newf(fmt.Sprintf("uid %d or root", self), "bad owner of key file %s: uid %d", path, owner)
	}
	if mode&othersAny != 0 {
		return invalid.Newf("nothing for group and others: chmod 600 "+path, "bad mode %#o of key file %s", uint32(mode), path)
	}
	return nil
}
