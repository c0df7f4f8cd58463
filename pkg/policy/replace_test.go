package policy

import (
	"path/filepath"
	"strings"
	"testing"
)

// What can be replaced is a file that is read: the main file, or one of conf.d.
func FuzzReplacements(f *testing.F) {
	for _, seed := range [][2]string{
		{"/etc/nftknock/nftknockd.toml", "conf.d/a.toml=/tmp/x"},
		{"etc/nftknockd.toml", "nftknockd.toml=x"},
		{"nftknockd.toml", "conf.d/../../nftknockd.toml=x"},
		{"/a/b.toml", "/a/conf.d/c.toml=y=z"},
		{"./b.toml", "conf.d/.toml="},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, main, item string) {
		replace, err := Replacements(main, []string{item})
		if err != nil {
			if replace != nil {
				t.Errorf("%v and %v", replace, err)
			}
			return
		}
		if len(replace) != 1 {
			t.Fatalf("%v", replace)
		}
		for path, file := range replace {
			if file == "" || !strings.HasSuffix(item, "="+file) {
				t.Errorf("file %q of %q", file, item)
			}
			if clean := filepath.Clean(main); path != clean &&
				(filepath.Dir(path) != filepath.Join(filepath.Dir(clean), "conf.d") || !isConf(filepath.Base(path))) {
				t.Errorf("%q is no file of the policy %q", path, main)
			}
			if (Review{Replace: replace}).from(path) != file {
				t.Errorf("%q is not found again", path)
			}
		}
	})
}
