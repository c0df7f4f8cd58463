package control

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// dialTimeout is far longer than it takes to connect to a Unix socket that has room.
const dialTimeout = 5 * time.Second

// Listens reports whether a process listens on a control socket. Without one (path "") none
// does. The daemon listens before it changes anything in the kernel.
func Listens(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		return true, conn.Close()
	}
	if reason := dialReason(err); !errors.Is(reason, ErrNotRunning) {
		return false, fmt.Errorf("control socket %s: %w", path, reason)
	}
	return false, nil
}
