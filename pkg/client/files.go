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
	// Warnings are printed when a knock at this host is planned.
	Warnings []string
	// Err is why nothing can be sent to this host; Settings are those that were
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

// Load reads the hosts of a file. It refuses a file that other users can write:
// they could change an address and would be sent the sequence by the next knock. If
// others can only read the file, warning says so; a file with a key in it is then
// refused, too.
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
	// NB: the check is of the open file, since its name could stand for another
	// file by now.
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

// place is a place in a file. Lines and columns count from 1; column 0 stands for
// the whole line.
type place struct {
	path         string
	line, column int
}

// String returns FILE:LINE or FILE:LINE:COLUMN.
func (p place) String() string {
	s := fmt.Sprintf("%s:%d", p.path, p.line)
	if p.column > 0 {
		s += fmt.Sprintf(":%d", p.column)
	}
	return s
}

// fail is an Error about what stands there.
func (p place) fail(hint, format string, args ...any) *Error {
	return configError(hint, "%s: %s", p, fmt.Sprintf(format, args...))
}
