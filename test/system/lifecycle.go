package system

import (
	"fmt"
	"slices"
	"strings"
)

// lifecyclePage is the page with the table of what outlives what.
const lifecyclePage = "docs/lifecycle.md"

// columns are those of the table, each with the words that begin its cells.
var columns = []struct {
	name  string
	words []string
}{
	{"table", []string{"hides", "gone", "none"}},
	{"grants", []string{"stay", "end", "none"}},
	{"half-done knocks", []string{"stay", "lost", "none"}},
	{"spent tokens", []string{"stay", "forgotten", "none"}},
	{"standing connections", []string{"stay", "end"}},
}

// events are the rows of the table.
var events = []string{
	"install", "first start", "reload", "failed reload", "restart", "crash", "power cut", "upgrade", "stop", "disable", "uninstall", "purge", "reboot",
}

// parseLifecycle returns the first word of each cell of the table above the first heading, by
// event and column. It returns an error unless the page has every event and column once, in this order.
func parseLifecycle(page string) (map[string]map[string]string, error) {
	cells := make(map[string]map[string]string)
	var rows []string
	table, _, _ := strings.Cut(page, "\n## ")
	for line := range strings.Lines(table) {
		inner, ok := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !ok || strings.HasPrefix(inner, "---") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(inner, "|"), "|")
		if len(fields) != len(columns)+1 {
			return nil, fmt.Errorf("a row has %d cells, want %d: %s", len(fields), len(columns)+1, line)
		}
		name := strings.TrimSpace(fields[0])
		if name == "" {
			if err := checkHead(fields[1:]); err != nil {
				return nil, err
			}
			continue
		}
		rows = append(rows, name)
		cells[name] = make(map[string]string)
		for i, c := range columns {
			word, _, _ := strings.Cut(strings.TrimSpace(fields[i+1]), ",")
			if !slices.Contains(c.words, word) {
				return nil, fmt.Errorf("%s of %s begins with %q, want one of %q", c.name, name, word, c.words)
			}
			cells[name][c.name] = word
		}
	}
	if !slices.Equal(rows, events) {
		return nil, fmt.Errorf("the rows are %q, want %q", rows, events)
	}
	return cells, nil
}

func checkHead(fields []string) error {
	for i, c := range columns {
		if got := strings.TrimSpace(fields[i]); got != c.name {
			return fmt.Errorf("column %d is %q, want %q", i+1, got, c.name)
		}
	}
	return nil
}
