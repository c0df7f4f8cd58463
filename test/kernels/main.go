// Command kernels runs the demo and tests of packages next to the kernel on
// Debian's kernels, each in a virtual machine without a disk or a network.
//
// It needs Debian 12 on amd64, for its packages of kernels, and qemu, which
// emulates the processor unless it is told to use KVM. It needs no root.
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
	dir := flag.String("dir", "bin/kernels", "where packages, programs and consoles' texts are kept")
	accel := flag.String("accel", "tcg", "how qemu runs the processor: tcg, or kvm where that works")
	limit := flag.Duration("limit", 15*time.Minute, "how long one machine may run")
	flag.Parse()
	chosen, err := choose(*series)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels: error:", err)
		return 2
	}
	if err := runAll(chosen, *dir, *accel, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "kernels: error:", err)
		return 1
	}
	return 0
}

// choose returns the kernels that were asked for.
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

func runAll(chosen []kernel, dir, accel string, limit time.Duration) error {
	programs := filepath.Join(dir, "programs")
	if err := build(programs); err != nil {
		return err
	}
	var failed error
	for _, k := range chosen {
		if err := runOn(k, dir, programs, accel, limit); err != nil {
			failed = errors.Join(failed, fmt.Errorf("kernel %s: %w", k.series, err))
		}
	}
	return failed
}

func runOn(k kernel, dir, programs, accel string, limit time.Duration) error {
	image, err := fetch(k.series, dir)
	if err != nil {
		return err
	}
	plan, err := image.plan(k.env)
	if err != nil {
		return err
	}
	initramfs := filepath.Join(dir, k.series+".cpio.gz")
	if err := image.pack(initramfs, programs, plan); err != nil {
		return err
	}
	m := machine{
		kernel: image.vmlinuz(), initramfs: initramfs,
		console: filepath.Join(dir, k.series+".console"), accel: accel, limit: limit,
	}
	return m.run(image.release, plan.Jobs)
}
