package doctor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// savedPlaces are where distributions keep the ruleset that is loaded at boot.
var savedPlaces = []string{
	"/etc/nftables.conf",           // Debian, Arch
	"/etc/sysconfig/nftables.conf", // Fedora, RHEL
	"/etc/nftables.nft",            // Alpine
	"/etc/nftables/*.nft",
	"/etc/nftables.d/*.nft",
	"/etc/nftables.d/*.conf",
	"/var/lib/nftables/rules-save", // Gentoo
}

// Bounds of the files that are read.
const (
	maxSavedFiles = 256
	maxSavedBytes = 8 << 20
)

// A SavedRuleset is a file that is loaded at boot, or that such a file includes.
type SavedRuleset struct {
	Path string
	Text string
}

// readSaved reads the saved rulesets below root, which is "/" but in tests. The errors are
// of files that are there and could not be read.
func readSaved(root, table string) ([]SavedRuleset, []error) {
	var found []SavedRuleset
	var errs []error
	queue := expand(root, savedPlaces)
	for i := 0; i < len(queue); i++ {
		if i == maxSavedFiles {
			return found, append(errs, fmt.Errorf("more than %d files", maxSavedFiles))
		}
		text, err := readBounded(filepath.Join(root, queue[i]))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, SavedRuleset{queue[i], text})
		_, includes, whole := scanRuleset(text, table)
		if !whole {
			errs = append(errs, fmt.Errorf("%s: too long to be read to the end", queue[i]))
		}
		for _, inc := range includes {
			for _, path := range expand(root, []string{includePath(inc.pattern)}) {
				queue = addOnce(queue, path)
			}
		}
	}
	return found, errs
}

// includePath is where nft looks for a file: in /etc if the path does not begin with a
// slash. A path that begins with ./ depends on where nft is run: services run it in /.
func includePath(pattern string) string {
	switch {
	case strings.HasPrefix(pattern, "/"):
		return pattern
	case strings.HasPrefix(pattern, "./"):
		return pattern[1:]
	}
	return "/etc/" + pattern
}

// expand returns the files that patterns name, below root, without it.
func expand(root string, patterns []string) []string {
	var list []string
	for _, p := range patterns {
		if !strings.ContainsAny(p, "*?[") {
			list = append(list, p)
			continue
		}
		paths, err := filepath.Glob(filepath.Join(root, p))
		if err != nil {
			continue // a pattern that is none names no file
		}
		for _, path := range paths[:min(len(paths), maxSavedFiles)] {
			if rel, err := filepath.Rel(root, path); err == nil {
				list = append(list, "/"+rel)
			}
		}
	}
	return slices.Compact(list)
}

// readBounded reads a regular file: a pipe could block for ever.
func readBounded(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSavedBytes+1))
	if err == nil && len(b) > maxSavedBytes {
		return "", fmt.Errorf("%s is larger than %d MiB", path, maxSavedBytes>>20)
	}
	return string(b), err
}

// savedTable finds what in saved rulesets is about our table.
func savedTable(p Policy, h *Host) []Finding {
	var list []Finding
	for _, s := range h.Saved {
		mentions, _, _ := scanRuleset(s.Text, p.Table)
		for _, m := range mentions {
			f := Finding{Severity: Error, Code: "saved-table", Where: Where{Family: "inet", Table: p.Table, File: s.Path, Line: m.line}}
			what := fmt.Sprintf("%s:%d holds nftknock's table inet %s", s.Path, m.line, p.Table)
			f.Hint = "remove the table from the file: nftknockd makes it by itself"
			switch m.kind {
			case badFlags:
				f.Message = what + ", with flags that nft may not read back: the file does not load at boot then, and the host has no firewall"
			case declares:
				f.Message = what + ": the file cannot be loaded while the daemon owns the table, and at boot its copy is in the daemon's way"
			case takesAway:
				f.Message = fmt.Sprintf("%s:%d removes nftknock's table inet %s or a part of it: "+
					"the file cannot be loaded while the daemon owns the table, and otherwise hidden services are open for a moment", s.Path, m.line, p.Table)
				f.Hint = "remove the line: nftknockd keeps the table by itself"
			}
			list = append(list, f)
		}
	}
	return list
}
