package lastpolicy

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"nftknock/pkg/policy"
)

// ErrNone is the error of Find if there is no copy.
var ErrNone = errors.New("no policy has worked before")

// Find returns the copy of the policy file source, which cannot be loaded, from the first of
// these directories that has a copy which can be used: the state directory that source names,
// as far as that can be read; those of $STATE_DIRECTORY, which systemd sets for a service with
// StateDirectory=; and policy.DefaultStateDir. Otherwise the error says why each copy that is
// there cannot be used, or is ErrNone.
func Find(source string) (*Copy, error) {
	var refused []error
	for _, dir := range dirs(source) {
		found, err := Read(dir, source)
		switch {
		case err == nil:
			return found, nil
		case !errors.Is(err, fs.ErrNotExist):
			refused = append(refused, err)
		}
	}
	if len(refused) == 0 {
		return nil, ErrNone
	}
	return nil, errors.Join(refused...)
}

// dirs returns the directories to search, each once.
func dirs(source string) []string {
	list := []string{stateDir(head(source))}
	list = append(list, filepath.SplitList(os.Getenv("STATE_DIRECTORY"))...)
	list = append(list, policy.DefaultStateDir)
	var found []string
	for _, d := range list {
		// A policy must give an absolute path, and so does systemd.
		if d = filepath.Clean(d); filepath.IsAbs(d) && !slices.Contains(found, d) {
			found = append(found, d)
		}
	}
	return found
}

// maxHead is how much of a policy file is searched for its state directory, in bytes.
const maxHead = 8 << 20

// head returns the beginning of a file, empty if it cannot be read.
func head(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.LimitReader(f, maxHead))
	if err != nil {
		return ""
	}
	return string(data)
}

// The ways to write the state directory in TOML, line by line.
var (
	section = regexp.MustCompile(`^\s*\[\s*([A-Za-z0-9_.\s"'-]*?)\s*\]`)
	dirKey  = regexp.MustCompile(`^\s*dir\s*=\s*(?:"([^"\\]*)"|'([^']*)')`)
	dotted  = regexp.MustCompile(`^\s*state\s*\.\s*dir\s*=\s*(?:"([^"\\]*)"|'([^']*)')`)
	inline  = regexp.MustCompile(`^\s*state\s*=\s*\{\s*dir\s*=\s*(?:"([^"\\]*)"|'([^']*)')`)
)

// stateDir returns what a policy that may be no TOML gives as state directory, empty if that
// is not found. A wrong answer does no harm: it is only where a copy is looked for.
func stateDir(text string) string {
	in := ""
	for line := range strings.Lines(text) {
		if m := section.FindStringSubmatch(line); m != nil {
			in = m[1]
			continue
		}
		var m []string
		switch in {
		case "state":
			m = dirKey.FindStringSubmatch(line)
		case "":
			if m = dotted.FindStringSubmatch(line); m == nil {
				m = inline.FindStringSubmatch(line)
			}
		}
		if m != nil {
			return m[1] + m[2] // one of the two is empty
		}
	}
	return ""
}
