package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modulesDir is where modules are in the initramfs.
const modulesDir = "/modules/"

// loadOrder returns the paths in the initramfs of modules and of all they depend
// on, in an order in which they can be loaded. What is built into the kernel
// is left out.
//
// The packages hold no modules.dep (depmod makes it after they are installed),
// so that what a module depends on is read from the module itself.
func (i image) loadOrder(names []string) ([]string, error) {
	files, err := i.moduleFiles()
	if err != nil {
		return nil, err
	}
	var order []string
	var add func(name string) error
	add = func(name string) error {
		path, loadable := files[name]
		if !loadable {
			return i.builtIn(name)
		}
		in := modulesDir + name + ".ko"
		if slices.Contains(order, in) {
			return nil
		}
		depends, err := dependencies(path)
		if err != nil {
			return err
		}
		for _, d := range depends {
			if err := add(d); err != nil {
				return fmt.Errorf("%s needs %w", name, err)
			}
		}
		order = append(order, in)
		return nil
	}
	for _, name := range names {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName is a module's name as the kernel writes it: names of files may
// have a hyphen for each underscore, and an ending for the compression.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// moduleFiles returns the file of each module by its name.
func (i image) moduleFiles() (map[string]string, error) {
	files := make(map[string]string)
	err := filepath.WalkDir(i.modules(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(d.Name(), ".ko") {
			files[moduleName(path)] = path
		}
		return err
	})
	return files, err
}

// builtIn is an error unless the module is part of the kernel.
func (i image) builtIn(name string) error {
	list, err := os.ReadFile(filepath.Join(i.modules(), "modules.builtin"))
	if err != nil {
		return err
	}
	for _, path := range strings.Fields(string(list)) {
		if moduleName(path) == name {
			return nil
		}
	}
	return fmt.Errorf("module %s, which this kernel does not have", name)
}

// dependencies reads the names of the modules that one depends on.
func dependencies(path string) ([]string, error) {
	text, err := readModule(path)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("%s has no .modinfo", path)
	}
	info, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, entry := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}

// readModule returns a module without its compression, so that the kernel need
// know nothing of it.
func readModule(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	text, err := exec.Command("xz", "-dc", path).Output()
	if err != nil {
		return nil, fmt.Errorf("xz -dc %s: %w", path, err)
	}
	return text, nil
}
