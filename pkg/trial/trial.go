// Package trial notes in the state directory that a policy is on trial, so that a daemon that
// starts anew, after a crash or at the next boot, does not run a policy that nobody has
// confirmed.
//
// The note is a small file of mode 0600 that names the policy by its digest. It is written
// before the policy comes into force and removed when the policy is confirmed. Nothing is
// written when a policy is undone, and no clock is needed: a note that is still there when a
// daemon starts says that the policy was not confirmed.
package trial

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Name is the name of the file in the state directory.
const Name = "trial.json"

// newName is the name of the next file until it is complete.
const newName = ".trial.new"

// Files are the names of all files that Write may leave in the state directory.
func Files() []string { return []string{Name, newName} }

// maxFile is more than any note has.
const maxFile = 4 << 10

// format is the number of the format of the file.
const format = 1

// A Note says which policy is on trial.
type Note struct {
	// Policy is the digest of the policy's files, as policy.Digest makes it.
	Policy string `json:"policy"`
	// First says that no policy of this host was confirmed before: going back means to hide
	// nothing.
	First bool `json:"first"`
	// Guard is how long a first policy is on trial when a daemon starts with it.
	Guard time.Duration `json:"guard_ns"`
	// Prepared says that no daemon has begun the trial: the policy is still to be tried.
	Prepared bool `json:"prepared"`
}

type file struct {
	Format int `json:"format"`
	Note
}

// Read reads the note in a directory. It returns nil if there is none. A note that cannot be
// read is an error: nobody knows then whether the policy was confirmed.
func Read(dir string) (*Note, error) {
	path := filepath.Join(dir, Name)
	// O_NONBLOCK: opening a named pipe would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	n, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("bad note %s: %w: remove it if the policy is to be run", path, err)
	}
	return n, nil
}

// Parse parses the text of a note. It accepts what Write writes and nothing else.
func Parse(data []byte) (*Note, error) {
	if len(data) > maxFile {
		return nil, errors.New("it is too long")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if !bytes.Equal(data, encode(f.Note)) {
		return nil, errors.New("it is not as nftknockd writes it")
	}
	return &f.Note, nil
}

func encode(n Note) []byte {
	data, err := json.Marshal(file{format, n})
	if err != nil {
		panic("trial: " + err.Error()) // plain fields always encode
	}
	return append(data, '\n')
}

// Write replaces the note in a directory, and makes the directory (mode 0700) if that is
// missing. It returns when the note is on disk.
func Write(dir string, n Note) error {
	if err := write(dir, encode(n)); err != nil {
		return fmt.Errorf("cannot note in %s that the policy is on trial: %w", filepath.Join(dir, Name), err)
	}
	return nil
}

func write(dir string, data []byte) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	next := filepath.Join(dir, newName)
	// Left by a process that was killed. It is removed, since O_EXCL, which follows no
	// symbolic link, would fail.
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync() // before the new name leads to it
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(next, filepath.Join(dir, Name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return sync(dir)
}

// Remove removes the note from a directory: the policy is confirmed. It returns when that is on
// disk.
func Remove(dir string) error {
	err := os.Remove(filepath.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err == nil {
		err = sync(dir)
	}
	if err != nil {
		return fmt.Errorf("cannot note that the policy is confirmed: %w", err)
	}
	return nil
}

// sync writes the names in a directory to the disk.
func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
