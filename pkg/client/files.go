package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Host is an entry of a file about one knock server.
type Host struct {
	// Name is the name or address that the user types for this host.
	Name     string
	Settings Settings // Kind is set
	Origin   string   // FILE:LINE
	// Stanza is set for a stanza of ~/.fwknoprc; Name is the name of the stanza.
	Stanza bool
	// Warnings are for users who knock at this host.
	Warnings []string
	// Err is a mistake in a stanza, which can then not be used. Settings are those
	// read before it.
	Err error
}

// File is a file of hosts.
type File struct {
	Path string
	// Parse is ParseHosts or ParseRC.
	Parse func(path string, data []byte) ([]Host, error)
	// Optional is set if the file need not exist.
	Optional bool
}

// DefaultFiles returns hosts.toml in the user's configuration directory and
// ~/.fwknoprc, both optional. Entries of the former take precedence. The path of a file is
// "" if the environment does not define the directory.
func DefaultFiles() (hosts, rc File) {
	hosts = File{Parse: ParseHosts, Optional: true}
	if dir, err := os.UserConfigDir(); err == nil {
		hosts.Path = filepath.Join(dir, "nftknock", "hosts.toml")
	}
	rc = File{Parse: ParseRC, Optional: true}
	if dir, err := os.UserHomeDir(); err == nil {
		rc.Path = filepath.Join(dir, ".fwknoprc")
	}
	return hosts, rc
}

// maxFile is the size of the largest file that Load reads, in bytes.
const maxFile = 1 << 20

// Load reads the hosts of a file. It refuses a file that another user can write: that
// user could change an address and receive the sequence with the next knock. If other
// users can read the file, Load returns a warning, and refuses the file if it contains a
// key.
func (f File) Load() (hosts []Host, warning string, err error) {
	if f.Path == "" && f.Optional {
		return nil, "", nil
	}
	data, warning, err := f.read()
	if errors.Is(err, fs.ErrNotExist) && f.Optional {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer clear(data) // it may contain keys
	if hosts, err = f.Parse(f.Path, data); err != nil {
		return nil, "", err
	}
	if warning != "" && slices.ContainsFunc(hosts, func(h Host) bool { return h.Settings.Key != nil || h.Settings.HMACKey != nil }) {
		return nil, "", configError("chmod 600 "+f.Path, "%s: others can read this file, and it holds keys", f.Path)
	}
	return hosts, warning, nil
}

func (f File) read() (data []byte, warning string, err error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, "", &Error{Err: err, Config: true}
	}
	defer file.Close()
	// NB: Stat of the open file, not of the path, which another process could have
	// replaced since.
	info, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	if warning, err = checkAccess(f.Path, info); err != nil {
		return nil, "", err
	}
	data, err = io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return nil, "", &Error{Err: err, Config: true}
	case len(data) > maxFile:
		return nil, "", configError("", "%s: larger than %d bytes", f.Path, maxFile)
	}
	return data, warning, nil
}

// place is a place in a file. Line and column count from 1; column is 0 if not known.
type place struct {
	path         string
	line, column int
}

// errorf returns an Error about the place, with Config set.
func (at place) errorf(hint, format string, args ...any) *Error {
	text := fmt.Sprintf("%s:%d", at.path, at.line)
	if at.column > 0 {
		text += fmt.Sprintf(":%d", at.column)
	}
	return configError(hint, "%s: %s", text, fmt.Sprintf(format, args...))
}
