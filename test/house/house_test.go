// Package house tests the shape of the project itself.
package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// imports says which packages of ours each package may import. It reads from
// the bottom to the top: nothing imports what stands below it.
var imports = map[string][]string{
	// Leaves that know nothing of ours: how things are written, named and hidden.
	"pkg/wording":  {},
	"pkg/version":  {},
	"pkg/login":    {},
	"pkg/redact":   {},
	"pkg/invalid":  {},
	"pkg/username": {},
	// The packet path.
	"pkg/packet": {},
	"pkg/port":   {"pkg/invalid", "pkg/packet"},
	"pkg/p0f":    {"pkg/packet"},
	// Keys and what they seal; what was spent.
	"pkg/secret":      {"pkg/invalid", "pkg/redact"},
	"pkg/seal":        {"pkg/redact", "pkg/username"},
	"pkg/spa":         {"pkg/invalid", "pkg/port", "pkg/username"},
	"pkg/totp":        {"pkg/invalid", "pkg/redact"},
	"pkg/statedir":    {},
	"pkg/spent":       {"pkg/statedir"},
	"pkg/knock":       {"pkg/p0f", "pkg/packet", "pkg/port", "pkg/seal", "pkg/spa", "pkg/totp"},
	"pkg/capture":     {},
	"pkg/kernlog":     {"pkg/packet"},
	"pkg/fingerprint": {"pkg/capture", "pkg/kernlog", "pkg/p0f", "pkg/packet", "pkg/wording"},
	// The kernel; nothing of knocks.
	"pkg/flows": {"pkg/packet"},
	"pkg/nflog": {},
	"pkg/gate":  {"pkg/flows", "pkg/invalid", "pkg/packet", "pkg/port", "pkg/wording"},
	"pkg/links": {},
	// The host's own rules, and what in it keeps a policy from working.
	"pkg/hostrules": {},
	"pkg/logqueue":  {},
	// What people write, and what it comes to.
	"pkg/tomlpos":    {},
	"pkg/policy":     {"pkg/gate", "pkg/invalid", "pkg/knock", "pkg/packet", "pkg/port", "pkg/seal", "pkg/secret", "pkg/spa", "pkg/tomlpos", "pkg/totp", "pkg/username", "pkg/wording"},
	"pkg/lastpolicy": {"pkg/policy", "pkg/statedir"},
	// What happened; nothing of who knows it.
	"pkg/event":  {"pkg/port", "pkg/wording"},
	"pkg/plan":   {"pkg/event", "pkg/gate", "pkg/knock", "pkg/p0f", "pkg/packet", "pkg/policy", "pkg/port", "pkg/seal", "pkg/spa", "pkg/spent", "pkg/wording"},
	"pkg/replay": {"pkg/capture", "pkg/knock", "pkg/packet", "pkg/plan", "pkg/port", "pkg/spent", "pkg/wording"},
	"pkg/logger": {"pkg/event", "pkg/logqueue", "pkg/policy"},
	"pkg/doctor": {"pkg/gate", "pkg/hostrules", "pkg/links", "pkg/packet", "pkg/policy", "pkg/port", "pkg/wording"},
	// The running daemon from outside.
	"pkg/unixsocket": {},
	"pkg/control":    {"pkg/unixsocket"},
	"pkg/metrics":    {"pkg/event", "pkg/unixsocket"},
	"pkg/trial":      {},
	"pkg/uninstall":  {"pkg/control", "pkg/gate", "pkg/lastpolicy", "pkg/spent", "pkg/trial"},
	// The programs.
	"pkg/keygen":            {"pkg/secret", "pkg/totp"},
	"pkg/setup":             {"pkg/keygen", "pkg/packet", "pkg/policy", "pkg/port", "pkg/trial"},
	"pkg/client":            {"pkg/knock", "pkg/packet", "pkg/port", "pkg/seal", "pkg/secret", "pkg/spa", "pkg/tomlpos", "pkg/totp", "pkg/username"},
	"pkg/daemon":            {"pkg/control", "pkg/event", "pkg/gate", "pkg/knock", "pkg/lastpolicy", "pkg/links", "pkg/metrics", "pkg/nflog", "pkg/packet", "pkg/plan", "pkg/policy", "pkg/port", "pkg/spent", "pkg/wording"},
	"cmd/internal/commands": {"pkg/keygen", "pkg/login", "pkg/totp", "pkg/version"},
	"cmd/nftknock":          {"cmd/internal/commands", "pkg/client", "pkg/keygen", "pkg/login", "pkg/packet", "pkg/port", "pkg/secret"},
	"cmd/nftknockd":         {"cmd/internal/commands", "pkg/capture", "pkg/control", "pkg/daemon", "pkg/doctor", "pkg/event", "pkg/fingerprint", "pkg/gate", "pkg/keygen", "pkg/lastpolicy", "pkg/links", "pkg/logger", "pkg/logqueue", "pkg/nflog", "pkg/p0f", "pkg/plan", "pkg/policy", "pkg/port", "pkg/replay", "pkg/setup", "pkg/spent", "pkg/trial", "pkg/uninstall", "pkg/wording"},
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestImportsGoOneWay(t *testing.T) {
	seen := make(map[string]bool)
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./pkg/...", "./cmd/...") {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], "nftknock/")
		allowed, ok := imports[pkg]
		if !ok {
			t.Errorf("%s has no place in the house: say here what it may import", pkg)
		}
		seen[pkg] = true
		for _, imp := range fields[1:] {
			ours, ok := strings.CutPrefix(imp, "nftknock/")
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s", pkg, ours)
			}
		}
	}
	for pkg := range imports {
		if !seen[pkg] {
			t.Errorf("%s has a place in the house and does not exist", pkg)
		}
	}
}

// Every module that is linked into a program is in docs/dependencies.md with
// the reason for it, and nothing else is.
func TestDependenciesAreArgued(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	program, _, _ := strings.Cut(string(page), "## Tests and tools")
	linked := make(map[string]bool)
	for _, module := range goList(t, "-deps", "-f", `{{with .Module}}{{.Path}}{{end}}`, "./cmd/...") {
		if module != "" && module != "nftknock" {
			linked[module] = true
		}
	}
	for module := range linked {
		if !strings.Contains(program, "| `"+module+"` |") {
			t.Errorf("%s is linked into a program and not argued in docs/dependencies.md", module)
		}
	}
	for _, line := range strings.Split(program, "\n") {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			if module, _, _ := strings.Cut(rest, "`"); !linked[module] {
				t.Errorf("docs/dependencies.md argues for %s, which no program needs", module)
			}
		}
	}
}

// Relative links in the documentation lead somewhere.
func TestDocumentationLinks(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md"), filepath.Join(root, "SECURITY.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "](")[1:] {
			link, _, _ := strings.Cut(part, ")")
			link, _, _ = strings.Cut(link, "#")
			if link == "" || strings.Contains(link, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), link)); err != nil {
				t.Errorf("%s links to %s: %v", page, link, err)
			}
		}
	}
}

// What builds and tests the project names no host to download from: packages
// and modules come through apt and go, from where the machine takes them.
func TestBuildNamesNoHost(t *testing.T) {
	address := regexp.MustCompile(`[a-z]+://[^ "'` + "`" + `]+`)
	for _, top := range []string{"Makefile", ".ci", "test"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if found := address.Find(text); found != nil {
				t.Errorf("%s names %s", path, found)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// parseGo parses the Go files below a directory that are not tests, and calls each with
// their path.
func parseGo(t *testing.T, dir string, each func(path string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			each(path, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every event can happen: some package makes a value of its type. A test of package event
// compares the types with the names in docs/commands.md.
func TestEveryEventIsEmitted(t *testing.T) {
	emitted := make(map[string]bool) // by type
	parseGo(t, "pkg/event", func(_ string, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Line" {
				continue
			}
			if receiver, ok := f.Recv.List[0].Type.(*ast.Ident); ok && receiver.IsExported() {
				emitted[receiver.Name] = false
			}
		}
	})
	if len(emitted) == 0 {
		t.Fatal("pkg/event declares no event")
	}
	for _, dir := range []string{"pkg/daemon", "pkg/plan", "pkg/logger", "pkg/event"} {
		parseGo(t, dir, func(_ string, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.CompositeLit)
				if !ok {
					return true
				}
				name := ""
				switch e := literal.Type.(type) {
				case *ast.SelectorExpr:
					if isNamed(e.X, "event") {
						name = e.Sel.Name
					}
				case *ast.Ident: // the dispatcher makes some itself
					if dir == "pkg/event" {
						name = e.Name
					}
				}
				if _, declared := emitted[name]; declared {
					emitted[name] = true
				}
				return true
			})
		})
	}
	for name, ok := range emitted {
		if !ok {
			t.Errorf("no package makes an event.%s", name)
		}
	}
}

func isNamed(e ast.Expr, name string) bool {
	ident, ok := e.(*ast.Ident)
	return ok && ident.Name == name
}
