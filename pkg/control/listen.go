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

// ErrRunning: another process listens on the socket.
var ErrRunning = errors.New("another process, probably a daemon, listens there")

// Listen makes a socket at path that only this user can open. It makes the directory of the
// socket if that is missing, but not its parents. It replaces a socket that a killed daemon
// left behind. Closing the listener removes the socket. The error wraps ErrRunning if
// another process listens at path.
func Listen(path string) (net.Listener, error) {
	l, err := listen(path)
	if err != nil {
		return nil, fmt.Errorf(`control socket %s: %w (set socket in [control] to another path, or to "" for no control socket)`, path, err)
	}
	return l, nil
}

func listen(path string) (net.Listener, error) {
	// Not MkdirAll: if the parent is missing as well, the path is most likely wrong.
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
	// Before this the socket has the mode that the umask leaves. To connect takes the
	// permission to write (unix(7)), which no usual umask leaves to others.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(reason(err), l.Close())
	}
	return l, nil
}

// removeStale removes a socket on which no process listens. It returns ErrRunning if one
// does.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return reason(err)
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the file there is no socket")
	}
	// bind(2) fails for every file that exists. Only a connection shows whether a process
	// listens.
	conn, err := net.Dial("unix", path)
	if err == nil {
		return errors.Join(ErrRunning, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return reason(err)
	}
	return os.Remove(path)
}

// reason returns the errno in an error: the message of Listen names the path already.
func reason(err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}
