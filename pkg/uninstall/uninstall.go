// Package uninstall takes away what a daemon leaves in the host when it has stopped: the
// table, which hides services, and the state on disk.
package uninstall

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/spent"
	"nftknock/pkg/trial"
)

// ErrRunning means that a daemon runs, and would restore what is taken away.
var ErrRunning = errors.New("the daemon is running")

// Table is a table of the kernel. *gate.Kernel is one.
type Table interface {
	// Exists reports whether the table is in the kernel.
	Exists() (bool, error)
	// Remove deletes the table and its grants.
	Remove() error
}

// Config says what to remove.
type Config struct {
	// Socket is the control socket of the daemon, empty for none.
	Socket string
	// Open opens the table. gate.ErrOwned means that a process owns it.
	Open func() (Table, error)
	// Restored is how long to wait before looking whether a daemon that has neither a
	// control socket nor the ownership of its table restores it.
	Restored time.Duration
}

// Run removes the table and its grants, and reports whether there was one. ErrRunning if a
// daemon runs; then nothing was removed, or the daemon has restored it.
func Run(c Config) (removed bool, err error) {
	if running, err := control.Listens(c.Socket); err != nil || running {
		return false, errors.Join(err, isRunning(running))
	}
	table, err := c.Open()
	if errors.Is(err, gate.ErrOwned) {
		return false, fmt.Errorf("%w: %w", ErrRunning, err)
	}
	if err != nil {
		return false, err
	}
	if there, err := table.Exists(); err != nil || !there {
		return false, err
	}
	if err := table.Remove(); err != nil {
		return false, err
	}
	time.Sleep(c.Restored)
	back, err := table.Exists()
	if back {
		err = fmt.Errorf("%w: it has restored the table", ErrRunning)
	}
	return !back, err
}

func isRunning(running bool) error {
	if running {
		return ErrRunning
	}
	return nil
}

// StateFiles are the names of all files that are ever in a state directory, as path.Match has
// them.
func StateFiles() []string {
	return slices.Concat(lastpolicy.Files(), trial.Files(), spent.Files())
}

// State removes files of a state directory, and the directory if nothing else is in it. The names
// are patterns of path.Match. It returns the paths of what it removed, and reports whether the
// directory is still there. A symbolic link is removed, and not what it leads to.
func State(dir string, names []string) (removed []string, left bool, err error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	for _, file := range list {
		if !matches(names, file.Name()) {
			continue
		}
		path := filepath.Join(dir, file.Name())
		if removeErr := os.Remove(path); removeErr != nil {
			err = errors.Join(err, removeErr)
			continue
		}
		removed = append(removed, path)
	}
	// Fails if other files are in it, or if it is a mount point. NB: os.Remove would also remove
	// a file that someone has in its place.
	_ = syscall.Rmdir(dir)
	_, statErr := os.Lstat(dir)
	return removed, statErr == nil, err
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(p, name)
		return ok && err == nil
	})
}
