package tomlpos

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// places lists the path, the place of the key and the place of the value of every node.
func places(lines *Lines, path string, n *Node) []string {
	var out []string
	if path != "" {
		line, column := lines.Place(n.Key)
		valueLine, valueColumn := lines.Place(n.Value)
		out = append(out, fmt.Sprintf("%s %d:%d %d:%d", path, line, column, valueLine, valueColumn))
	}
	for _, name := range slices.Sorted(maps.Keys(n.Children)) {
		out = append(out, places(lines, path+"/"+name, n.Children[name])...)
	}
	for i, item := range n.Items {
		out = append(out, places(lines, fmt.Sprintf("%s#%d", path, i), item)...)
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
			root, err := Locate(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, places(NewLines(tt.text), "", root)); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			values, err := decode(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			checkLocated(t, values, root, "")
		})
	}
}
