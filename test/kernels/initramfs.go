package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"nftknock/test/kernels/job"
)

// pack writes the initramfs: init, the other programs, the modules and the plan.
func (i image) pack(path, programs string, plan job.Plan) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	a := &archive{w: z}
	a.dir("programs")
	a.dir(strings.Trim(modulesDir, "/"))
	a.programs(programs)
	files, err := i.moduleFiles()
	if err != nil {
		return err
	}
	for _, in := range plan.Modules {
		text, err := readModule(files[moduleName(in)])
		if err != nil {
			return err
		}
		a.file(in, text)
	}
	text, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		return err
	}
	a.file(job.File, text)
	return errors.Join(a.end(), z.Close())
}

// archive writes a cpio archive in the format that the kernel unpacks, "newc"
// (Documentation/driver-api/early-userspace/buffer-format.rst). After the first error it
// writes nothing more.
type archive struct {
	w     io.Writer
	inode int
	err   error
}

// Modes of a directory and of a program, as in stat(2).
const (
	modeDir  = 0o040755
	modeFile = 0o100755
)

func (a *archive) dir(name string) { a.entry(name, modeDir, nil) }

func (a *archive) file(name string, text []byte) {
	a.entry(strings.TrimPrefix(name, "/"), modeFile, text)
}

// programs adds the programs that build has made.
func (a *archive) programs(dir string) {
	list, err := os.ReadDir(dir)
	a.err = errors.Join(a.err, err)
	for _, e := range list {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		a.err = errors.Join(a.err, err)
		if e.Name() == "init" {
			a.file("init", text)
			continue
		}
		a.file("programs/"+e.Name(), text)
	}
}

// end writes the last entry and returns the first error.
func (a *archive) end() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

func (a *archive) entry(name string, mode int, text []byte) {
	if a.err != nil {
		return
	}
	a.inode++ // entries with the same inode would be hard links
	const links, none = 1, 0
	header := "070701"
	for _, field := range []int{
		a.inode, mode, none, none, links, none, len(text), none, none, none, none, len(name) + 1, none,
	} {
		header += fmt.Sprintf("%08X", field)
	}
	head := pad(header + name + "\x00")
	_, a.err = io.WriteString(a.w, head+string(text)+pad(string(text))[len(text):])
}

// pad appends zeros up to a multiple of four bytes.
func pad(s string) string { return s + strings.Repeat("\x00", -len(s)&3) }
