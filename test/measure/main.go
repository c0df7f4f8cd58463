// Command measure prints how long the functions of some packages are, how many
// parameters they take, and how much of their bodies are comments:
//
//	go run ./test/measure ./pkg/... ./cmd/...
//
// Test files do not count.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"nftknock/test/measure/functions"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "measure: error:", err)
		os.Exit(1)
	}
}

// run writes the table for the packages that go list finds under patterns.
func run(w io.Writer, patterns []string) error {
	out, err := exec.Command("go", append([]string{"list", "-f", "{{.Dir}}"}, patterns...)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("go list: %w\n%s", err, exit.Stderr)
	} else if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "package\tfunctions\tmedian lines\t9 in 10\tlongest\tover 50\tover 4 parameters\tcomments in 100 lines\t")
	var total []functions.Function
	for _, dir := range strings.Fields(string(out)) {
		list, err := functions.In(dir)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(here, dir)
		if err != nil {
			return err
		}
		writeRow(table, name, list)
		total = append(total, list...)
	}
	writeRow(table, "all", total)
	return table.Flush()
}

// writeRow writes nothing for a package without functions.
func writeRow(w io.Writer, name string, list []functions.Function) {
	if len(list) == 0 {
		return
	}
	byLength := slices.SortedFunc(slices.Values(list), func(a, b functions.Function) int {
		return cmp.Compare(a.Lines, b.Lines)
	})
	var long, wide, body, comments int
	for _, f := range list {
		if f.Lines > 50 {
			long++
		}
		if f.Parameters > 4 {
			wide++
		}
		body += f.Body
		comments += f.Comments
	}
	longest := byLength[len(list)-1]
	fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s %d\t%d\t%d\t%.1f\t\n", name, len(list),
		byLength[len(list)/2].Lines, byLength[len(list)*9/10].Lines, longest.Name, longest.Lines,
		long, wide, 100*float64(comments)/float64(max(body, 1)))
}
