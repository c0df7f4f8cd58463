package house

import (
	"path/filepath"
	"strings"
	"testing"

	"nftknock/test/measure/functions"
)

// mostParameters is how many parameters a function may take. More of them are
// mixed up by callers, and are often a type that has no name yet.
const mostParameters = 4

// wide are functions that may take more without giving a reason, by package and
// name: "pkg/gate.(*Kernel).cut". Those that stay are to say in their doc comment
// why, behind the word "parameters:".
var wide = map[string]bool{}

func TestFunctionsTakeFewParameters(t *testing.T) {
	seen := make(map[string]bool)
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{.Dir}}", "./pkg/...", "./cmd/...") {
		path, dir, _ := strings.Cut(line, " ")
		list, err := functions.In(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list {
			if f.Parameters <= mostParameters || strings.Contains(f.Doc, "parameters:") {
				continue
			}
			name := strings.TrimPrefix(path, "nftknock/") + "." + f.Name
			seen[name] = true
			if !wide[name] {
				t.Errorf("%s:%d: %s takes %d parameters, want at most %d, or the reason behind \"parameters:\" in its doc comment",
					filepath.Base(f.File), f.Line, name, f.Parameters, mostParameters)
			}
		}
	}
	for name := range wide {
		if !seen[name] {
			t.Errorf("%s is excused from a rule that it keeps", name)
		}
	}
}
