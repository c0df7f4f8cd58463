package job

import (
	"fmt"
	"regexp"
	"strings"
)

// CheckTests looks for what a test binary's exit status does not tell: a
// skipped test, and a pattern under which no test ran. The output is that of
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
