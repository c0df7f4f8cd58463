package job

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckTests returns an error if a test was skipped, or if no test passed that matches one of
// the patterns, neither of which a test binary's exit status shows. output is that of
// -test.v.
func CheckTests(output string, patterns []string) error {
	var passed []string
	for _, line := range strings.Split(output, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "--- SKIP: "); ok {
			return fmt.Errorf("skipped %s", name)
		}
		if name, ok := strings.CutPrefix(line, "--- PASS: "); ok {
			name, _, _ = strings.Cut(name, " ")
			passed = append(passed, name)
		}
	}
	for _, p := range patterns {
		if !anyMatches(p, passed) {
			return fmt.Errorf("no test named %s ran", p)
		}
	}
	return nil
}

func anyMatches(pattern string, names []string) bool {
	re := regexp.MustCompile(pattern)
	for _, n := range names {
		if re.MatchString(n) {
			return true
		}
	}
	return false
}
