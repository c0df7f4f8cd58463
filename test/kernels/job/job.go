// Package job is what the runner on this machine and the init program inside
// the virtual machine have to agree on: what is to be run there, and the lines
// of the console that tell how it went.
package job

import (
	"fmt"
	"strings"
)

// File is where the jobs are in the initramfs, as JSON.
const File = "/jobs.json"

// Mark begins every line that the init program itself writes.
const Mark = "kernels: "

// Job is one program to be run.
type Job struct {
	Name string
	Args []string // the program's path first
	Env  []string
	// Tests has one regular expression for each group of tests that has to
	// run. It is nil for a program that is no test binary.
	Tests []string
}

// Plan is all that one virtual machine does.
type Plan struct {
	Modules []string // paths in the initramfs, in the order of loading
	Jobs    []Job
}

// Last is the line that ends the console's text. The runner takes nothing for
// success but this line with the release it asked for and only zeros.
func Last(release string, jobs []Job, status func(Job) int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%send %s", Mark, release)
	for _, j := range jobs {
		fmt.Fprintf(&b, " %s=%d", j.Name, status(j))
	}
	return b.String()
}
