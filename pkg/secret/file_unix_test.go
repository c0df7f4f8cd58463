//go:build unix

package secret

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFileMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o400, 0o600, 0o700} {
		path := writeFile(t, "correct horse")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(path); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666} {
		path := writeFile(t, "correct horse")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		k, err := ReadFile(path)
		if err == nil || k != nil {
			t.Errorf("%v: want an error alone", mode)
			continue
		}
		if s := err.Error(); !strings.HasSuffix(s, "chmod 600 "+path) || !strings.Contains(s, "bad mode 06") {
			t.Errorf("%v: got %v", mode, err)
		}
	}
}

// The mode of the file is checked, not that of a link to it.
func TestReadFileLink(t *testing.T) {
	path := writeFile(t, "correct horse")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(link); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(link); err == nil {
		t.Error("want an error")
	}
}

func TestOwner(t *testing.T) {
	for _, c := range []struct {
		name        string
		owner, self uint32
		ok          bool
	}{
		{"ok one's own", 1000, 1000, true},
		{"ok root's", 0, 1000, true},
		{"ok root's own", 0, 0, true},
		{"bad another's", 1001, 1000, false},
		{"bad another's for root", 1000, 0, false},
	} {
		if err := checkOwnerMode("key", 0o600, c.owner, c.self); (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestReadFilePipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("got %v", err)
	}
}
