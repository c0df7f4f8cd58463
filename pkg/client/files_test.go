//go:build unix

package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFilesOfOthersAreRefused(t *testing.T) {
	const content = "10.3.2.1: tcp/1, tcp/2\n"
	for _, tt := range []struct {
		name    string
		mode    os.FileMode
		warning string // contained in it; "" for none
		err     string // likewise
	}{
		{"ok owner only", 0o600, "", ""},
		{"ok read-only", 0o400, "", ""},
		{"ok with a warning, group reads", 0o640, "others can read this file (mode 0640)", ""},
		{"ok with a warning, world reads", 0o604, "others can read this file (mode 0604)", ""},
		{"bad group writes", 0o620, "", "others can write this file (mode 0620)"},
		{"bad world writes", 0o602, "", "others can write this file (mode 0602)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := File{Path: filepath.Join(t.TempDir(), "rc"), Parse: ParseRC}
			if err := os.WriteFile(f.Path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(f.Path, tt.mode); err != nil {
				t.Fatal(err)
			}
			hosts, warning, err := f.Load()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || hosts != nil {
					t.Errorf("got %v, %v", hosts, err)
				}
				return
			}
			if err != nil || len(hosts) != 1 {
				t.Fatalf("got %v, %v", hosts, err)
			}
			if (tt.warning == "") != (warning == "") || !strings.Contains(warning, tt.warning) {
				t.Errorf("warning %q", warning)
			}
		})
	}
}

func TestMissingFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none")
	hosts, warning, err := File{Path: missing, Parse: ParseRC, Optional: true}.Load()
	if hosts != nil || warning != "" || err != nil {
		t.Errorf("optional: %v, %q, %v", hosts, warning, err)
	}
	if _, _, err := (File{Path: missing, Parse: ParseRC}).Load(); err == nil {
		t.Error("a file that must be there is missing, and no error")
	}
	if _, _, err := (File{Parse: ParseRC, Optional: true}).Load(); err != nil {
		t.Errorf("without a path: %v", err)
	}
}

func TestFilesAreBounded(t *testing.T) {
	f := File{Path: filepath.Join(t.TempDir(), "rc"), Parse: ParseRC}
	if err := os.WriteFile(f.Path, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Load(); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}
