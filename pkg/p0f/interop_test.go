//go:build interop

package p0f

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"nftknock/test/scoring"
)

// Where Debian's packages p0f and nftables have their databases.
const (
	debianP0f = "/etc/p0f/p0f.fp"
	debianPF  = "/usr/share/doc/nftables/examples/pf.os"
)

// countLines counts the lines of a file for which keep is true.
func countLines(t *testing.T, name string, keep func(section, line string) bool) int {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n, section := 0, ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			section = line
		}
		if keep(section, line) {
			n++
		}
	}
	return n
}

func TestInteropDatabasesOfDebianLoadWhole(t *testing.T) {
	db, err := Load(debianP0f)
	if err != nil {
		t.Fatal(err)
	}
	want := countLines(t, debianP0f, func(section, line string) bool {
		return section == "[tcp:request]" && strings.HasPrefix(line, "sig")
	})
	if len(db.entries) != want || want == 0 {
		t.Errorf("%s: %d signatures, want %d", debianP0f, len(db.entries), want)
	}

	if db, err = Load(debianPF); err != nil {
		t.Fatal(err)
	}
	lines := countLines(t, debianPF, func(_, line string) bool {
		return line != "" && line[0] != '#'
	})
	// Systems that share a signature have one.
	if len(db.entries) > lines || len(db.entries) < lines*9/10 {
		t.Errorf("%s: %d signatures in %d lines", debianPF, len(db.entries), lines)
	}
	// Every line's system is in some label.
	var labels strings.Builder
	for _, l := range db.Labels() {
		labels.WriteString(l.String() + "\n")
	}
	countLines(t, debianPF, func(_, line string) bool {
		if fields := strings.Split(line, ":"); len(fields) == fieldsPF && line[0] != '#' {
			if details := strings.TrimSpace(fields[8]); details != "" && !strings.Contains(labels.String(), details) {
				t.Errorf("%q is in no label", details)
			}
		}
		return false
	})
}

// With p0f's own table Match agrees with p0f, except over IPv6: p0f's table has no
// flow labels, so p0f does not recognise SYNs that have one.
func TestInteropAnswersAsP0f(t *testing.T) {
	db, err := Load(debianP0f)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, s := range readSightings(t) {
		p := s.packet(t)
		got := ""
		if m := db.Match(p); m.Confidence != None {
			got = db.Label(m.Label).String()
		}
		if got == s.p0fLabel {
			same += s.count
			continue
		}
		if s.p0fHow == scoring.P0fSilent || s.syn.Version == 6 && s.p0fLabel == "" {
			continue
		}
		t.Errorf("%d %v: %q, p0f says %q", s.count, s.syn, got, s.p0fLabel)
	}
	t.Logf("%d the same", same)
}
