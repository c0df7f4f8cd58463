//go:build !unix

package client

import "io/fs"

// checkAccess leaves access lists alone: the profile directory, where the
// files live, is its user's own by default.
func checkAccess(string, fs.FileInfo) (warning string, err error) { return "", nil }
