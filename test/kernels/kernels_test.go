package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	const want = "kernels: end 6.1.0 demo=0 gate=0"
	for _, tt := range []struct {
		name  string
		lines []string
		ok    bool
	}{
		{"ok", []string{"kernels: booted", "PASS", want, "[ 1.0] reboot: Power down"}, true},
		{"bad nothing", nil, false},
		{"bad status", []string{"kernels: end 6.1.0 demo=0 gate=1"}, false},
		{"bad kernel", []string{"kernels: end 6.1.1 demo=0 gate=0"}, false},
		{"bad job missing", []string{"kernels: end 6.1.0 demo=0"}, false},
		{"bad end missing", []string{"kernels: gate ended with status 0"}, false},
		{"bad more after it", []string{want, "kernels: error: gone on"}, false},
		{"bad inside a line", []string{"x " + want}, false},
	} {
		if err := verdict(tt.lines, want); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNewestIsByNumbers(t *testing.T) {
	names := []string{"linux-image-6.1.0-9-cloud-amd64", "linux-image-6.1.0-56-cloud-amd64", "linux-image-6.1.0-47-cloud-amd64"}
	if got := slices.MaxFunc(names, byNumbers); got != names[1] {
		t.Errorf("newest is %s", got)
	}
}

func TestKernelsAreChosen(t *testing.T) {
	if got, err := choose(""); err != nil || len(got) != len(kernels) {
		t.Errorf("nothing said: %v, %v", got, err)
	}
	if got, err := choose(" 6.12 "); err != nil || len(got) != 1 || got[0].series != "6.12" {
		t.Errorf("6.12: %v, %v", got, err)
	}
	if _, err := choose("6.1 5.0"); err == nil {
		t.Error("chose a kernel that is not in the table")
	}
}

// An archive of one file, as Documentation/driver-api/early-userspace/buffer-format.rst
// has it.
func TestArchiveIsNewc(t *testing.T) {
	var b bytes.Buffer
	a := &archive{w: &b}
	a.file("/ab", []byte("hello"))
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	const zero = "00000000"
	want := "070701" + "00000001" + "000081ED" + zero + zero + "00000001" + zero + "00000005" +
		strings.Repeat(zero, 4) + "00000003" + zero + "ab\x00" + "\x00\x00\x00" + "hello\x00\x00\x00"
	if got := b.String(); !strings.HasPrefix(got, want) {
		t.Errorf("archive\n%q, want\n%q", got, want)
	}
	if b.Len()%4 != 0 || !strings.Contains(b.String(), "TRAILER!!!\x00") {
		t.Errorf("bad end: %q", b.String())
	}
}

var declared = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// A test that was renamed is found here, before a machine boots for it.
func TestEveryPatternHasATest(t *testing.T) {
	for _, s := range suites {
		files, err := filepath.Glob(filepath.Join("../..", s.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
		}
		for _, p := range s.patterns {
			if !slices.ContainsFunc(names, regexp.MustCompile(p).MatchString) {
				t.Errorf("%s has no test named %s", s.pkg, p)
			}
		}
	}
}
