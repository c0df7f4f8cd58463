package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPrepareMakesPrivateDirectories(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b")
	for range 2 {
		if err := Prepare(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(d); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	top := t.TempDir()
	file := filepath.Join(top, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(file); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
	if err := Prepare(filepath.Join(file, "a")); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	for _, mode := range []fs.FileMode{0o770, 0o702, 0o777 | fs.ModeSticky} {
		dir := filepath.Join(top, fmt.Sprint(mode))
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		if err := Prepare(dir); err == nil {
			t.Errorf("%v is accepted", mode)
		}
	}
}

func TestRefusesWhatOthersOwn(t *testing.T) {
	for _, c := range []struct {
		name        string
		owner, self uint32
		ok          bool
	}{
		{"ok ours", 1000, 1000, true},
		{"ok root's", 0, 1000, true},
		{"bad somebody's", 1000, 0, false},
		{"bad somebody else's", 1000, 1001, false},
	} {
		err := checkOwnerMode("/var/lib/x", 0o700, c.owner, c.self)
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err != nil && err.Error() != fmt.Sprintf(`bad owner of "/var/lib/x": uid 1000: want uid %d or root (chown)`, c.self) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
