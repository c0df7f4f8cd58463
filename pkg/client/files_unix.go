//go:build unix

package client

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkAccess returns an error if another user can write a file, and a warning if another
// user can read it. It accepts devices and pipes, such as /dev/null.
func checkAccess(path string, info fs.FileInfo) (warning string, err error) {
	const (
		othersRead  = 0o044
		othersWrite = 0o022
	)
	if !info.Mode().IsRegular() {
		return "", nil
	}
	mode := info.Mode().Perm()
	if mode&othersWrite != 0 {
		return "", configError("chmod 600 "+path,
			"%s: others can write this file (mode %#o): a changed address would be sent your sequence", path, mode)
	}
	owner, self := info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())
	// Root may use files of any user: sudo may keep the HOME of the caller.
	if owner != self && owner != 0 && self != 0 {
		return "", configError("copy it to a file of your own",
			"%s: belongs to another user (uid %d): a changed address would be sent your sequence", path, owner)
	}
	if mode&othersRead != 0 {
		return fmt.Sprintf("%s: others can read this file (mode %#o), and sequences are secrets: chmod 600 %s",
			path, mode, path), nil
	}
	return "", nil
}
