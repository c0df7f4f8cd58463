// Package seeds adds seed inputs to fuzz targets.
package seeds

import (
	"os"
	"path/filepath"
	"testing"
)

// AddFiles adds the text of every file that matches pattern. It fails if there is none.
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
