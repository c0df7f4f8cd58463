package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// tree writes files below a new directory and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// access is a sound access of a name; its ports depend on n.
func access(name string, n int) string {
	return fmt.Sprintf("[[access]]\nname = %q\nsequence = [\"tcp/%d\", \"udp/%d\", \"tcp/%d\"]\nopen = [\"tcp/22\"]\n",
		name, 50000+n, 20000+n, 30000+n)
}

// lines returns the diagnostics with dir cut out of them.
func lines(dir string, diags Diagnostics) []string {
	var out []string
	for _, d := range diags {
		out = append(out, strings.ReplaceAll(d.String(), dir+"/", ""))
	}
	return out
}

func names(p *Policy) []string {
	if p == nil {
		return nil
	}
	var out []string
	for _, a := range p.Accesses {
		out = append(out, a.Name)
	}
	return out
}

const notRead = ": warning: this file is not read: its name does not end in .toml; rename it if it belongs to the policy, and move it elsewhere if not"

func TestLoad(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  []string // accesses
		diags []string
	}{
		{
			name:  "ok without conf.d",
			files: map[string]string{"main.toml": access("a", 1)},
			want:  []string{"a"},
		},
		{
			name: "ok conf.d in the order of names",
			files: map[string]string{
				"main.toml":         access("a", 1),
				"conf.d/20-x.toml":  access("c", 3),
				"conf.d/10-y.toml":  access("b", 2),
				"conf.d/9-z.toml":   access("d", 4),
				"conf.d/empty.toml": "",
				"conf.d/.hid.toml":  "no policy",
				"conf.d/README":     "no policy",
				"conf.d/README.md":  "no policy",
				"conf.d/old/x":      "no policy",
			},
			want: []string{"a", "b", "c", "d"},
		},
		{
			name: "warn of what may be taken for a part of the policy",
			files: map[string]string{
				"main.toml":              access("a", 1),
				"conf.d/a.toml~":         "no policy",
				"conf.d/a.toml.dpkg-old": "no policy",
				"conf.d/b.toml":          access("b", 2),
				"conf.d/c.toml.rpmsave":  "no policy",
				"conf.d/d":               "no policy",
				"conf.d/e.conf":          "no policy",
				"conf.d/.a.toml.swp":     "no policy",
				"conf.d/README":          "no policy",
				"conf.d/off/f.toml":      "no policy",
			},
			want: []string{"a", "b"},
			diags: []string{
				"conf.d/a.toml.dpkg-old" + notRead,
				"conf.d/a.toml~" + notRead,
				"conf.d/c.toml.rpmsave" + notRead,
				"conf.d/d" + notRead,
				"conf.d/e.conf" + notRead,
			},
		},
		{
			name: "ok accesses in conf.d only",
			files: map[string]string{
				"main.toml":     "[nflog]\ngroup = 6\n",
				"conf.d/a.toml": access("a", 1),
			},
			want: []string{"a"},
		},
		{
			name: "bad sections in conf.d",
			files: map[string]string{
				"main.toml":     access("a", 1),
				"conf.d/b.toml": "[nflog]\ngroup = 6\n[loging]\n" + access("b", 2),
			},
			diags: []string{
				"conf.d/b.toml:1:2: error: [nflog] is not allowed in conf.d; move it to the main file; here only [[access]] may stand",
				"conf.d/b.toml:3:2: error: unknown key; known here: access, nflog",
			},
		},
		{
			name: "bad names across files",
			files: map[string]string{
				"main.toml":     access("a", 1),
				"conf.d/b.toml": access("b", 2) + access("a", 3),
				"conf.d/c.toml": access("b", 4),
			},
			diags: []string{
				`conf.d/b.toml:6:8: error: name "a" is already that of the access at main.toml:1:1; every access needs a name of its own`,
				`conf.d/c.toml:2:8: error: name "b" is already that of the access at conf.d/b.toml:1:1; every access needs a name of its own`,
			},
		},
		{
			name: "bad ports across files",
			files: map[string]string{
				"main.toml":     strings.Replace(access("a", 1), "tcp/22", "tcp/50002", 1),
				"conf.d/b.toml": access("b", 2),
			},
			diags: []string{`main.toml:4:9: error: tcp/50002 is also a knock port of access "b" at conf.d/b.toml:1:1; a port is either opened or knocked on`},
		},
		{
			name: "bad files are all reported, in their order",
			files: map[string]string{
				"main.toml":          "[nflog\n",
				"conf.d/b.toml":      access("b", 2) + "timeout = 5\n",
				"conf.d/a.toml":      "x = 1\n",
				"conf.d/c.toml/file": "",
			},
			diags: []string{
				"main.toml:1:7: error: this header of a table is not TOML; want a name in brackets, such as [nflog], or in double brackets, [[access]]",
				"conf.d/a.toml:1:1: error: unknown key; known here: access",
				"conf.d/b.toml:5:11: error: timeout = 5 has no unit; durations are strings with a unit: timeout = \"5s\"",
				"conf.d/c.toml: error: not a regular file; every conf.d/*.toml is read; rename it if it is not meant to be",
			},
		},
		{
			name: "bad databases",
			files: map[string]string{
				"main.toml": "[fingerprint]\ndatabases = [\"builtin\", \"/nonexistent/p0f.fp\",\n\"/dev/null\"]\n" + access("a", 1),
			},
			diags: []string{
				`main.toml:2:25: error: database "/nonexistent/p0f.fp": cannot read it: no such file or directory; want "builtin" or a file that can be read`,
				`main.toml:3:1: error: database "/dev/null": not a regular file; want "builtin" or a file that can be read`,
			},
		},
		{
			name:  "bad size",
			files: map[string]string{"main.toml": access("a", 1) + strings.Repeat("#", maxFileSize)},
			diags: []string{"main.toml: error: the file is too large; the limit is 8 MiB"},
		},
		{
			name: "bad main file is missing",
			diags: []string{
				`main.toml: error: cannot read it: no such file or directory; copy the sample policy nftknockd.toml there, or try any file with "nftknockd check FILE"`,
			},
		},
		{
			name:  "bad main file is a directory",
			files: map[string]string{"main.toml/x": ""},
			diags: []string{"main.toml: error: cannot read it: is a directory; want a file that can be read"},
		},
		{
			name:  "bad conf.d is a file",
			files: map[string]string{"main.toml": access("a", 1), "conf.d": ""},
			diags: []string{"conf.d: error: cannot read it: not a directory; want a directory that can be read, or none"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, tt.files)
			p, diags := Load(filepath.Join(dir, "main.toml"))
			if diff := cmp.Diff(tt.diags, lines(dir, diags)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, names(p)); diff != "" {
				t.Errorf("accesses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadReadsDatabasesThatExist(t *testing.T) {
	dir := tree(t, map[string]string{"p0f.fp": "; empty\n"})
	db := filepath.Join(dir, "p0f.fp")
	main := filepath.Join(dir, "main.toml")
	if err := os.WriteFile(main, fmt.Appendf(nil, "[fingerprint]\ndatabases = [%q]\n%s", db, access("a", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	p, diags := Load(main)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	if diff := cmp.Diff([]string{db}, p.Fingerprint.Databases); diff != "" {
		t.Errorf("databases (-want +got):\n%s", diff)
	}
}

// An outline says all that Load says of the text, and opens nothing else.
func TestOutlineOpensNothing(t *testing.T) {
	text := "fingerprint.databases = [\"/nowhere/sig.fp\"]\n" + access("a", 1) +
		"[[access]]\nname = \"b\"\nknock = \"encrypted\"\nkey_file = \"/nowhere/key\"\nopen = [\"tcp/23\"]\n"
	dir := tree(t, map[string]string{"main.toml": text, "conf.d/c.toml": access("c", 2)})
	main := filepath.Join(dir, "main.toml")
	p, diags := Outline(main)
	if diags.HasErrors() || !slices.Equal(names(p), []string{"a", "b", "c"}) {
		t.Fatalf("%v, %v", names(p), diags)
	}
	if p, diags := Load(main); p != nil || len(diags) < 2 {
		t.Errorf("Load: %v", diags)
	}
	dir = tree(t, map[string]string{"main.toml": text + "typo = 1\n"})
	if p, diags := Outline(filepath.Join(dir, "main.toml")); p != nil || !diags.HasErrors() {
		t.Errorf("an unknown key is taken: %v", diags)
	}
}

func TestLoadDoesNotBlockOnAFifo(t *testing.T) {
	dir := tree(t, map[string]string{"main.toml": access("a", 1), "conf.d/README": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "conf.d", "x.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, diags := Load(filepath.Join(dir, "main.toml"))
	want := []string{"conf.d/x.toml: error: not a regular file; every conf.d/*.toml is read; rename it if it is not meant to be"}
	if diff := cmp.Diff(want, lines(dir, diags)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

func TestLoadBounds(t *testing.T) {
	t.Run("files", func(t *testing.T) {
		files := map[string]string{"main.toml": access("a", 1)}
		for i := range maxFiles {
			files[fmt.Sprintf("conf.d/%03d.toml", i)] = "# nothing\n"
		}
		dir := tree(t, files)
		_, diags := Load(filepath.Join(dir, "main.toml"))
		want := []string{"conf.d/255.toml: error: too many policy files; the limit is 256"}
		if diff := cmp.Diff(want, lines(dir, diags)); diff != "" {
			t.Errorf("diagnostics (-want +got):\n%s", diff)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		files := map[string]string{"main.toml": access("a", 1)}
		for i := range 4 {
			files[fmt.Sprintf("conf.d/%d.toml", i)] = strings.Repeat("#", maxFileSize)
		}
		dir := tree(t, files)
		_, diags := Load(filepath.Join(dir, "main.toml"))
		want := []string{"conf.d/1.toml: error: the policy files are too large together; the limit is 16 MiB"}
		if diff := cmp.Diff(want, lines(dir, diags)); diff != "" {
			t.Errorf("diagnostics (-want +got):\n%s", diff)
		}
	})
	t.Run("accesses", func(t *testing.T) {
		var b strings.Builder
		for i := range maxAccesses + 1 {
			b.WriteString(access(fmt.Sprintf("n%d", i), i-5000))
		}
		_, diags := Parse("main.toml", []byte(b.String()))
		want := []string{"main.toml:65537:1: error: too many accesses; the limit is 16384"}
		if diff := cmp.Diff(want, lines("", diags)); diff != "" {
			t.Errorf("diagnostics (-want +got):\n%s", diff)
		}
	})
}

func TestLoadOfTheMostAccessesSucceeds(t *testing.T) {
	var b strings.Builder
	for i := range maxAccesses {
		b.WriteString(access(fmt.Sprintf("n%d", i), i-5000))
	}
	p, diags := Parse("main.toml", []byte(b.String()))
	if len(diags) > 0 || len(p.Accesses) != maxAccesses {
		t.Errorf("%d accesses, %v", len(names(p)), diags)
	}
}

func TestCheckWarnsOfPortsInUse(t *testing.T) {
	dir := tree(t, map[string]string{"main.toml": access("a", 1), "conf.d/b.toml": access("b", 2)})
	p, diags := Check(filepath.Join(dir, "main.toml"), Review{Host: Host{Listening: map[port.Range]bool{
		port.Single(packet.TCP, 22):    true,
		port.Single(packet.UDP, 20002): true,
		port.Single(packet.UDP, 50002): true,
	}}})
	want := []string{"conf.d/b.toml:3:26: warning: knock port udp/20002 is in use on this host; clients of that service would knock by accident: want a port nothing listens on"}
	if diff := cmp.Diff(want, lines(dir, diags)); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if p == nil {
		t.Error("a warning left no policy")
	}
}

func TestCheckWarnsOfPortsThatWouldStandOut(t *testing.T) {
	const stands = `: warning: no firewall of this host drops packets: with hide = "drop" the hidden ports are the only ones that do not answer, and a scan finds them; want hide = "reject", with which they look like the closed ports around them`
	known := func(unfiltered bool) Host {
		return Host{Unfiltered: func(table string) bool { return unfiltered && table == "ours" }}
	}
	for _, tt := range []struct {
		name, text string
		host       Host
		want       []string
	}{
		{"ok unknown", access("a", 1), Host{}, nil},
		{"ok filtered", "nftables.table = \"ours\"\n" + access("a", 1), known(false), nil},
		{"ok filtered by another table", access("a", 1), known(true), nil},
		{"warn default", "[nftables]\ntable = \"ours\"\n" + access("a", 1), known(true), []string{"main.toml:1:2" + stands}},
		{"warn drop", "[nftables]\ntable = \"ours\"\nhide = \"drop\"\n" + access("a", 1), known(true), []string{"main.toml:3:8" + stands}},
		{"ok reject", "[nftables]\ntable = \"ours\"\nhide = \"reject\"\n" + access("a", 1), known(true), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tree(t, map[string]string{"main.toml": tt.text})
			_, diags := Check(filepath.Join(dir, "main.toml"), Review{Host: tt.host})
			if diff := cmp.Diff(tt.want, lines(dir, diags)); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckWarnsOfInterfacesWhereItKnowsThem(t *testing.T) {
	dir := tree(t, map[string]string{"main.toml": "nftables.interfaces = [\"eth0\", \"eht1\"]\n" + access("a", 1)})
	path := filepath.Join(dir, "main.toml")
	for _, tt := range []struct {
		host []Interface
		want []string
	}{
		{nil, nil},
		{[]Interface{{Name: "lo"}, {Name: "eth0"}, {Name: "eth1"}}, []string{
			`main.toml:1:32: warning: interface "eht1" does not exist: all interfaces but lo are guarded until it does; did you mean "eth1"?`}},
	} {
		p, diags := Check(path, Review{Host: Host{Interfaces: tt.host}})
		if diff := cmp.Diff(tt.want, lines(dir, diags)); diff != "" {
			t.Errorf("diagnostics (-want +got):\n%s", diff)
		}
		if p == nil {
			t.Error("a warning left no policy")
		}
	}
}

func TestDiagnosticsAsErrorAndJSON(t *testing.T) {
	_, diags := Parse("x.toml", []byte("[nflog]\ngroup = 70000\n[engine]\ntripwires = 5000\n"))
	err := diags.Err()
	var got Diagnostics
	if !errors.As(err, &got) || len(got) != 2 {
		t.Fatalf("error %v", err)
	}
	const text = "x.toml:2:9: error: group = 70000 is out of range; want an integer from 0 to 65535\n" +
		"x.toml:4:13: error: tripwires = 5000 is out of range; want an integer from 0 to 4096"
	if diff := cmp.Diff(text, err.Error()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	b, err := json.Marshal(diags[0])
	if err != nil {
		t.Fatal(err)
	}
	const object = `{"file":"x.toml","line":2,"column":9,"severity":"error","message":"group = 70000 is out of range","hint":"want an integer from 0 to 65535"}`
	if diff := cmp.Diff(object, string(b)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
	_, diags = Parse("x.toml", nil)
	if len(diags) == 0 || diags.HasErrors() || diags.Err() != nil {
		t.Errorf("a warning counts as error: %v", diags)
	}
}

// A link to a disk that is not mounted yet is not the same as no directory.
func TestADanglingConfDirIsAnError(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nftknockd.toml")
	text, err := os.ReadFile("testdata/ok/minimal.toml")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.WriteFile(path, text, 0o600),
		os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "conf.d")),
	); err != nil {
		t.Fatal(err)
	}
	if p, diags := Load(path); p != nil || !diags.HasErrors() || !strings.Contains(diags.Error(), "conf.d: error: cannot read it") {
		t.Errorf("diagnostics %v, want an error about conf.d", diags)
	}
}
