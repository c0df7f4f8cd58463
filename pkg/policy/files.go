package policy

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

var errNotRegular = errors.New("not a regular file")

// regular is nil if path is a regular file. Opening a fifo would block.
func regular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	return err
}

// openRegular reports whether path is a regular file that can be opened.
func openRegular(path string) error {
	if err := regular(path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// readRegular is readFile for what must be a regular file.
func readRegular(path string) ([]byte, error) {
	if err := regular(path); err != nil {
		return nil, err
	}
	return readFile(path)
}

// readFile reads one byte more than a policy file may have at most.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}

// reason strips an error of the path, which the diagnostic names already.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return "cannot read it: " + p.Err.Error()
	}
	return err.Error()
}
