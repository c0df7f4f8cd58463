package policy

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSocketLooksAtNothingElse(t *testing.T) {
	const usual = "/run/nftknock/control.sock"
	for _, tt := range []struct {
		name, text, want string
		diags            []string
	}{
		{"ok default", "", usual, nil},
		{"ok set", "control.socket = \"/a/b\"\n", "/a/b", nil},
		{"ok none", "[control]\nsocket = \"\"\n", "", nil},
		{"ok errors elsewhere", "control.socket = \"/a/b\"\nnflog.group = \"x\"\n[[access]]\nkey_file = 5\n", "/a/b", nil},
		{"ok unknown key beside it", "[control]\nsocket = \"/a/b\"\nscoket = 1\n", "/a/b", nil},
		{"bad type", "control.socket = 5\n", usual, []string{"main.toml:1:18: error: socket is an integer; want a string in quotes"}},
		{"bad path", "control.socket = \"run\"\n", usual, []string{`main.toml:1:18: error: bad socket "run"; want an absolute path of at most 107 bytes, or "" for none`}},
		{"bad section", "control = 5\n", usual, []string{"main.toml:1:11: error: control is an integer; want a table: [control]"}},
		{"bad syntax", "control.socket = \"/a/b\"\n[[access\n", usual, []string{"main.toml:2:9: error: this header of a table is not TOML; want a name in brackets, such as [nflog], or in double brackets, [[access]]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// What conf.d holds does not matter.
			dir := tree(t, map[string]string{"main.toml": tt.text, "conf.d/x.toml": "no policy"})
			got, diags := ControlSocket(filepath.Join(dir, "main.toml"))
			if got != tt.want {
				t.Errorf("socket %q, want %q", got, tt.want)
			}
			if diff := cmp.Diff(tt.diags, lines(dir, diags)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
	got, diags := ControlSocket(filepath.Join(t.TempDir(), "none.toml"))
	if got != usual || !diags.HasErrors() {
		t.Errorf("no file: %q, %v; want the default and an error", got, diags)
	}
}
