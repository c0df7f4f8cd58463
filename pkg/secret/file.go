package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"nftknock/pkg/invalid"
)

// maxFile bounds a file that holds a secret, in bytes.
const maxFile = 4 << 10

// byteOrderMark is what some editors put in front of UTF-8.
const byteOrderMark = "\ufeff"

// ReadFile reads the one line of a file as Parse does. It refuses what ReadLine
// refuses.
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

// ReadLine gives the one line of a file that holds a secret, without the blanks
// around it. Empty lines may follow it; anything else is an error, as are an
// empty first line and a file larger than 4 KiB.
//
// The file must be a regular one; a pipe is refused without waiting for its
// writer. On Unix it must belong to root or to the effective user, and give no
// permission to group and others. An error of package os is wrapped; any other is
// an *invalid.Error.
func ReadLine(path string) ([]byte, error) {
	file, err := open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	// NB: the open file is looked at, not its name, which could by then be
	// another's.
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
	// One buffer that never grows leaves no copies behind.
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

// oneLine gives a copy of the first line of text.
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
