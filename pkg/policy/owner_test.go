package policy

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A policy that others can write is theirs: they could open what they like.
func TestPoliciesThatOthersCanWriteAreRefused(t *testing.T) {
	read := map[string]func(string) (*Policy, Diagnostics){"Load": Load, "Inspect": Inspect, "Outline": Outline}
	for name, load := range read {
		for _, mode := range []fs.FileMode{0o400, 0o600, 0o640, 0o644, 0o620, 0o602, 0o666} {
			for _, file := range []string{"main.toml", "conf.d/b.toml"} {
				dir := tree(t, map[string]string{"main.toml": access("a", 1), "conf.d/b.toml": access("b", 2)})
				if err := os.Chmod(filepath.Join(dir, file), mode); err != nil {
					t.Fatal(err)
				}
				p, diags := load(filepath.Join(dir, "main.toml"))
				var want []string
				if mode&0o022 != 0 {
					want = []string{file + ": error: bad mode " + "0" + modeText(mode) + ": group or others can write it; want write permission for the owner alone: chmod go-w " + file}
				}
				if diff := cmp.Diff(want, lines(dir, diags)); diff != "" || (p == nil) != (want != nil) {
					t.Errorf("%s of %s with mode %#o: policy %v, diagnostics:\n%s", name, file, mode, p != nil, diff)
				}
			}
		}
	}
}

func modeText(m fs.FileMode) string {
	return string([]byte{'0' + byte(m>>6&7), '0' + byte(m>>3&7), '0' + byte(m&7)})
}

func TestOwnersOfPolicies(t *testing.T) {
	for _, c := range []struct {
		name        string
		owner, self uint32
		want        string
	}{
		{"ok ours", 1000, 1000, ""},
		{"ok root's", 0, 1000, ""},
		{"ok root's, who runs", 0, 0, ""},
		{"bad somebody's", 1000, 0, "bad owner uid 1000; want root: chown root /etc/p.toml"},
		{"bad somebody else's", 1000, 1001, "bad owner uid 1000; want uid 1001 or root: chown root /etc/p.toml"},
	} {
		got := ""
		if err := checkOwnerMode("/etc/p.toml", 0o644, c.owner, c.self); err != nil {
			message, hint := halves(err)
			got = message + "; " + hint
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
