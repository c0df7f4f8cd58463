package policy

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFileDigestTellsPoliciesApart(t *testing.T) {
	dir := t.TempDir()
	main := filepath.Join(dir, "nftknockd.toml")
	if d, err := FileDigest(main); d != "" || err == nil {
		t.Errorf("without a file: %q, %v", d, err)
	}
	seen := make(map[string]string)
	for _, step := range []struct{ name, text string }{
		{"nftknockd.toml", "a"}, {"nftknockd.toml", "ab"}, {"conf.d/1.toml", "x"},
		{"conf.d/1.toml", "y"}, {"conf.d/2.toml", ""},
	} {
		path := filepath.Join(dir, step.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := FileDigest(main)
		if err != nil || seen[d] != "" {
			t.Errorf("%v: %q as after %q, %v", step, d, seen[d], err)
		}
		seen[d] = step.name + " " + step.text
		// What Load does not read does not count.
		for _, other := range []string{"conf.d/.1.toml", "conf.d/1.toml.bak", "other.toml"} {
			if err := os.MkdirAll(filepath.Join(dir, "conf.d"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, other), []byte(step.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if again, err := FileDigest(main); err != nil || again != d {
			t.Errorf("%v: %q and then %q, %v", step, d, again, err)
		}
	}
}
