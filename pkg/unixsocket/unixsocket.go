// Package unixsocket makes the Unix sockets that the daemon listens on.
package unixsocket

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// ErrRunning: another process listens on the socket.
var ErrRunning = errors.New("another process, probably a daemon, listens there")

// Listen makes a socket at path, which connections can be made to with the permissions of
// mode, of its owner and group. It makes the directory of the socket, for this user alone, if that is missing, but not
// its parents. It replaces a socket that a killed process left behind. Closing the listener
// removes the socket. The error wraps ErrRunning if another process listens at path; it does
// not name the path.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
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
	if err := os.Chmod(path, mode); err != nil {
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
