package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"nftknock/pkg/invalid"
)

// maxFile is the size of the largest file that ReadLine reads, in bytes.
const maxFile = 4 << 10

// byteOrderMark is the mark that some editors put before UTF-8 text.
const byteOrderMark = "\ufeff"

// ReadFile reads the one line of a file with ReadLine and parses it with Parse.
func ReadFile(path string) (*Key, error) {
	line, err := ReadLine(path)
	if err != nil {
		return nil, err
	}
	defer clear(line)
	k, err := Parse(line)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// ReadLine returns the one line of a file with a secret, without the blanks around it.
// Empty lines may follow. Other text after the line, an empty first line, and a file
// larger than 4 KiB are errors.
//
// The file must be a regular file; a pipe is refused without waiting for its writer. On
// Unix the file must belong to root or to the effective user, and its mode must have no
// permissions for group and others. Errors of package os are wrapped; any other is an
// *invalid.Error.
func ReadLine(path string) ([]byte, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// NB: Stat of the open file, not of the path, which another process could have
	// replaced since.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, invalid.Newf("a regular file", "bad key file %s", path)
	}
	if err := checkAccess(path, info); err != nil {
		return nil, err
	}
	// A buffer that never grows leaves no copies of the secret in memory.
	buf := make([]byte, maxFile+1)
	defer clear(buf)
	n, err := io.ReadFull(file, buf)
	switch {
	case err == nil:
		return nil, invalid.Newf(fmt.Sprintf("at most %d bytes", maxFile), "bad key file %s", path)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	}
	return oneLine(path, buf[:n])
}

// oneLine returns a copy of the first line of text.
func oneLine(path string, text []byte) ([]byte, error) {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.Trim(line, blanks)
	switch {
	case len(bytes.Trim(rest, blanks)) > 0:
		return nil, invalid.Newf("one line", "bad key file %s", path)
	case len(line) == 0:
		return nil, invalid.Newf("one line", "bad key file %s: empty", path)
	}
	return bytes.Clone(line), nil
}
