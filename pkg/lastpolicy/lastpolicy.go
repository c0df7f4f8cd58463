// Package lastpolicy keeps the last policy that worked in a file of the state directory, so
// that a daemon which cannot load its policy at the start can run that one.
//
// The file is as secret as the policy, since it has the sequences: its mode is 0600. It has no
// key, not even those that are in the policy itself. It is replaced as a whole, and is on disk
// when Keep returns. Its first line names the format, the policy file that it is a copy of, and
// the digest of the rest. A file of another format, of another policy file, that is damaged, or
// that others than root and the daemon's user own or can write, is refused.
package lastpolicy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nftknock/pkg/policy"
	"nftknock/pkg/statedir"
)

// Name is the name of the file in the state directory.
const Name = "last-policy.toml"

// newName is the name of the next file until it is complete. It is always the same, so that
// daemons that are killed meanwhile do not fill the directory.
const newName = ".last-policy.new"

// Files are the names of all files that Keep may leave in the state directory.
func Files() []string { return []string{Name, newName} }

// maxFile is the size of the largest file that is written and read. Policy files of 16 MiB
// with all defaults filled in are smaller.
const maxFile = 64 << 20

// format is the number of the format of the file.
const format = 1

// magic is the beginning of the first line, before the number of the format.
const magic = "# nftknock last policy, format "

// A Copy is a policy that was kept.
type Copy struct {
	Policy *policy.Policy // without keys, as of policy.ParseKept
	Path   string         // of the file
	Since  time.Time      // when the file was written: when this policy came into force
}

// Keep replaces the file in a directory by a copy of a policy that was read from the policy
// file source, and makes the directory if that is missing. If the file has that copy already,
// Keep writes nothing.
func Keep(dir, source string, p *policy.Policy) error {
	data, err := encode(source, p)
	if err == nil {
		err = keep(dir, data)
	}
	if err != nil {
		return fmt.Errorf("cannot keep the policy in %s: %w", filepath.Join(dir, Name), err)
	}
	return nil
}

func keep(dir string, data []byte) error {
	if err := statedir.Prepare(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, Name)
	if old, _, err := read(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	next := filepath.Join(dir, newName)
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(next, data); err != nil {
		// Of a full disk, it frees some room.
		return errors.Join(err, ignoreMissing(os.Remove(next)))
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	return statedir.Sync(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// write writes a new file, and returns when it is on disk.
func write(path string, data []byte) error {
	// O_EXCL does not follow a symbolic link.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		// Before the rename: after a power failure the new name could otherwise lead to
		// an empty file.
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Read reads the copy of the policy file source from a directory. The error wraps
// fs.ErrNotExist if there is none, and says why any other cannot be used.
func Read(dir, source string) (*Copy, error) {
	path := filepath.Join(dir, Name)
	data, since, err := read(path)
	if err != nil {
		return nil, err
	}
	p, err := decode(path, source, data)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", path, err)
	}
	return &Copy{p, path, since}, nil
}

// read returns the contents of the file and its time.
func read(path string) ([]byte, time.Time, error) {
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, time.Time{}, err
	}
	// Whoever can write the directory can put an older file of ours in place of this.
	if err := statedir.Check(filepath.Dir(path), dir); err != nil {
		return nil, time.Time{}, err
	}
	// Without O_NONBLOCK, opening a named pipe waits for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, fmt.Errorf("%s is not a regular file", path)
	}
	if err := statedir.Check(path, info); err != nil {
		return nil, time.Time{}, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return data, info.ModTime(), err
}

// encode returns the contents of the file.
func encode(source string, p *policy.Policy) ([]byte, error) {
	var text bytes.Buffer
	if err := p.WriteKept(&text); err != nil {
		return nil, err
	}
	data := append([]byte(header(source, text.Bytes())), text.Bytes()...)
	if len(data) > maxFile {
		return nil, fmt.Errorf("it has %d bytes: the limit is %d", len(data), maxFile)
	}
	return data, nil
}

// header returns the first line, for the text of a policy.
func header(source string, text []byte) string {
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%s%d, of %s, sha256 %s\n", magic, format, strconv.Quote(source), hex.EncodeToString(sum[:]))
}

// decode is the reverse of encode, without the keys. file is what errors call the file.
func decode(file, source string, data []byte) (*policy.Policy, error) {
	if len(data) > maxFile {
		return nil, errors.New("it is too large: it was not written by this program")
	}
	line, text, found := bytes.Cut(data, []byte("\n"))
	rest, ours := strings.CutPrefix(string(line), magic)
	if !found || !ours {
		return nil, errors.New("it is damaged: it does not begin as this program writes it")
	}
	number, _, _ := strings.Cut(rest, ",")
	if number != strconv.Itoa(format) {
		return nil, fmt.Errorf("it is of another version of this program: its format is %.20q, and this version reads %d", number, format)
	}
	// The whole line is compared, so that there is one right one only.
	if want := header(source, text); string(line)+"\n" != want {
		if strings.HasPrefix(want, magic+number+", of "+sourceOf(rest)+",") {
			return nil, errors.New("it is damaged: its contents do not have the digest of its first line")
		}
		return nil, fmt.Errorf("it is a copy of another policy file: %.200s", sourceOf(rest))
	}
	p, diags := policy.ParseKept(file, text)
	if err := diags.Err(); err != nil {
		return nil, fmt.Errorf("it was written by another version of this program: %w", firstError(diags))
	}
	return p, nil
}

// sourceOf returns the quoted policy file of what follows magic in the first line.
func sourceOf(rest string) string {
	_, rest, _ = strings.Cut(rest, ", of ")
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "unknown"
	}
	return quoted
}

// firstError returns the first error among diagnostics.
func firstError(diags policy.Diagnostics) error {
	for _, d := range diags {
		if d.Severity == policy.SeverityError {
			return errors.New(d.Text())
		}
	}
	return nil
}
