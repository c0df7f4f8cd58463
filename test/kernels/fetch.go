package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nftknock/test/kernels/job"
)

// image is an unpacked kernel package.
type image struct {
	dir     string
	release string // the output of uname -r
}

func (i image) vmlinuz() string { return filepath.Join(i.dir, "boot", "vmlinuz-"+i.release) }

func (i image) modules() string { return filepath.Join(i.dir, "lib/modules", i.release) }

// plan returns the modules and jobs for a machine with this kernel.
func (i image) plan(env []string) (job.Plan, error) {
	order, err := i.loadOrder(modules)
	return job.Plan{Modules: order, Jobs: jobs(env)}, err
}

// fetch returns the newest kernel of a series that apt offers. It downloads and unpacks the
// package below dir unless it is there already.
func fetch(series, dir string) (image, error) {
	pkg, err := newest(series)
	if err != nil {
		return image{}, err
	}
	i := image{
		dir:     filepath.Join(dir, pkg),
		release: strings.TrimPrefix(pkg, "linux-image-"),
	}
	if _, err := os.Stat(i.dir); err == nil {
		return i, nil
	}
	return i, unpack(pkg, i.dir)
}

// newest returns the name of the newest package of a series.
func newest(series string) (string, error) {
	// Debian removes a point release when the next one is published, so names cannot be
	// fixed. The cloud kernels are the smallest with all modules that the tests need.
	pattern := `^linux-image-` + regexp.QuoteMeta(series) + `\.[^ ]*-cloud-amd64$`
	out, err := exec.Command("apt-cache", "search", "--names-only", pattern).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache search: %w", err)
	}
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	last := slices.MaxFunc(names, byNumbers)
	if last == "" {
		return "", fmt.Errorf("apt has no package that matches %s (apt-get update, on Debian 12)", pattern)
	}
	return last, nil
}

var digits = regexp.MustCompile(`\d+`)

// byNumbers compares names of packages by the numbers in them.
func byNumbers(a, b string) int { return slices.Compare(numbers(a), numbers(b)) }

func numbers(s string) (list []int) {
	for _, d := range digits.FindAllString(s, -1) {
		n, _ := strconv.Atoi(d) // d consists of digits
		list = append(list, n)
	}
	return list
}

// unpack downloads a package and unpacks it into dir. dir is created only if everything
// succeeds. Nothing is installed.
func unpack(pkg, dir string) error {
	work := dir + ".part"
	if err := errors.Join(os.RemoveAll(work), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	download := exec.Command("apt-get", "download", "-q", pkg)
	download.Dir = work
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get download %s: %w\n%s", pkg, err, out)
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	if len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %q, want one package", pkg, debs)
	}
	root := filepath.Join(work, "root")
	if out, err := exec.Command("dpkg-deb", "-x", debs[0], root).CombinedOutput(); err != nil {
		return fmt.Errorf("dpkg-deb -x %s: %w\n%s", debs[0], err, out)
	}
	return os.Rename(root, dir)
}
