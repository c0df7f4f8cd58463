package spent

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nftknock/test/thorough"
)

// limited marks the process whose files may be limited in size.
const limited = "NFTKNOCK_SPENT_LIMITED"

// A disk is full as the file size limit has it: every write beyond fails. The
// limit is the whole process's, so a process of its own has it.
func TestDiskFull(t *testing.T) {
	if os.Getenv(limited) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestDiskFull$")
		cmd.Env = append(os.Environ(), limited+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ) // so that writes fail with EFBIG instead
	path := newPath(t)
	s := open(t, path)
	fill(t, s, expiring, 10000, 11000)
	s.db.NoSync = true // it is the writes that fail
	n := 0
	for ; n < 100; n++ {
		spend(t, s, forever(n))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// The first size is rounded down to the step, so that the last is 0.
	step := int64(thorough.Choose(12, 1) * os.Getpagesize())
	for size := info.Size() / step * step; size >= 0; size -= step {
		limitFiles(t, uint64(size))
		err := s.Spend(ctx, forever(n))
		for ; err == nil && n < 5000; n++ {
			err = s.Spend(ctx, forever(n+1))
		}
		if err == nil {
			t.Fatalf("limit %d: %d tokens were written", size, n)
		}
		if !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), syscall.EFBIG.Error()) {
			t.Fatalf("limit %d: got %v, want %v", size, err, syscall.EFBIG)
		}
		if err := s.Spend(ctx, forever(n)); err == nil || errors.Is(err, ErrSpent) {
			t.Fatalf("limit %d: again: got %v", size, err)
		}
		wantSpent(t, s, forever, n)
		if got, err := honoured(s, "ssh"); got != n || err != nil {
			t.Fatalf("limit %d: honoured %d, %v, want %d", size, got, err, n)
		}
		if _, err := s.Prune(epoch.Add(10100 * time.Second)); size == 0 && err == nil {
			t.Fatal("pruned without writing")
		}
		limitFiles(t, unix.RLIM_INFINITY)
		spend(t, s, forever(n))
		n++
	}
	s.Close()
	s = open(t, path)
	wantSpent(t, s, forever, n)
}

func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = size
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
		t.Fatal(err)
	}
}

func TestTruncatedInUse(t *testing.T) {
	for size := int64(0); size < 20; size++ {
		path := newPath(t)
		s := open(t, path)
		const tokens = 1000
		fill(t, s, forever, 0, tokens)
		if err := os.Truncate(path, size*int64(os.Getpagesize())); err != nil {
			t.Fatal(err)
		}
		for i := range tokens + 10 {
			err := s.Spend(ctx, forever(i))
			if err == nil {
				t.Fatalf("%d pages: token %d was taken", size, i)
			}
			if spent := i < tokens && errors.Is(err, ErrSpent); !spent && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%d pages: got %v, want %v", size, err, ErrDamaged)
			}
		}
		if _, err := honoured(s, "ssh"); size < 3 && !errors.Is(err, ErrDamaged) {
			t.Errorf("%d pages: honoured: got %v, want %v", size, err, ErrDamaged)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d pages: opened: got %v, want %v", size, err, ErrDamaged)
		}
	}
}

func TestRemovedInUse(t *testing.T) {
	path := newPath(t)
	s := open(t, path)
	spend(t, s, forever(0))
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := s.Spend(ctx, forever(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: got %v, want %v", err, fs.ErrNotExist)
	}
	open(t, path)
	if err := s.Spend(ctx, forever(1)); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("replaced: got %v", err)
	}
	if err := s.Spend(ctx, forever(0)); !errors.Is(err, ErrSpent) {
		t.Errorf("got %v, want %v", err, ErrSpent)
	}
	if err := os.Rename(path+".old", path); err != nil {
		t.Fatal(err)
	}
	spend(t, s, forever(1))
}

// A store that is deleted while in use, alone or with its directory, is written again with
// all that was spent. Where that is impossible, nothing is recorded and nothing forgotten.
func TestDeletedInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "parent", "state", "spent.db")
	s := open(t, path)
	restored := 0
	s.OnRestore(func() { restored++ })
	for i, delete := range []string{path, filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		spend(t, s, forever(2*i))
		if err := os.RemoveAll(delete); err != nil {
			t.Fatal(err)
		}
		if err := s.Spend(ctx, forever(0)); !errors.Is(err, ErrSpent) {
			t.Errorf("got %v, want %v", err, ErrSpent)
		}
		spend(t, s, forever(2*i+1))
		if restored != i+1 {
			t.Errorf("restored %d times, want %d", restored, i+1)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); len(entries) != 1 || err != nil {
		t.Errorf("%v, %v: want the store alone", entries, err)
	}
	// A directory that others can write is no place for it.
	dir := filepath.Dir(path)
	if err := errors.Join(os.Remove(path), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	if err := s.Spend(ctx, forever(6)); err == nil || !strings.Contains(err.Error(), "chmod") {
		t.Errorf("got %v, want an error about the mode", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	spend(t, s, forever(6))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantSpent(t, open(t, path), forever, 7)
}

func TestLocked(t *testing.T) {
	path := newPath(t)
	cmd := child(job{Path: path, Many: 1 << 30, Together: 1})
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_, err = Open(path)
	if err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("got %v, want that it is locked", err)
	}
	for _, want := range []string{path, "another process"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

func TestOpenRefusesWhatOthersWrite(t *testing.T) {
	for _, c := range []struct {
		name      string
		dir, file os.FileMode
		ok        bool
	}{
		{"ok, private", 0o700, 0o600, true},
		{"ok, readable", 0o755, 0o644, true},
		{"bad, group writes file", 0o700, 0o620, false},
		{"bad, others write file", 0o700, 0o602, false},
		{"bad, group writes directory", 0o770, 0o600, false},
		{"bad, like /tmp", 0o777 | os.ModeSticky, 0o600, false},
	} {
		path := newPath(t)
		open(t, path).Close()
		if err := errors.Join(os.Chmod(path, c.file), os.Chmod(filepath.Dir(path), c.dir)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v", c.name, err)
		}
		if err == nil {
			s.Close()
		} else if !strings.Contains(err.Error(), filepath.Dir(path)) || !strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %q names neither path nor remedy", c.name, err)
		}
	}
}

func TestOpenMakesNothingWhereOthersWrite(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(dir, "spent.db")); err == nil {
		t.Error("opened")
	}
	if names, err := os.ReadDir(dir); len(names) > 0 || err != nil {
		t.Errorf("made %v, %v", names, err)
	}
}

func TestOpenRefusesWhatIsNoFile(t *testing.T) {
	path := newPath(t)
	open(t, path).Close()
	link := filepath.Join(filepath.Dir(path), "link")
	pipe := filepath.Join(filepath.Dir(path), "pipe")
	if err := errors.Join(os.Symlink(path, link), unix.Mkfifo(pipe, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{link, pipe, filepath.Dir(path), path + "/below"} {
		if _, err := Open(name); err == nil {
			t.Errorf("opened %s", name)
		}
	}
}

func TestOpenUnwritable(t *testing.T) {
	path := newPath(t)
	open(t, path).Close()
	dir := filepath.Dir(path)
	if err := errors.Join(os.Chmod(path, 0o400), os.Chmod(dir, 0o500)); err != nil {
		t.Fatal(err)
	}
	withoutPrivilege(t)
	for _, name := range []string{path, filepath.Join(dir, "other.db"), filepath.Join(dir, "deep", "er", "spent.db")} {
		if _, err := Open(name); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v, want %v", name, err, fs.ErrPermission)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { // so that it can be removed
		t.Fatal(err)
	}
}

// withoutPrivilege takes from root, for the rest of the test, what lets it write
// to files of any mode. The thread ends with the test.
func withoutPrivilege(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Fatal(err)
	}
}
