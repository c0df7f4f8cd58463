package secret

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("a", maxFile)
	for _, c := range []struct{ name, text, want, err string }{
		{"ok line", "one line\n", "one line", ""},
		{"ok no end of line", "one line", "one line", ""},
		{"ok blanks and empty lines", "\t one line \r\n\r\n \n", "one line", ""},
		{"ok byte order mark", "\ufeffone line\r\n", "one line", ""},
		{"ok as long as can be", long, long, ""},
		{"bad second line", "one\n" + canary + "\n", "", "want one line"},
		{"bad line behind an empty one", "\n" + canary, "", "want one line"},
		{"bad empty", "", "", "empty"},
		{"bad blanks alone", " \n\n", "", "empty"},
		{"bad too long", long + "\n", "", "at most 4096 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := writeFile(t, c.text)
			got, err := ReadLine(path)
			if c.err == "" {
				if err != nil || string(got) != c.want {
					t.Errorf("got %d bytes, error %v; want %d bytes", len(got), err, len(c.want))
				}
				return
			}
			if err == nil || got != nil {
				t.Fatalf("got %d bytes, error %v", len(got), err)
			}
			if s := err.Error(); !strings.Contains(s, c.err) || !strings.Contains(s, path) || strings.Contains(s, canary) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	k, err := ReadFile(writeFile(t, " base64:AAEC/w== \n"))
	if err != nil {
		t.Fatal(err)
	}
	if !k.Equal(New([]byte{0, 1, 2, 0xff})) {
		t.Error("another key")
	}
	path := writeFile(t, "base64:"+canary+"\n")
	k, err = ReadFile(path)
	if err == nil || k != nil {
		t.Fatal("want an error alone")
	}
	if s := err.Error(); !strings.HasPrefix(s, path+": bad key") || strings.Contains(s, canary) {
		t.Errorf("got %v", err)
	}
}

func TestReadFileMissing(t *testing.T) {
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReadFileDirectory(t *testing.T) {
	if _, err := ReadFile(t.TempDir()); err == nil {
		t.Error("want an error")
	}
}
