package policy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// places lists path, key position and value position of every node.
func places(d *document, path string, n *node) []string {
	var out []string
	if path != "" {
		k, v := d.pos(n.key), d.pos(n.value)
		out = append(out, fmt.Sprintf("%s %d:%d %d:%d", path, k.Line, k.Column, v.Line, v.Column))
	}
	for _, name := range slices.Sorted(maps.Keys(n.children)) {
		out = append(out, places(d, path+"/"+name, n.children[name])...)
	}
	for i, item := range n.items {
		out = append(out, places(d, fmt.Sprintf("%s#%d", path, i), item)...)
	}
	return out
}

func TestLocate(t *testing.T) {
	tests := []struct {
		name string
		text string
		want []string // path, key, value
	}{
		{"pairs", "a = 1\n  bc=\"x\" # y = 2\n\nd = 2030-01-01 10:00:00\n", []string{
			"/a 1:1 1:5", "/bc 2:3 2:6", "/d 4:1 4:5",
		}},
		{"tables", "[a]\nx = 1\n [ b . c ]\ny = 2\n", []string{
			"/a 1:2 1:1", "/a/x 2:1 2:5",
			"/b 3:4 3:4", "/b/c 3:8 3:2", "/b/c/y 4:1 4:5",
		}},
		{"arrays of tables", "[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n[[a.c]]\n[[a.c]]\nz = 4\n", []string{
			"/a 1:3 1:3", "/a#0 1:1 1:1", "/a#0/x 2:1 2:5",
			"/a#1 3:1 3:1", "/a#1/b 5:4 5:1", "/a#1/b/y 6:1 6:5",
			"/a#1/c 7:5 7:5", "/a#1/c#0 7:1 7:1", "/a#1/c#1 8:1 8:1", "/a#1/c#1/z 9:1 9:5",
			"/a#1/x 4:1 4:5",
		}},
		{"arrays", "a = [ 1, # one\n  [ 2, 3 ],\n  '4',\n]\nb = []\n", []string{
			"/a 1:1 1:5", "/a#0 1:7 1:7", "/a#1 2:3 2:3", "/a#1#0 2:5 2:5", "/a#1#1 2:8 2:8", "/a#2 3:3 3:3", "/b 5:1 5:5",
		}},
		{"inline tables", "a = { x = 1, y.z = [ { w = 2 } ] }\n", []string{
			"/a 1:1 1:5", "/a/x 1:7 1:11", "/a/y 1:14 1:14", "/a/y/z 1:16 1:20", "/a/y/z#0 1:22 1:22", "/a/y/z#0/w 1:24 1:28",
		}},
		{"inline table over many lines", "a = {\n  x = 1, # c\n  y = 2,\n}\n", []string{
			"/a 1:1 1:5", "/a/x 2:3 2:7", "/a/y 3:3 3:7",
		}},
		{"dotted keys", "a.b . c = 1\na.d = 2\n", []string{
			"/a 1:1 1:1", "/a/b 1:3 1:3", "/a/b/c 1:7 1:11", "/a/d 2:3 2:7",
		}},
		{"quoted keys", "\"a.b\" = 1\n'c\"' = 2\n\"\" = 3\n\"\\u00e9\\t\\x41\\\\\" = 4\n", []string{
			"/ 3:1 3:6", "/a.b 1:1 1:9", "/c\" 2:1 2:8", "/é\tA\\ 4:1 4:20",
		}},
		{"strings that look like more", "a = \"[b] # \\\" = \"\nb = '\\'\nc = \"\"\nd = ''\ne = 1\n", []string{
			"/a 1:1 1:5", "/b 2:1 2:5", "/c 3:1 3:5", "/d 4:1 4:5", "/e 5:1 5:5",
		}},
		{"strings of many lines", "a = \"\"\"\nx = 1\n\\\"\"\" \"\"\"\"\"\nb = '''\ny = 2\\'''''\nc = [\"\"\"]\n\"\"\", 2]\n", []string{
			"/a 1:1 1:5", "/b 4:1 4:5", "/c 6:1 6:5", "/c#0 6:6 6:6", "/c#1 7:6 7:6",
		}},
		{"columns count characters", "\"äö\" = { \"ü\" = 1, b = 2 }\n", []string{
			"/äö 1:1 1:8", "/äö/b 1:19 1:23", "/äö/ü 1:10 1:16",
		}},
		{"carriage returns", "a = 1\r\n[b]\r\nc = [\r\n2 ]\r\n", []string{
			"/a 1:1 1:5", "/b 2:2 2:1", "/b/c 3:1 3:5", "/b/c#0 4:1 4:1",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var diags Diagnostics
			root := parse("x", tt.text, &diags)
			if root == nil {
				t.Fatalf("%v", diags)
			}
			if diff := cmp.Diff(tt.want, places(root.doc, "", root.node)); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			checkLocated(t, root.values, root.node, "")
		})
	}
}

// checkLocated verifies that every value the parser decoded has a node.
func checkLocated(t *testing.T, v any, n *node, path string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			child, ok := n.children[key]
			if !ok {
				t.Errorf("%s has no node for %q", path, key)
				continue
			}
			checkLocated(t, value, child, path+"/"+key)
		}
	case []map[string]any:
		for i := range checkItems(t, len(v), n, path) {
			checkLocated(t, v[i], n.items[i], fmt.Sprintf("%s#%d", path, i))
		}
	case []any:
		for i := range checkItems(t, len(v), n, path) {
			checkLocated(t, v[i], n.items[i], fmt.Sprintf("%s#%d", path, i))
		}
	}
}

func checkItems(t *testing.T, want int, n *node, path string) int {
	t.Helper()
	if len(n.items) != want {
		t.Errorf("%s has %d items and %d nodes", path, want, len(n.items))
	}
	return min(want, len(n.items))
}

// addFiles seeds a fuzz target with all policies of testdata.
func addFiles(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatal("no files", err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
}

// lookahead is how many bytes behind an error the parser may have read.
const lookahead = 4

// FuzzLocate: whatever the parser takes is located as a whole; and where the
// locator gives up for syntax, the parser does not get further, so that the
// bound on depth holds for all the parser sees.
func FuzzLocate(f *testing.F) {
	addFiles(f)
	for _, s := range []string{
		"a = {b=1,c.d=[{e=1},[2]],}\n", "\"\\u0041\\x42\\e\".'c' = \"\"\"\\\"\"\"\"\"\"\n", "[[a.b]]\n[a.b.c]\nd=1\n[[a.b]]\n",
		"a=1979-05-27 07:32:00Z # x\nb=+nan\nc=0xDEAD_beef", "a = [1,\n#x\n2\n,]", "a='''\n''''''\n", "\ufeffa=1",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimLeft(text, "\ufeff")
		if len(text) > 1<<16 || notText(text) >= 0 {
			return
		}
		root, end, why := locate(text)
		if why == failDepth {
			return
		}
		values, err := decode(text)
		if err == nil {
			if why != failNone {
				t.Fatalf("stopped at %d of a valid text", end)
			}
			checkLocated(t, values, root, "")
			return
		}
		var p toml.ParseError
		if errors.As(err, &p) && why == failSyntax && p.Position.Start > end+lookahead {
			t.Errorf("stopped at %d, the parser at %d:%d: %v", end, p.Position.Line, p.Position.Col, err)
		}
	})
}

// FuzzParse: no text panics; an error means no policy; a policy can be
// written and read again.
func FuzzParse(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, diags := parseAt(testTime, "x", []byte(text), nil)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("policy is nil: %t; %v", p == nil, diags)
		}
		lineCount := 1 + strings.Count(text, "\n")
		for _, d := range diags {
			if d.Message == "" || d.Line > lineCount || (d.Line == 0) != (d.Column == 0) || strings.Contains(d.String(), "\n") {
				t.Errorf("bad diagnostic %q", d)
			}
		}
		if p != nil {
			checkRoundTrip(t, p)
		}
	})
}

func TestHostileNestingIsRefusedInTime(t *testing.T) {
	const size = maxFileSize - 16
	for name, text := range map[string]string{
		"arrays":         "a = " + strings.Repeat("[", size),
		"inline tables":  "a = " + strings.Repeat("{a=", size/3),
		"dotted key":     strings.Repeat("a.", size/2) + "a = 1",
		"dotted header":  "[" + strings.Repeat("a.", size/2) + "a]",
		"quotes":         "a = " + strings.Repeat(`"`, size),
		"headers":        strings.Repeat("[[a]]\n", size/6),
		"keys":           "[a]\n" + strings.Repeat("b\n", size/2),
		"comment":        strings.Repeat("#", size),
		"open string":    `a = "` + strings.Repeat("x", size),
		"long key":       strings.Repeat("x", size/2) + " = 1",
		"array of items": "a = [" + strings.Repeat("1,", size/2) + "]",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, diags := Parse("x", []byte(text))
			if name != "comment" && !diags.HasErrors() {
				t.Error("no error")
			}
			for _, d := range diags {
				if len(d.String()) > 1000 {
					t.Errorf("a diagnostic of %d bytes", len(d.String()))
				}
			}
			t.Logf("%v, %d diagnostics", time.Since(start), len(diags))
		})
	}
}

func TestNearest(t *testing.T) {
	known := []string{"timeout", "within", "open", "name", "min_interval", "max_interval"}
	for s, want := range map[string]string{
		"Timeout": "timeout", "TIMEOUT": "timeout", "timeuot": "timeout", "timout": "timeout", "time-out": "timeout",
		"opne": "open", "min-interval": "min_interval", "max_intervall": "max_interval",
		"": "", "xyz": "", "op": "", "timer": "", "a": "",
	} {
		if got := nearest(s, known); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Millisecond: "1ms", time.Second: "1s", time.Minute: "1m", 70 * time.Second: "1m10s",
		time.Hour: "1h", 10 * time.Hour: "10h", 70 * time.Minute: "1h10m", time.Hour + time.Second: "1h0m1s",
		10 * time.Minute: "10m", 1500 * time.Millisecond: "1.5s",
	} {
		got := short(d)
		if back, err := time.ParseDuration(got); got != want || err != nil || back != d {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
