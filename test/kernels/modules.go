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

// modulesDir is the directory of modules in the initramfs.
const modulesDir = "/modules/"

// loadOrder returns the paths in the initramfs of the modules and of all their dependencies,
// in an order in which they can be loaded, without those built into the kernel.
func (i image) loadOrder(names []string) ([]string, error) {
	// The package has no modules.dep, which depmod makes after installation, so the
	// dependencies are read from the modules.
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

// moduleName returns the kernel's name of the module in a file. The name of the file may have
// hyphens instead of underscores, and a suffix for its compression.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// moduleFiles returns the path of each module's file, by the name of the module.
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

// builtIn returns an error unless the module is built into the kernel.
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

// dependencies returns the names of the modules that a module depends on.
func dependencies(path string) ([]string, error) {
	text, err := readModule(path)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	// .modinfo has "key=value" entries, each ended by NUL.
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

// readModule returns a module, decompressed, so that the kernel need not support the
// compression.
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
