//go:build system

package system

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A systemd-nspawn that makes no unit keeps its machine in the control group that it was
// started in, under names that two machines would share. So each run has a group of its own.

// unified reports whether the host has version 2 of control groups alone.
func unified() bool {
	var s unix.Statfs_t
	err := unix.Statfs("/sys/fs/cgroup", &s)
	return err == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// groupDirs are the directories of a group of this name, below the group of this process, in
// the hierarchies that systemd uses.
func groupDirs(name string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// id:controllers:path, cgroups(7)
		fields := strings.SplitN(lines.Text(), ":", 3)
		mount := ""
		switch {
		case len(fields) != 3:
			return nil, fmt.Errorf("/proc/self/cgroup has a line %q", lines.Text())
		case fields[1] == "name=systemd":
			mount = "/sys/fs/cgroup/systemd"
		case fields[1] == "" && unified():
			mount = "/sys/fs/cgroup"
		case fields[1] == "":
			mount = "/sys/fs/cgroup/unified"
		default:
			continue
		}
		if _, err := os.Stat(mount); err == nil {
			dirs = append(dirs, filepath.Join(mount, fields[2], name))
		}
	}
	return dirs, nil
}

// joinGroup makes the group and moves this process into it.
func joinGroup(name string) error {
	dirs, err := groupDirs(name)
	for _, dir := range dirs {
		err = errors.Join(err,
			os.MkdirAll(dir, 0o755),
			// 0 stands for the process that writes.
			os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0))
	}
	return err
}

// removeGroup removes the group, in which no process is left.
func removeGroup(name string) error {
	dirs, err := groupDirs(name)
	for _, dir := range dirs {
		var below []string
		walkErr := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				below = append(below, path)
			}
			return err
		})
		if errors.Is(walkErr, fs.ErrNotExist) {
			continue
		}
		err = errors.Join(err, walkErr)
		for _, path := range slices.Backward(below) {
			err = errors.Join(err, unix.Rmdir(path))
		}
	}
	return err
}
