package system

import (
	"os"
	"regexp"
	"testing"
)

// Every cell of the page says something that "make system" compares with what happens: there is
// a test TestLifecycle/EVENT/COLUMN for each.
func TestLifecyclePageIsComplete(t *testing.T) {
	page, err := os.ReadFile("../../" + lifecyclePage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseLifecycle(string(page)); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile("lifecycle_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if !regexp.MustCompile(`(?m)^\t"` + e + `": `).Match(text) {
			t.Errorf("lifecycle_test.go has no event %q", e)
		}
	}
}
