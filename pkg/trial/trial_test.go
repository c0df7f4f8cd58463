package trial

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestANoteIsReadAsItWasWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if n, err := Read(dir); n != nil || err != nil {
		t.Fatalf("without a directory: %+v, %v", n, err)
	}
	// What a killed process left does not keep the next from writing.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/at/all", filepath.Join(dir, newName)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []Note{
		{Policy: "abc", First: true, Guard: time.Minute, Prepared: true},
		{Policy: "def"},
	} {
		if err := Write(dir, want); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(dir); err != nil || *got != want {
			t.Errorf("read %+v, %v; want %+v", got, err, want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, Name))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for range 2 {
		if err := Remove(dir); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := Read(dir); n != nil || err != nil {
		t.Errorf("after Remove: %+v, %v", n, err)
	}
}

func TestANoteThatCannotBeReadIsAnError(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"cut off":   func(path string) error { return os.WriteFile(path, encode(Note{Policy: "abc"})[:20], 0o600) },
		"more":      func(path string) error { return os.WriteFile(path, append(encode(Note{}), '{'), 0o600) },
		"a format":  func(path string) error { return os.WriteFile(path, []byte(`{"format":2,"policy":""}`), 0o600) },
		"long":      func(path string) error { return os.WriteFile(path, bytes.Repeat([]byte(" "), maxFile+1), 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, Name)); err != nil {
			t.Fatal(err)
		}
		if n, err := Read(dir); n != nil || err == nil {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(Note{Policy: "abc", First: true, Guard: time.Minute, Prepared: true}))
	f.Add([]byte(`{"format":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := Parse(data)
		if (n == nil) == (err == nil) {
			t.Fatalf("%+v, %v", n, err)
		}
		if n != nil && !bytes.Equal(encode(*n), data) {
			t.Errorf("%q is printed as %q", data, encode(*n))
		}
	})
}

// Where a file stands in the place of the directory, there is no note.
func TestNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := Read(dir); n != nil || err != nil {
		t.Errorf("%v, %v; want no note", n, err)
	}
	if err := Remove(dir); err != nil {
		t.Error(err)
	}
	if err := Write(dir, Note{Policy: "00"}); err == nil {
		t.Error("a note was written into a file")
	}
}
