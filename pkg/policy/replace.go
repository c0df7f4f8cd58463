package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nftknock/pkg/invalid"
)

// Replacements parses items "NAME=FILE" for Review.Replace: the policy is to be read as if
// the file NAME had the text of FILE. NAME is the main file, or a file of conf.d that there
// may not be yet, relative to the directory of main. Errors are *invalid.Error.
func Replacements(main string, items []string) (map[string]string, error) {
	replace := make(map[string]string, len(items))
	for _, item := range items {
		name, file, ok := strings.Cut(item, "=")
		if !ok || name == "" || file == "" {
			return nil, invalid.Newf("NAME=FILE, such as conf.d/ssh.toml=/tmp/new.toml", "bad replacement %s", quote(item))
		}
		path, err := target(main, name)
		if err != nil {
			return nil, err
		}
		if _, twice := replace[path]; twice {
			return nil, invalid.Newf("one FILE for it", "%s is replaced twice", quote(name))
		}
		replace[path] = file
	}
	return replace, nil
}

// target is the path of a policy file that a replacement names.
func target(main, name string) (string, error) {
	main = filepath.Clean(main)
	dir := filepath.Dir(main)
	path := filepath.Join(dir, name)
	if filepath.IsAbs(name) {
		path = filepath.Clean(name)
		// The policy may have been named relative to the working directory.
		if abs, err := filepath.Abs(dir); err == nil && !filepath.IsAbs(dir) {
			if rel, err := filepath.Rel(abs, path); err == nil {
				path = filepath.Join(dir, rel)
			}
		}
	}
	switch base := filepath.Base(path); {
	case path == main:
		return path, nil
	case filepath.Dir(path) != filepath.Join(dir, "conf.d"):
		return "", invalid.Newf(fmt.Sprintf("%s or conf.d/NAME.toml, relative to %s", filepath.Base(main), dir), "%s is no file of this policy", quote(name))
	case strings.HasPrefix(base, "."):
		return "", invalid.Newf("a name without a dot at its beginning", "%s is hidden, and would not be read", quote(name))
	case !isConf(base):
		return "", invalid.Newf("a name that ends in .toml", "%s would not be read", quote(name))
	}
	return path, nil
}

// from is the file whose text stands in for that of a policy file, or empty.
func (r Review) from(path string) string { return r.Replace[filepath.Clean(path)] }

// Mark notes in diagnostics whose text they are about.
func (r Review) Mark(diags Diagnostics) {
	for i, d := range diags {
		diags[i].From = r.from(d.File)
	}
}

// text reads a policy file, or what stands in for it. check, if not nil, looks at the file
// first.
func (l *loader) text(path string, check func(path string) error) ([]byte, error) {
	if from := l.review.from(path); from != "" {
		return readText(from)
	}
	if check != nil {
		if err := check(path); err != nil {
			return nil, err
		}
	}
	if l.review.TextOnly {
		return readText(path)
	}
	return readFile(path)
}

// confNames lists conf.d, sorted by name.
func confNames(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Name()
	}
	return names, err
}

// addTo adds the files of a directory that a replacement names to those that are there.
func (r Review) addTo(names []string, dir string) []string {
	for path := range r.Replace {
		if name := filepath.Base(path); filepath.Dir(path) == filepath.Clean(dir) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// maxIgnored bounds the files that are named in warnings.
const maxIgnored = 100

// ignore notes a file of conf.d that is not read and that someone may take for a part of the
// policy: hidden files and READMEs are not, nor directories.
func (l *loader) ignore(path string) {
	name := filepath.Base(path)
	if strings.HasPrefix(name, ".") || strings.HasPrefix(strings.ToUpper(name), "README") || len(l.ignored) == maxIgnored {
		return
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() || errors.Is(err, fs.ErrNotExist) {
		return
	}
	l.ignored = append(l.ignored, path)
}

// warnIgnored warns of the files of conf.d that are not read.
func (l *loader) warnIgnored() {
	for _, path := range l.ignored {
		l.diags = append(l.diags, Diagnostic{
			File: path, Severity: SeverityWarning, Code: CodeFileIgnored,
			Message: "this file is not read: its name does not end in .toml",
			Hint:    "rename it if it belongs to the policy, and move it elsewhere if not",
		})
	}
}
