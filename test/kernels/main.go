// Command kernels runs the demo and the tests of packages that use the kernel on kernels of
// Debian, each in a virtual machine without disk and network.
//
// It needs Debian 12 on amd64, for its kernel packages, and qemu, which emulates the
// processor unless -accel is kvm. It needs no root.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	series := flag.String("kernels", "", "`series` to run on, such as \"6.1 6.12\"; all of them if empty")
	dir := flag.String("dir", "bin/kernels", "directory for packages, programs and copies of consoles")
	accel := flag.String("accel", "tcg", "how qemu runs the processor: tcg, or kvm where that works")
	limit := flag.Duration("limit", 15*time.Minute, "how long one machine may run")
	flag.Parse()
	chosen, err := choose(*series)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels: error:", err)
		return 2
	}
	r := runner{dir: *dir, programs: filepath.Join(*dir, "programs"), accel: *accel, limit: *limit}
	if err := r.runAll(chosen); err != nil {
		fmt.Fprintln(os.Stderr, "kernels: error:", err)
		return 1
	}
	return 0
}

// choose returns the kernels of the listed series, or all of them.
func choose(list string) ([]kernel, error) {
	if list == "" {
		return kernels, nil
	}
	var chosen []kernel
	for _, series := range strings.Fields(list) {
		k, ok := find(series)
		if !ok {
			return nil, fmt.Errorf("kernel %q is not in the table of test/kernels/table.go", series)
		}
		chosen = append(chosen, k)
	}
	return chosen, nil
}

func find(series string) (kernel, bool) {
	for _, k := range kernels {
		if k.series == series {
			return k, true
		}
	}
	return kernel{}, false
}

// runner holds the options of all runs.
type runner struct {
	dir, programs string
	accel         string
	limit         time.Duration
}

// runAll builds the programs and runs them on each of the kernels.
func (r runner) runAll(chosen []kernel) error {
	if err := build(r.programs); err != nil {
		return err
	}
	var failed error
	for _, k := range chosen {
		if err := r.runOn(k); err != nil {
			failed = errors.Join(failed, fmt.Errorf("kernel %s: %w", k.series, err))
		}
	}
	return failed
}

func (r runner) runOn(k kernel) error {
	image, err := fetch(k.series, r.dir)
	if err != nil {
		return err
	}
	plan, err := image.plan(k.env)
	if err != nil {
		return err
	}
	initramfs := filepath.Join(r.dir, k.series+".cpio.gz")
	if err := image.pack(initramfs, r.programs, plan); err != nil {
		return err
	}
	m := machine{
		kernel: image.vmlinuz(), initramfs: initramfs,
		console: filepath.Join(r.dir, k.series+".console"), accel: r.accel, limit: r.limit,
	}
	return m.run(image.release, plan.Jobs)
}
