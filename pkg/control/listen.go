package control

import (
	"fmt"
	"net"

	"nftknock/pkg/unixsocket"
)

// ErrRunning: another process listens on the socket.
var ErrRunning = unixsocket.ErrRunning

// Listen makes a socket at path that only this user can open. It makes the directory of the
// socket if that is missing, but not its parents. It replaces a socket that a killed daemon
// left behind. Closing the listener removes the socket. The error wraps ErrRunning if
// another process listens at path.
func Listen(path string) (net.Listener, error) {
	l, err := unixsocket.Listen(path, 0o600)
	if err != nil {
		return nil, fmt.Errorf(`control socket %s: %w (set socket in [control] to another path, or to "" for no control socket)`, path, err)
	}
	return l, nil
}
