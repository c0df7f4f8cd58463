//go:build !unix

package client

import "io/fs"

// checkAccess checks nothing. Files in a user's profile directory are accessible only to
// that user by default.
func checkAccess(string, fs.FileInfo) (warning string, err error) { return "", nil }
