// Package seeds gives fuzz targets something to begin with.
package seeds

import (
	"os"
	"path/filepath"
	"testing"
)

// AddFiles adds the text of every file that pattern matches, of which there must
// be some.
func AddFiles(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatal("no files", err)
	}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
}
