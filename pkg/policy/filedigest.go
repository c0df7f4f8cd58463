package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileDigest returns a digest of the policy file at path and of the files of conf.d that Load
// would read with it: their names and contents. It tells a policy that was changed from one
// that was not. Keys and signature databases do not count. All
// must be regular files.
func FileDigest(path string) (string, error) {
	sum := sha256.New()
	add := func(file string) error {
		// Reading a pipe would take the policy from whoever reads it next.
		if err := regular(file); err != nil {
			return err
		}
		data, err := readFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%q %d\n", filepath.Base(file), len(data)) // a hash never fails
		sum.Write(data)
		return nil
	}
	if err := add(path); err != nil {
		return "", err
	}
	dir := filepath.Join(filepath.Dir(path), "conf.d")
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, f := range list {
		if !isConf(f.Name()) {
			continue
		}
		if err := add(filepath.Join(dir, f.Name())); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
