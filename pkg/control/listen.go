package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// ErrRunning means that another process listens on the socket.
var ErrRunning = errors.New("another process, probably a daemon, listens there")

// Listen makes the socket at path, which only this user may then open, and
// the directory it is in if just that one is missing. A socket that a killed
// daemon left behind is replaced. Closing the listener removes the socket.
func Listen(path string) (net.Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf(`control socket %s: %w (set socket in [control] to another path, or to "" for no socket)`, path, err)
	}
	return l, nil
}

func listen(path string) (net.Listener, error) {
	// NB: not MkdirAll, which would hide a mistake in the path.
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, reason(err)
	}
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		l, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, reason(err)
	}
	// Until here it had the mode that the umask leaves, and to open a socket
	// takes the right to write, which no usual umask leaves to others.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(reason(err), l.Close())
	}
	return l, nil
}

// removeStale removes a socket on which no process listens.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("a file that is no socket is there")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(ErrRunning, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return reason(err)
	}
	return os.Remove(path)
}

// reason strips an error of the path, which the message names already.
func reason(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
