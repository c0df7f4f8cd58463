// Package job is the interface between the runner and the init program in the virtual
// machine: the jobs to run, and the lines with results on the console.
package job

import (
	"fmt"
	"strings"
)

// File is the path of the Plan in the initramfs, in JSON.
const File = "/jobs.json"

// Mark begins every line that the init program writes itself.
const Mark = "kernels: "

// Job is one program to run.
type Job struct {
	Name string
	Args []string // the program's path first
	Env  []string
	// Tests has one regular expression per group of tests that must run. It is nil
	// for a program that is not a test binary.
	Tests []string
}

// Plan is the work of one virtual machine.
type Plan struct {
	Modules []string // paths in the initramfs, in the order of loading
	Jobs    []Job
}

// Last returns the last line that init writes to the console. The run has succeeded only if
// that line has the requested release and status 0 for every job.
func Last(release string, jobs []Job, status func(Job) int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%send %s", Mark, release)
	for _, j := range jobs {
		fmt.Fprintf(&b, " %s=%d", j.Name, status(j))
	}
	return b.String()
}
