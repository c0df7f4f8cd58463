package tomlpos

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"nftknock/test/seeds"
)

// decode parses a text with BurntSushi/toml, and turns its panics into errors.
func decode(text string) (values map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			values, err = nil, fmt.Errorf("panic: %v", r)
		}
	}()
	_, err = toml.Decode(text, &values)
	return values, err
}

// checkLocated verifies that every value the parser decoded has a node.
func checkLocated(t *testing.T, v any, n *Node, path string) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			child, ok := n.Children[key]
			if !ok {
				t.Errorf("%s has no node for %q", path, key)
				continue
			}
			checkLocated(t, value, child, path+"/"+key)
		}
	case []map[string]any:
		for i := range checkItems(t, len(v), n, path) {
			checkLocated(t, v[i], n.Items[i], fmt.Sprintf("%s#%d", path, i))
		}
	case []any:
		for i := range checkItems(t, len(v), n, path) {
			checkLocated(t, v[i], n.Items[i], fmt.Sprintf("%s#%d", path, i))
		}
	}
}

func checkItems(t *testing.T, want int, n *Node, path string) int {
	t.Helper()
	if len(n.Items) != want {
		t.Errorf("%s has %d items and %d nodes", path, want, len(n.Items))
	}
	return min(want, len(n.Items))
}

// checkStatements verifies that statements lie in the text, in order, and begin no
// later than what is asked for.
func checkStatements(t *testing.T, text string) {
	t.Helper()
	last := 0
	for offset := 0; offset <= len(text); offset += 1 + len(text)/16 {
		s, ok := StatementAt(text, offset)
		switch {
		case !ok && (last != 0 || s != Statement{}):
			t.Errorf("no statement at %d, but %+v", offset, s)
		case ok && (s.Offset < last || s.Offset > offset || s.Value > len(text) || s.Value != 0 && s.Value <= s.Offset):
			t.Errorf("at %d: %+v after %d of %d", offset, s, last, len(text))
		case s.Again != 0 && (s.Again < s.Offset || s.First >= s.Again):
			t.Errorf("at %d: %+v repeats what comes later", offset, s)
		}
		last = s.Offset
	}
}

// lookahead is how many bytes the parser may have read beyond the place of an error.
const lookahead = 4

// FuzzLocate: in a text that the parser accepts, everything is located. Where Locate
// stops at a syntax error, the parser stops too, so that it never reads text that is
// nested deeper than the limit.
func FuzzLocate(f *testing.F) {
	seeds.AddFiles(f, "../policy/testdata/*/*.toml")
	for _, s := range []string{
		"a = {b=1,c.d=[{e=1},[2]],}\n", "\"\\u0041\\x42\\e\".'c' = \"\"\"\\\"\"\"\"\"\"\n", "[[a.b]]\n[a.b.c]\nd=1\n[[a.b]]\n",
		"a=1979-05-27 07:32:00Z # x\nb=+nan\nc=0xDEAD_beef", "a = [1,\n#x\n2\n,]", "a='''\n''''''\n", "\ufeffa=1", "\xff\xfea=1", "\xfe\xffa=[\xff]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		bare := TrimMark(text)
		if i := strings.IndexByte(bare, 0); i >= 0 && i < 6 {
			return // the parser looks for this before it reads anything
		}
		checkStatements(t, bare)
		root, end, why := locate(bare)
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
