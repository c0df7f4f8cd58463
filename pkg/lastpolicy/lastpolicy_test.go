package lastpolicy

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"nftknock/pkg/policy"
)

const source = "/etc/nftknock/nftknockd.toml"

const text = `[[access]]
name = "ssh"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/22"]
[[access]]
name = "mbr"
knock = "encrypted"
key = "correct horse battery"
open = ["tcp/23"]
`

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, diags := policy.Parse("a.toml", []byte(text))
	if err := diags.Err(); err != nil {
		t.Fatal(err)
	}
	return p
}

// kept returns a directory with a copy.
func kept(t testing.TB) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	if err := Keep(dir, source, parse(t, text)); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, Name)
}

func TestKeepAndRead(t *testing.T) {
	dir, path := kept(t)
	for name, mode := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("horse")) {
		t.Errorf("%v, or the key is in it:\n%s", err, data)
	}
	got, err := Read(dir, source)
	if err != nil {
		t.Fatal(err)
	}
	if a := got.Policy.Accesses; len(a) != 2 || a[0].Withheld || !a[1].Withheld || got.Path != path || got.Since.IsZero() {
		t.Errorf("got %+v", got)
	}
}

// What is kept already is not written again: its time is when the policy came into force.
func TestKeepWritesOnlyChanges(t *testing.T) {
	dir, path := kept(t)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Keep(dir, source, parse(t, text)); err != nil {
		t.Fatal(err)
	}
	same, err := os.Stat(path)
	if err != nil || !os.SameFile(before, same) {
		t.Errorf("%v, or it was replaced", err)
	}
	// What a daemon that was killed has left does not keep another from it.
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, newName)); err != nil {
		t.Fatal(err)
	}
	if err := Keep(dir, source, parse(t, strings.Replace(text, "7300", "7400", 1))); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(dir, source); err != nil || got.Policy.Accesses[0].Sequence[0].First != 7400 {
		t.Errorf("%+v, %v", got, err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v; want one file", names, err)
	}
}

// A copy is replaced as a whole or not at all.
func TestKeepThatFails(t *testing.T) {
	dir, path := kept(t)
	if err := os.Mkdir(filepath.Join(dir, newName), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, newName, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := Keep(dir, source, parse(t, strings.Replace(text, "7300", "7400", 1)))
	if err == nil || !strings.HasPrefix(err.Error(), "cannot keep the policy in "+path+": ") {
		t.Errorf("got %v", err)
	}
	if got, err := Read(dir, source); err != nil || got.Policy.Accesses[0].Sequence[0].First != 7300 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Keep(filepath.Join(path, "below a file"), source, parse(t, text)); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("got %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	edit := func(change func([]byte) []byte) func(t *testing.T, dir, path string) {
		return func(t *testing.T, _, path string) {
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, change(data), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	replace := func(old, new string) func(t *testing.T, dir, path string) {
		return edit(func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				t.Errorf("no %q in the copy", old)
			}
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		})
	}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		do   func(t *testing.T, dir, path string)
		want string
	}{
		"empty":           {edit(func([]byte) []byte { return nil }), "damaged"},
		"truncated":       {edit(func(b []byte) []byte { return b[:len(b)-1] }), "damaged: its contents do not have the digest"},
		"changed":         {replace("udp/7300", "udp/7301"), "damaged: its contents do not have the digest"},
		"no first line":   {edit(func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] }), "damaged: it does not begin"},
		"another version": {replace("format 1,", "format 2,"), `another version of this program: its format is "2", and this version reads 1`},
		"another policy":  {replace(source, "/etc/other.toml"), `a copy of another policy file: "/etc/other.toml"`},
		"unknown key": {edit(func(b []byte) []byte {
			_, rest, _ := bytes.Cut(b, []byte("\n"))
			rest = append([]byte("[future]\nx = 1\n"), rest...)
			return append([]byte(header(source, rest)), rest...)
		}), `written by another version of this program: `},
		"others can write it": {func(t *testing.T, _, path string) { must(t, os.Chmod(path, 0o620)) }, "bad mode 0620"},
		"others can write the directory": {func(t *testing.T, dir, _ string) {
			must(t, os.Chmod(dir, 0o703))
		}, "bad mode 0703"},
		"a link": {func(t *testing.T, _, path string) {
			must(t, os.Rename(path, path+".x"))
			must(t, os.Symlink(path+".x", path))
		}, "too many levels of symbolic links"},
		"a pipe": {func(t *testing.T, _, path string) {
			must(t, os.Remove(path))
			must(t, syscall.Mkfifo(path, 0o600))
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := kept(t)
			c.do(t, dir, path)
			got, err := Read(dir, source)
			if err == nil || got != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, %v; want an error with %q", got, err, c.want)
			}
		})
	}
}

func TestFind(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	dir := t.TempDir()
	file := filepath.Join(dir, "nftknockd.toml")
	if _, err := Find(file); !errors.Is(err, ErrNone) {
		t.Errorf("nothing there: %v", err)
	}
	state, other := filepath.Join(dir, "state"), filepath.Join(dir, "other")
	if err := Keep(state, file, parse(t, text)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ policy, env, want string }{
		"named by the policy":      {"this is no TOML\n[state]\ndir = \"" + state + "\"\n", "", state},
		"of the service manager":   {"", other + ":" + state, state},
		"another one's is not it":  {"state.dir = '" + other + "'\n", "", ""},
		"the policy is not first":  {"state.dir = '" + other + "'\n", state, state},
		"a relative one is no one": {"state.dir = 'state'\n", "", ""},
	} {
		t.Setenv("STATE_DIRECTORY", c.env)
		if err := os.WriteFile(file, []byte(c.policy), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Find(file)
		switch {
		case c.want == "" && !errors.Is(err, ErrNone):
			t.Errorf("%s: %v, %v", name, got, err)
		case c.want != "" && (err != nil || filepath.Dir(got.Path) != c.want):
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	t.Setenv("STATE_DIRECTORY", state)
	if err := os.WriteFile(filepath.Join(state, Name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(file); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged one: %v", err)
	}
}

func TestStateDir(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "",
		"[state]\ndir = \"/a\"":              "/a",
		"x = [\n[ state ]\n\tdir='/a' # b":   "/a",
		"state.dir = \"/a\"":                 "/a",
		"state = { dir = \"/a\" }":           "/a",
		"[state]\n[log]\ndir = \"/a\"":       "",
		"dir = \"/a\"":                       "",
		"[state]\n#dir = \"/a\"\ndir=\"/b\"": "/b",
	} {
		if got := stateDir(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encode(source, parse(f, text))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	_, rest, _ := bytes.Cut(good, []byte("\n"))
	f.Add(rest, true)
	f.Add([]byte("[[access]]\nname = \"a\"\nknock = \"spa\"\nkey_withheld = true\nhmac_key_withheld = 1\nopen = [\"tcp/1\"]\n"), true)
	f.Add([]byte("# nftknock last policy, format 1, of \"x"), false)
	f.Fuzz(func(t *testing.T, data []byte, sign bool) {
		if sign { // otherwise hardly an input would have the right digest
			data = append([]byte(header(source, data)), data...)
		}
		p, err := decode("x", source, data)
		if err != nil {
			if p != nil {
				t.Error("a policy beside an error")
			}
			return
		}
		first, err := encode(source, p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode("x", source, first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		if second, err := encode(source, again); err != nil || !slices.Equal(first, second) {
			t.Errorf("%v, written twice:\n%s\n%s", err, first, second)
		}
	})
}

func FuzzStateDir(f *testing.F) {
	f.Add("[state]\ndir = \"/a\"")
	f.Add("state = { dir = '/a' }")
	f.Fuzz(func(t *testing.T, text string) {
		if dir := stateDir(text); dir != "" && !strings.Contains(text, dir) {
			t.Errorf("%q is not in the text", dir)
		}
	})
}
