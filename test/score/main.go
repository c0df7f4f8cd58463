// Command score tells how good the fingerprints are on captures that are not part of the
// project. It reads captures, and those in directories and below:
//
//	go run ./test/score [-v] [-database NAME,...] PATH...
//
// docs/fingerprints.md says what it prints and how to write the labels.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nftknock/pkg/p0f"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "score: error:", err)
		os.Exit(1)
	}
}

// run prints the score of the captures that args name.
func run(w io.Writer, args []string) error {
	flags := flag.NewFlagSet("score", flag.ContinueOnError)
	verbose := flags.Bool("v", false, "list the answers that are wrong, low or unknown")
	databases := flags.String("database", p0f.BuiltinName, "files of signatures, or "+p0f.BuiltinName+", separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("want captures, or directories of captures")
	}
	db, err := p0f.Load(strings.Split(*databases, ",")...)
	if err != nil {
		return err
	}
	score := newScore(db)
	for _, path := range flags.Args() {
		names, err := find(path)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := score.read(name); err != nil {
				return err
			}
		}
	}
	return score.print(w, *verbose)
}

// find returns the captures in a directory and below it, or the one capture that path is.
func find(path string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && slices.Contains([]string{".pcap", ".pcapng"}, filepath.Ext(name)) {
			names = append(names, name)
		}
		return err
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("%s: no captures: want files *.pcap or *.pcapng", path)
	}
	return names, err
}
